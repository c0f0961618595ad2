"""Sections of trainings with a few steps of small batches."""

from __future__ import annotations

from typing import Any

from walt.training.autoencoder_config import AutoencoderLossConfig, AutoencoderTrainingConfig, ClipFormConfig
from walt.training.config import DiffusionTrainingConfig, OptimizerConfig

OPTIMIZER = OptimizerConfig(
    name="adamw", learning_rate=1e-3, betas=(0.9, 0.99), weight_decay=0.0, gradient_clip=1.0, schedule="constant",
    warmup_steps=0, final_fraction=1.0,
)  # fmt: skip
LOOP: dict[str, Any] = {
    "steps": 10, "optimizer": OPTIMIZER, "ema_decay": 0.0, "precision": "fp32", "log_every": 1, "checkpoint_every": 10,
    "activation_checkpointing": False, "accumulation": 1, "compile": False,
}  # fmt: skip
FORMS = (
    ClipFormConfig(resolution=(16, 16), num_frames=5, batch_size=2, weight=1.0),
    ClipFormConfig(resolution=(32, 32), num_frames=1, batch_size=3, weight=3.0),
)
NO_TERMS: dict[str, float] = {
    "reconstruction": 0.0, "kl": 0.0, "perceptual": 0.0, "adversarial": 0.0, "lecam": 0.0, "r1": 0.0,
}  # fmt: skip
PLAIN_LOSS = AutoencoderLossConfig(**{**NO_TERMS, "reconstruction": 1.0, "kl": 1e-3})


def autoencoder_training(**changes: Any) -> AutoencoderTrainingConfig:
    """The section ``train_autoencoder`` with some keys changed."""
    values = {
        **LOOP, "forms": FORMS, "joint": False, "loss": PLAIN_LOSS, "discriminator": None, "perceptual_network": None,
        "initial_weights": None,
    }  # fmt: skip
    return AutoencoderTrainingConfig(**{**values, **changes})


def diffusion_training(**changes: Any) -> DiffusionTrainingConfig:
    """The section of a transformer's training with some keys changed."""
    values = {
        **LOOP, "batch_size": 4, "image_fraction": 0.25, "condition_dropout": 0.1, "self_conditioning_probability": 0.5,
        "frame_prediction_probability": 0.0, "timestep_bands": 4,
    }  # fmt: skip
    return DiffusionTrainingConfig(**{**values, **changes})
