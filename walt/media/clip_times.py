"""When the clips of a video begin, and when their frames are shown, in seconds on the file's clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

ON_SCREEN = Fraction(1, 1000)
"""A frame counts as shown this much early: Matroska rounds timestamps to milliseconds."""

Starts = Callable[[Fraction], Sequence[float]]
"""The clips' starts in seconds on the file's clock, increasing, given when the first frame is shown."""


@dataclass(frozen=True)
class WantedClips:
    """Where the clips of a video begin, and when their frames are shown, in seconds on the file's clock."""

    num_frames: int
    rate: Fraction
    stride: Fraction
    max_clips: int
    max_seconds: float
    starts: Sequence[float] | Starts | None
    joins: Sequence[Fraction] = ()
    """When the file's time began again: clips begin again there."""

    @property
    def last(self) -> Fraction:
        """From a clip's start to its last frame."""
        return (self.num_frames - 1) / self.rate

    def begins(self, first: Fraction) -> list[Fraction]:
        """The clips' starts, given when the first frame is shown."""
        found = self._begins_from(first)
        for join in self.joins:
            found = [begin for begin in found if begin + self.last + ON_SCREEN < join] + self._begins_from(join)
        return found[: self.max_clips]

    def moments(self, first: Fraction) -> list[Fraction]:
        """When the clips' frames are shown, increasing, each once."""
        begins = self.begins(first)
        return sorted({begin + Fraction(number) / self.rate for begin in begins for number in range(self.num_frames)})

    def _begins_from(self, first: Fraction) -> list[Fraction]:
        if self.starts is not None:
            given = self.starts(first) if callable(self.starts) else self.starts
            exact = [Fraction(str(start)) for start in given]
            return (exact if callable(self.starts) else [start for start in exact if first <= start])[: self.max_clips]
        most = min(self.max_clips, math.floor(min(self.max_seconds / float(self.stride), 1e9)) + 1)
        return [first + self.stride * number for number in range(most)]
