"""Captions of the generated clips, read from their pixels."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from walt.data.shapes import caption, draw, scenes
from walt.evaluation.describe_shapes import describe_shapes


@pytest.mark.slow
@pytest.mark.parametrize("moving", [True, False])
def test_clips_get_the_caption_that_they_were_drawn_from(moving: bool) -> None:
    rng = np.random.default_rng(0)
    for scene in islice(scenes(0, moving), 48):
        assert describe_shapes(draw(scene, 64, 17 if moving else 1, rng)) == caption(scene)


def test_nothing_is_said_of_what_shows_no_shape() -> None:
    assert describe_shapes(np.full((5, 32, 32, 3), 70, np.uint8)) == ""
