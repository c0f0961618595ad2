"""Stored clips as pixels."""

from __future__ import annotations

import numpy as np
import torch

from walt.data.clip_pixels import pixels, pixels_channels_last


def test_both_layouts_hold_the_same_numbers() -> None:
    every = np.arange(256, dtype=np.uint8)
    clips = [every.reshape(2, 4, 32, 1).repeat(3, axis=3), every[::-1].reshape(2, 4, 32, 1).repeat(3, axis=3)]
    plain, laid_out = pixels(clips), pixels_channels_last(clips)
    assert plain.shape == laid_out.shape == (2, 3, 2, 4, 32)
    assert torch.equal(plain, laid_out)
    assert plain.is_contiguous()
    assert laid_out.is_contiguous(memory_format=torch.channels_last_3d)
    assert (plain.min(), plain.max()) == (-1, 1)
