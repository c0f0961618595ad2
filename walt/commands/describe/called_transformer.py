"""A transformer and a sample on torch's ``meta`` device, where a call computes nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from walt.text.config import TextConfig
from walt.training.config import DiffusionTrainingConfig
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""Of a training's precision."""


def called_transformer(
    text: TextConfig | None, config: TransformerConfig, training: DiffusionTrainingConfig
) -> tuple[WaltTransformer, Tensor, Callable[[], object]]:
    """A transformer, a sample (1, c, 1+t, h, w), and a call with it."""
    dtype, given = DTYPES[training.precision], dict[str, Tensor]()
    frames, height, width = config.latent_grid
    with torch.device("meta"):
        model = WaltTransformer(config).to(dtype)
        latents = torch.empty(1, config.latent_channels, *config.latent_grid, dtype=dtype)
        steps = torch.zeros(1, dtype=torch.int64)
        if config.text_width is not None:
            length = text.max_tokens if text else 0
            given["text"] = torch.empty(1, length, config.text_width, dtype=dtype)
            given["text_mask"] = torch.ones(1, length, dtype=torch.bool)
        if config.num_classes is not None:
            given["labels"] = torch.zeros(1, dtype=torch.int64)
        if config.super_resolution is not None:
            factor = config.super_resolution.factor
            low = (frames, height // factor, width // factor)
            given["low_resolution"] = torch.empty(1, config.latent_channels, *low, dtype=dtype)
            given["noise_level"] = steps
    model.activation_checkpointing = training.activation_checkpointing
    return model, latents, lambda: model(latents, steps, **given)
