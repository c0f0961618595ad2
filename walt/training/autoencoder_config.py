"""Section ``train_autoencoder``."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from walt.autoencoder.config import DiscriminatorConfig
from walt.core.config import Section
from walt.training.config import LoopConfig


class AutoencoderLossConfig(Section):
    """Weights of the loss terms; a term with weight 0 is not computed, and the log says so.

    The paper's: reconstruction 5, adversarial 0.1, perceptual 0.1, lecam 0.001, r1 10; it leaves kl open.
    """

    reconstruction: NonNegativeFloat
    kl: NonNegativeFloat
    perceptual: NonNegativeFloat
    """Distance between the logits of ``perceptual_network``."""
    adversarial: NonNegativeFloat
    """Weight in the autoencoder's loss; in the discriminator's own loss the adversarial term has weight 1."""
    lecam: NonNegativeFloat
    """LeCam regulariser of the discriminator (arXiv 2104.03310)."""
    r1: NonNegativeFloat
    """Gamma of the discriminator's gradient penalty at real videos (arXiv 1801.04406)."""


class ClipFormConfig(Section):
    """One form in which the autoencoder sees the data."""

    renamed_keys: ClassVar[dict[str, str]] = {"size": "resolution"}  # DVC's run cache overlooks keys called size

    resolution: tuple[PositiveInt, PositiveInt]
    """(height, width): one of ``ingest.sizes``."""
    num_frames: PositiveInt
    """Frames taken from a clip, at a random multiple of four as offset; 1 is a still."""
    batch_size: PositiveInt
    weight: PositiveFloat
    """How often this form is drawn, or how much it counts in a joint step, relative to the others."""


class AutoencoderTrainingConfig(LoopConfig):
    """The ``train_autoencoder`` section."""

    forms: tuple[ClipFormConfig, ...] = Field(min_length=1)
    joint: bool
    """True: each step holds a batch of every form, and the terms are averaged by the forms' weights. False: each step
    holds one form, drawn by weight."""
    loss: AutoencoderLossConfig
    discriminator: DiscriminatorConfig | None
    """For the adversarial loss; null without it."""
    perceptual_network: str | None
    """Folder of an image classifier (transformers, safetensors; ResNet-50 in the paper); null without the term."""
    statistics_clips: Annotated[int, Field(ge=2)] | None
    """Clips at each size that the latents' mean and deviation are measured on, drawn by the seed; null: all. The error
    that this leaves is among the stage's figures, in shares of the deviation."""
    initial_weights: str | None
    """A trained autoencoder, of videos or of images, whose weights are the first ones: a folder, or
    ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` in the registry; null draws them."""

    frozen: str | None
    """A trained autoencoder that is published exactly as it is, with the statistics of its latents: a folder, or
    ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` in the registry. Nothing is trained then, so latents of clips
    that were encoded with it stay; ``forms`` says only at which sizes it is measured. A folder may also hold a causal
    autoencoder of diffusers (``walt.autoencoder.diffusers_vae``). Null trains."""

    @model_validator(mode="after")
    def _check_that_frozen_weights_are_the_only_ones(self) -> AutoencoderTrainingConfig:
        if self.frozen is not None and self.initial_weights is not None:
            raise ValueError("frozen is given, so nothing is trained from initial_weights: it must be null")
        return self

    @model_validator(mode="after")
    def _check_what_the_loop_offers(self) -> AutoencoderTrainingConfig:
        for number, form in enumerate(self.forms):
            if form.batch_size % self.accumulation:
                raise ValueError(
                    f"accumulation {self.accumulation} does not divide forms.{number}.batch_size {form.batch_size}"
                )
        if self.compile:
            raise ValueError("compile is true, but only transformers are compiled: it must be false")
        return self

    @model_validator(mode="after")
    def _check_that_terms_have_their_networks(self) -> AutoencoderTrainingConfig:
        for term, key in (("adversarial", "discriminator"), ("perceptual", "perceptual_network")):
            weight, network = getattr(self.loss, term), getattr(self, key)
            if weight and network is None:
                raise ValueError(f"loss.{term} is {weight:g}, which needs {key}")
            if network is not None and not weight:
                raise ValueError(f"{key} is given, but loss.{term} is 0: nothing would use it")
        for term in ("lecam", "r1"):
            if getattr(self.loss, term) and not self.loss.adversarial:
                raise ValueError(f"loss.{term} is {getattr(self.loss, term):g}, which needs loss.adversarial above 0")
        return self
