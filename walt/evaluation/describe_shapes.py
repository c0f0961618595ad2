"""The caption of a clip of the generated dataset, read from its pixels: a captioner without a model."""

from __future__ import annotations

import numpy as np

from walt.data.shapes import BACKGROUNDS, Scene, caption
from walt.evaluation.adherence import Video, background_of, observe


def describe_shapes(video: Video) -> str:
    """What a clip (T, H, W, 3) uint8 RGB shows, as ``walt.data.shapes.caption`` says it; empty where its colour or its
    shape is not recognised."""
    seen = observe(video)
    if seen.colour is None or seen.shape is None:
        return ""
    distances = {name: float(np.abs(background_of(video) - np.array(rgb)).sum()) for name, rgb in BACKGROUNDS.items()}
    return caption(Scene(seen.shape, seen.colour, min(distances, key=lambda name: distances[name]), seen.direction))
