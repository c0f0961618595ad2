"""Finds cuts between shots with PySceneDetect. Only this module imports it and OpenCV.

PySceneDetect's *content value* of two neighbouring frames is the mean difference of their hue, saturation and
brightness, 0 to 255. A high value alone is not a cut: at 8 frames per second a swinging camera reaches 40 to 60. So its
``AdaptiveDetector`` also requires the value to be a multiple of the mean of the two before and the two after. That rule
is implemented here, in ``cuts``, for two reasons: it is applied to values that were measured earlier, so that other
thresholds need no decoding; and at the ends of a clip, where PySceneDetect decides nothing for lack of neighbours, it
uses those that exist.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import scenedetect
from scenedetect.detectors import ContentDetector

from walt.media.images import Clip, Picture

LIBRARY_VERSIONS = {"scenedetect": scenedetect.__version__, "opencv": cv2.__version__}
"""Libraries whose versions may change a content value."""

WINDOW = 2
"""Number of neighbouring values on each side with which a cut is compared; PySceneDetect's choice."""

_COLOURLESS = 3.0
"""Mean difference between the largest and the smallest of a picture's red, green and blue, 0 to 255, below which it is
black and white: coding leaves that much."""

THUMBNAIL_SIDE = 32
"""Smallest length of a thumbnail's shorter side in pixels; it is less than twice that. Smaller pictures keep theirs."""


class _Values(ContentDetector):  # type: ignore[misc]
    """Gives access to the values; PySceneDetect's own statistics would also compute edges, at triple the cost."""

    def value(self, index: int, frame: Picture) -> float:
        return float(self._calculate_frame_score(index, frame))


def thumbnails(frames: Clip) -> Clip:
    """(T, H, W, 3) -> (T, h, w, 3): averaged by the largest integer factor that leaves at least 32 pixels per side."""
    cv2.setNumThreads(1)  # sources are decoded in parallel, and more threads would compete for cores
    height, width = frames.shape[1:3]
    factor = max(1, min(height, width) // THUMBNAIL_SIDE)
    size = (width // factor, height // factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def content_values(frames: Clip) -> list[float]:
    """PySceneDetect's content value of neighbours; of two black-and-white ones, what their brightness differs by.

    Without colour, hue and saturation count for nothing in that mean, and a cut would have a third of the value
    (``findings/scenedetect_black_and_white.sh``).

    Args:
        frames: (T, H, W, 3) uint8 RGB; small ones are enough.

    Returns:
        T - 1 numbers from 0 to 255; number i compares frames i and i + 1.
    """
    cv2.setNumThreads(1)  # as above
    detector = _Values()
    bgr = np.ascontiguousarray(frames[..., ::-1])  # OpenCV's order
    values = [detector.value(index, frame) for index, frame in enumerate(bgr)][1:]
    brightness = frames.max(axis=-1)  # (T, H, W), as in HSV
    colourless = (brightness - frames.min(axis=-1)).mean(axis=(1, 2)) < _COLOURLESS
    for index in np.flatnonzero(colourless[:-1] & colourless[1:]):
        values[index] = float(cv2.absdiff(brightness[index], brightness[index + 1]).mean())
    return values


def cuts(values: Sequence[float], score: float, ratio: float) -> list[int]:
    """Indices of the frames that start a new shot.

    Args:
        values: as ``content_values`` returns them.
        score: a cut has at least this value.
        ratio: a cut also has at least this many times the mean of the values around it.
    """
    found = []
    for index, value in enumerate(values):
        around = [*values[max(index - WINDOW, 0) : index], *values[index + 1 : index + 1 + WINDOW]]
        mean = sum(around) / len(around) if around else 0.0
        if value >= score and value >= ratio * mean:
            found.append(index + 1)
    return found
