"""Where one shot ends and the next begins, by PySceneDetect: the one door to it and to OpenCV.

PySceneDetect's *content value* of two neighbouring frames is the mean difference of their hue, saturation and
brightness, 0 to 255. A high one alone is no cut: at 8 frames a second a swinging camera reaches 40 to 60. So its
``AdaptiveDetector`` asks besides that the value be some times the mean of the two before and the two after. That rule
is written out here, in ``cuts``, for two reasons: it is applied to values that were measured earlier, so that other
thresholds need no decoding, and at the ends of a clip, where PySceneDetect says nothing for want of neighbours, it
takes those that are there.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import scenedetect
from scenedetect.detectors import ContentDetector

from walt.media.images import Clip, Picture

LIBRARY_VERSIONS = {"scenedetect": scenedetect.__version__, "opencv": cv2.__version__}
"""They may change a content value."""

WINDOW = 2
"""Neighbouring values on each side that a cut stands out from; PySceneDetect's choice."""

THUMBNAIL_SIDE = 32
"""Pixels of a thumbnail's shorter side, at least; less than twice as many, unless the picture itself is smaller."""


class _Values(ContentDetector):  # type: ignore[misc]
    """It tells its values to a table of statistics only, which triples the cost with edges that nobody asked for."""

    def value(self, index: int, frame: Picture) -> float:
        return float(self._calculate_frame_score(index, frame))


def thumbnails(frames: Clip) -> Clip:
    """(T, H, W, 3) -> (T, h, w, 3): shrunk by the largest whole number that leaves 32 pixels a side, by averaging."""
    cv2.setNumThreads(1)  # sources are decoded side by side; threads within one would fight
    height, width = frames.shape[1:3]
    factor = max(1, min(height, width) // THUMBNAIL_SIDE)
    size = (width // factor, height // factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def content_values(frames: Clip) -> list[float]:
    """PySceneDetect's content value of each pair of neighbours.

    Args:
        frames: (T, H, W, 3) uint8 RGB; small ones will do.

    Returns:
        T - 1 numbers from 0 to 255; number i compares frames i and i + 1.
    """
    cv2.setNumThreads(1)  # as above
    detector = _Values()
    bgr = np.ascontiguousarray(frames[..., ::-1])  # OpenCV's order
    return [detector.value(index, frame) for index, frame in enumerate(bgr)][1:]


def cuts(values: Sequence[float], score: float, ratio: float) -> list[int]:
    """Indices of the frames that begin another shot than the frame before them.

    Args:
        values: as ``content_values`` gives them.
        score: a cut has at least this value.
        ratio: and at least so many times the mean of the values around it.
    """
    found = []
    for index, value in enumerate(values):
        around = [*values[max(index - WINDOW, 0) : index], *values[index + 1 : index + 1 + WINDOW]]
        mean = sum(around) / len(around) if around else 0.0
        if value >= score and value >= ratio * mean:
            found.append(index + 1)
    return found
