"""What is measured of every clip, whatever the thresholds: numbers that ``walt.ingest.screen_clips`` judges later.

All are taken from thumbnails of the smallest stored form, which cost a few milliseconds a clip, and are kept in the
cache beside it: another threshold needs no decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from walt.media import fingerprints, shots
from walt.media.images import Clip

BRIGHT_SHARE = 98
"""Per cent of a frame's pixels that are no brighter than its ``brightness``: a logo does not light a black frame."""

LUMA = np.array([19595, 38470, 7471], dtype=np.int32)
"""65536 times what red, green and blue weigh in a grey level (ITU-R BT.601)."""

LIBRARY_VERSIONS = shots.LIBRARY_VERSIONS | fingerprints.LIBRARY_VERSIONS


@dataclass(frozen=True)
class Measures:
    """Of a clip of T frames; of an image T = 1, and what compares neighbours is empty."""

    cut_scores: tuple[float, ...]
    """T - 1 content values of neighbours, 0 to 255."""
    differences: tuple[float, ...]
    """T - 1 mean absolute differences of neighbours, in grey levels."""
    brightness: tuple[float, ...]
    """T grey levels that 98 % of the frame's pixels do not exceed."""
    hashes: tuple[str, ...]
    """Perceptual hashes of the first, the middle and the last frame, 16 hex digits each; of an image, one."""
    colours: tuple[tuple[float, float, float], ...]
    """Mean (red, green, blue), 0 to 255, of the same frames."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measures:
        """What ``dataclasses.asdict`` and JSON made of one."""
        colours = tuple((red, green, blue) for red, green, blue in data["colours"])
        return cls(**{name: tuple(values) for name, values in data.items()} | {"colours": colours})

    @property
    def cut_score(self) -> float | None:
        """The highest content value; None for an image."""
        return max(self.cut_scores, default=None)

    @property
    def motion(self) -> float | None:
        """Mean difference of neighbours, in grey levels; None for an image."""
        return sum(self.differences) / len(self.differences) if self.differences else None

    def black(self, level: float) -> float:
        """Share of the frames that are darker than ``level``."""
        return sum(value < level for value in self.brightness) / len(self.brightness)

    def frozen(self, level: float) -> float | None:
        """Share of the neighbours that differ by ``level`` or less; None for an image."""
        if not self.differences:
            return None
        return sum(value <= level for value in self.differences) / len(self.differences)

    @property
    def phash(self) -> str:
        """The hashes in a row: 48 hex digits, 16 for an image."""
        return "".join(self.hashes)


def measure(thumbs: Clip, cut_scores: Sequence[float]) -> Measures:
    """Measure a clip.

    Args:
        thumbs: its ``shots.thumbnails``, (T, h, w, 3).
        cut_scores: the T - 1 content values of its neighbours.
    """
    grey = np.dot(thumbs.reshape(len(thumbs), -1, 3), LUMA) >> 16  # (T, h w)
    differences = np.abs(np.diff(grey, axis=0)).mean(axis=1)
    place = (grey.shape[1] - 1) * BRIGHT_SHARE // 100
    brightness = np.partition(grey, place, axis=1)[:, place]
    chosen = [thumbs[index] for index in sorted({0, len(thumbs) // 2, len(thumbs) - 1})]
    colours = [[round(float(level), 2) for level in frame.mean(axis=(0, 1))] for frame in chosen]
    return Measures(
        cut_scores=tuple(round(value, 3) for value in cut_scores),
        differences=tuple(round(float(value), 3) for value in differences),
        brightness=tuple(float(value) for value in brightness),
        hashes=tuple(fingerprints.perceptual_hash(frame) for frame in chosen),
        colours=tuple((red, green, blue) for red, green, blue in colours),
    )
