"""Stored clips as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walt.data.shards import Sample
from walt.media.images import decode_png
from walt.media.mp4 import decode_clip


def decode_members(members: Sample) -> NDArray[np.uint8]:
    """A stored clip's frames: (T, H, W, 3) uint8 RGB; T = 1 for an image.

    Raises:
        ValueError: there is no picture, or it cannot be decoded.
    """
    try:
        if "mp4" in members:
            return decode_clip(members["mp4"])
        if "png" in members:
            return decode_png(members["png"])[None]
    except (OSError, EOFError, IndexError) as error:  # PyAV and Pillow raise these and ValueError for damaged files
        raise ValueError(f"{type(error).__name__}: {error}") from error
    raise ValueError(f"neither mp4 nor png is among its members {sorted(members)}")


def pixels(clips: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Clips (T, H, W, 3) uint8 of one shape -> (B, 3, T, H, W) float32 in [-1, 1]."""
    return pixels_channels_last(clips).contiguous()


def pixels_channels_last(clips: Sequence[NDArray[np.uint8]]) -> Tensor:
    """The same numbers, in memory as the clips are: what an encoder wants, with half as many copies."""
    return torch.from_numpy(np.stack(clips)).float().div_(127.5).sub_(1.0).permute(0, 4, 1, 2, 3)
