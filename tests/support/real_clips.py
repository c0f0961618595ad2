"""Clips of real videos, for tests of what sees pictures."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.support.media import shared_data
from walt.media.images import Clip, Limits, SourceError
from walt.media.video import read_clips


@cache
def real_clips(num_frames: int) -> tuple[Clip, ...]:
    """About a hundred clips of 64x64 from shared/data's videos, shuffled; a test skips where they are missing."""
    limits, found = Limits(min_side=16, max_pixels=10**8, max_seconds=100), list[Clip]()
    for path in sorted((shared_data() / "clips").rglob("*.*")):
        try:
            clips = read_clips(path, num_frames=num_frames, fps=8, sizes=[(64, 64)], max_clips=8, limits=limits)
        except SourceError:
            continue
        found += [clip.frames[64, 64] for clip in clips]
    return tuple(found[place] for place in np.random.default_rng(0).permutation(len(found)))
