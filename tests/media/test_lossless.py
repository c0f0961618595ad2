"""The form in which generated videos are measured: not a bit is lost."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.media import moving
from walt.media.images import Clip
from walt.media.lossless import encode_lossless
from walt.media.mp4 import decode_clip


def saturated(side: int) -> Clip:
    """Single pixels of pure colours, which 4:2:0 cannot hold."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], dtype=np.uint8)
    return colours[np.random.default_rng(0).integers(0, 4, size=(5, side, side))]


@pytest.mark.parametrize(
    "clip",
    [
        saturated(16), moving(64), np.zeros((1, 16, 16, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (3, 17, 33, 3), dtype=np.uint8),
    ],
    ids=["saturated", "moving", "picture", "noise of odd sides"],
)  # fmt: skip
def test_frames_come_back_bit_for_bit(clip: Clip) -> None:
    data = encode_lossless(clip, 8.0)
    assert np.array_equal(decode_clip(data), clip)
    assert encode_lossless(clip, 8.0) == data


def test_it_is_smaller_than_the_pixels() -> None:
    clip = moving(64)
    assert len(encode_lossless(clip, 8.0)) < 0.6 * clip.nbytes
