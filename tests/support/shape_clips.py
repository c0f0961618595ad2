"""Clips of the generated dataset, drawn in memory."""

from __future__ import annotations

from functools import cache
from itertools import islice

import numpy as np

from walt.data.shapes import draw, scenes
from walt.media.images import Clip

SIZE, FRAMES = 32, 9


@cache
def shapes(count: int, seed: int) -> tuple[Clip, ...]:
    """So many of the scenes of a seed, each of (9, 32, 32, 3) uint8."""
    rng = np.random.default_rng(seed)
    return tuple(draw(scene, SIZE, FRAMES, rng) for scene in islice(scenes(seed), count))
