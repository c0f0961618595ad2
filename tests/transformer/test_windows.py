"""The whole model with windows is the whole model with full attention under a mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.full_attention import full_cross_attention, full_self_attention
from tests.support.transformers import CLASS, TINY, inputs, stirred
from walt.nn.attention import TextCrossAttention, WindowSelfAttention
from walt.nn.positions import Window
from walt.transformer.config import TransformerConfig

PATCHES = [1, 2, 4]


def windows(name: str, height: int, width: int) -> tuple[Window, Window]:
    """Spatial and spatiotemporal window for 3 frames of height x width tokens."""
    return {
        "paper": ((1, height, width), (3, height // 2, width // 2)),
        "smaller": ((1, height // 2, width), (3, 1, 2)),
        "whole space-time": ((1, height, width), (3, height, width)),
        "full everywhere": ((3, height, width), (3, height, width)),
        "frames only": ((1, height, width // 2), (1, height // 2, width)),
        "time only": ((1, 1, 1), (3, 1, 1)),
        "a window of frames twice": ((3, 1, width), (3, height, 1)),
    }[name]


NAMES = [
    "paper",
    "smaller",
    "whole space-time",
    "full everywhere",
    "frames only",
    "time only",
    "a window of frames twice",
]


def variant(patch: int, name: str, like: TransformerConfig, **changes: Any) -> TransformerConfig:
    spatial, spatiotemporal = windows(name, 8 // patch, 8 // patch)
    update = {
        "latent_grid": (3, 8, 8), "patch_size": patch, "spatial_window": spatial, "layers": 2,
        "spatiotemporal_window": spatiotemporal, **changes,
    }  # fmt: skip
    return TransformerConfig.model_validate({**like.model_dump(), **update})


def compare(config: TransformerConfig, images: bool | torch.Tensor, frames: int | None) -> None:
    model, arguments = stirred(config), inputs(batch=3, frames=frames, config=config)
    in_windows = model(**arguments, images=images)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WindowSelfAttention, "forward", full_self_attention)
        patched.setattr(TextCrossAttention, "forward", full_cross_attention)
        torch.testing.assert_close(in_windows, model(**arguments, images=images))


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bias", [True, False])
def test_windows_are_a_mask(patch: int, name: str, bias: bool) -> None:
    """Videos beside a stack of images, each image with its own text."""
    config = variant(patch, name, TINY, relative_position_bias=bias)
    compare(config, torch.tensor([False, True, False]), frames=3)


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_windows_are_a_mask_with_cross_attention_in_the_blocks_own(patch: int, name: str) -> None:
    compare(variant(patch, name, TINY, cross_attention="own"), images=False, frames=None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("images", [True, False])
def test_windows_are_a_mask_without_text(name: str, images: bool) -> None:
    compare(variant(1, name, CLASS, qk_norm=False), images, frames=3 if images else None)
