"""Sections of trainings with a few steps of small batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from tests.support.settings import changed, recipe
from walt.training.autoencoder_config import AutoencoderLossConfig, AutoencoderTrainingConfig, ClipFormConfig
from walt.training.config import DiffusionTrainingConfig

OPTIMIZER = changed(
    recipe().train_base.optimizer, learning_rate=1e-3, weight_decay=0.0, schedule="constant", warmup_steps=0,
    final_fraction=1.0,
)  # fmt: skip
LOOP: dict[str, Any] = {"steps": 10, "optimizer": OPTIMIZER, "ema_decay": 0.0, "log_every": 1, "checkpoint_every": 10}
FORMS = (
    ClipFormConfig(resolution=(16, 16), num_frames=5, batch_size=2, weight=1.0),
    ClipFormConfig(resolution=(32, 32), num_frames=1, batch_size=3, weight=3.0),
)
NO_TERMS: dict[str, float] = dict.fromkeys(AutoencoderLossConfig.model_fields, 0.0)
PLAIN_LOSS = AutoencoderLossConfig(**{**NO_TERMS, "reconstruction": 1.0, "kl": 1e-3})


def autoencoder_training(**changes: Any) -> AutoencoderTrainingConfig:
    """The section ``train_autoencoder`` with some keys changed."""
    values = {**LOOP, "forms": FORMS, "joint": False, "loss": PLAIN_LOSS, "discriminator": None}
    return changed(recipe().train_autoencoder, **{**values, **changes})


def diffusion_training(**changes: Any) -> DiffusionTrainingConfig:
    """The section of a transformer's training with some keys changed."""
    return changed(recipe().train_base, **{**LOOP, "timestep_bands": 4, **changes})


def last(parts: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of an autoencoder's step, whose other parts are empty."""
    *empty, terms = parts
    assert not any(empty)
    return terms
