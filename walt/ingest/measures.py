"""Numbers measured of every clip, whatever the thresholds, which ``walt.ingest.screen_clips`` checks later.

All are computed from thumbnails of the smallest stored form, which takes a few milliseconds per clip, and are kept in
the cache beside the clip: another threshold needs no decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from walt.media import fingerprints, shots
from walt.media.images import Clip

BRIGHT_SHARE = 98
"""Percentage of a frame's pixels that are not brighter than its ``brightness``: a black frame may show a logo."""

LUMA = np.array([19595, 38470, 7471], dtype=np.int32)
"""65536 times the weights of red, green and blue in a grey level (ITU-R BT.601)."""

LIBRARY_VERSIONS = shots.LIBRARY_VERSIONS | fingerprints.LIBRARY_VERSIONS


@dataclass(frozen=True)
class Measures:
    """The measures of a clip of T frames; an image has T = 1, and nothing in the fields that compare neighbours."""

    cut_scores: tuple[float, ...]
    """T - 1 content values of neighbours, 0 to 255."""
    differences: tuple[float, ...]
    """T - 1 mean absolute differences of neighbours, in grey levels."""
    brightness: tuple[float, ...]
    """T grey levels that 98 % of the frame's pixels do not exceed."""
    hashes: tuple[str, ...]
    """Perceptual hashes of the first, the middle and the last frame, 16 hex digits each; an image has one."""
    colours: tuple[tuple[float, float, float], ...]
    """Mean (red, green, blue), 0 to 255, of the same frames."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measures:
        """The reverse of ``dataclasses.asdict`` and JSON."""
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
    rank = (grey.shape[1] - 1) * BRIGHT_SHARE // 100
    brightness = np.partition(grey, rank, axis=1)[:, rank]
    chosen = [thumbs[index] for index in sorted({0, len(thumbs) // 2, len(thumbs) - 1})]
    colours = [[round(float(level), 2) for level in frame.mean(axis=(0, 1))] for frame in chosen]
    return Measures(
        cut_scores=tuple(round(value, 3) for value in cut_scores),
        differences=tuple(round(float(value), 3) for value in differences),
        brightness=tuple(float(value) for value in brightness),
        hashes=tuple(fingerprints.perceptual_hash(frame) for frame in chosen),
        colours=tuple((red, green, blue) for red, green, blue in colours),
    )
