"""The shape of a foreground, whatever its size and place are."""

from __future__ import annotations

import numpy as np
import pytest

from walt.data.shapes import SHAPES, coverage
from walt.evaluation.shape_match import name_shape


def moving(shape: str, radius: float, height: int = 48, width: int = 64) -> np.ndarray:
    positions = np.stack([np.linspace(20, 26, 5), np.linspace(18, 40, 5)], axis=1)
    return coverage(shape, positions, radius, 64)[:, :height, :width]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [5.0, 9.0, 15.0])
def test_a_shape_is_itself_at_any_size_and_in_any_frame(shape: str, radius: float) -> None:
    assert name_shape(moving(shape, radius)) == shape


@pytest.mark.parametrize("shape", SHAPES)
def test_a_few_spoilt_frames_do_not_decide(shape: str) -> None:
    cover = np.concatenate([moving(shape, 9.0), moving(shape, 9.0)[:1] * 0.1])
    cover[-1, 30:32, 2:4] = 1.0  # a speck where the shape has all but vanished
    assert name_shape(cover) == shape


def test_what_is_like_no_shape_has_no_name() -> None:
    ring = moving("circle", 15.0) - moving("circle", 11.0)
    assert name_shape(ring) is None
    assert name_shape(np.zeros((3, 32, 32))) is None
    two = np.zeros((3, 48, 48))
    two[:, 4:12, 4:12] = two[:, 34:42, 34:42] = 1.0
    assert name_shape(two) is None
