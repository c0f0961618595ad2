"""Sections ``train_autoencoder``, ``train_base`` and ``train_sr_2x``: optimisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from walt.core.config import Section

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class OptimizerConfig(Section):
    """Optimizer and learning-rate schedule."""

    name: Literal["adamw", "adafactor"]
    learning_rate: PositiveFloat
    """Peak value."""
    betas: tuple[Fraction, Fraction]
    weight_decay: NonNegativeFloat
    gradient_clip: PositiveFloat
    """Largest global norm of the gradient."""
    schedule: Literal["constant", "cosine"]
    warmup_steps: int = Field(ge=0)
    final_fraction: Fraction
    """Learning rate at the last step, as a share of the peak."""


class LoopConfig(Section):
    """What every training stage has."""

    steps: PositiveInt
    optimizer: OptimizerConfig
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Decay of the weights' moving average; 0 keeps none."""
    precision: Literal["fp32", "bf16"]
    log_every: PositiveInt
    checkpoint_every: PositiveInt


class AutoencoderLossConfig(Section):
    """Weights of the loss terms; a term with weight 0 is not computed, and the log says so."""

    reconstruction: NonNegativeFloat
    kl: NonNegativeFloat


class ClipFormConfig(Section):
    """One form in which the autoencoder sees the data."""

    size: tuple[PositiveInt, PositiveInt]
    """(height, width): one of ``ingest.sizes``."""
    num_frames: PositiveInt
    """Frames taken from a clip, at a random multiple of four as offset; 1 is a still."""
    batch_size: PositiveInt
    weight: PositiveFloat
    """How often this form is drawn, relative to the others."""


class AutoencoderTrainingConfig(LoopConfig):
    """The ``train_autoencoder`` section."""

    forms: tuple[ClipFormConfig, ...] = Field(min_length=1)
    loss: AutoencoderLossConfig


class DiffusionTrainingConfig(LoopConfig):
    """The ``train_base`` and ``train_sr_2x`` sections."""

    batch_size: PositiveInt
    """Clips a step."""
    image_fraction: Fraction
    """Share of the batch that are stacks of independent images (paper section 3.3, joint training)."""
    condition_dropout: Fraction
    """How often the text is dropped, for classifier-free guidance."""
    self_conditioning_probability: Fraction
    """p_sc (paper section 3.2.2)."""
