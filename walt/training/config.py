"""The sections of the trainings: what every loop has, and what a transformer's has besides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from walt.core.config import Section

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""Of a moving average: what it keeps; 1 would take in nothing."""


IfDifferent = Literal["refuse", "go-on", "afresh"]


class ResumeConfig(Section):
    """The ``resume`` section: what a training does with the checkpoints that an earlier start left."""

    if_different: IfDifferent
    """Where a run that has not finished would have another result than its checkpoint leads to: stop, go on from
    there, or begin afresh and set the checkpoints aside. ``walt <stage> --go-on`` and ``--afresh`` say so once."""
    kept_set_aside: PositiveInt | None
    """Runs per stage whose checkpoints stay in ``work/<stage>/set-aside``, the newest; removed when a run has finished.
    null: all."""


class AdafactorConfig(Section):
    """What uses of Adafactor differ in. The paper names the optimizer and no more: docs/open-readings.md."""

    parameter_scale: bool
    """Whether a step is relative to the parameter's RMS, as PyTorch's is. False: the learning rate is a step's size."""
    beta1: Decay
    """Of the moving average of the steps; 0, as PyTorch's, keeps none and saves memory as large as the weights."""
    beta2_cap: Fraction
    """Step t keeps 1 - t^-0.8 of the second moments, and at most this; 1 is PyTorch's."""


class MuonConfig(Section):
    """Of Muon, whose steps of matrices and kernels are orthogonal; the other parameters move by AdamW."""

    momentum: Decay
    """Share of the gradients' moving average that a step keeps."""
    cut: PositiveInt | None
    """Matrices whose shorter side is longer are cut into equal parts no longer than this, each made orthogonal by
    itself: less work, which grows with the square of that side. null: none is cut."""


class OptimizerConfig(Section):
    """Optimizer and learning-rate schedule. The autoencoder's is Adam in the paper: adamw with weight decay 0."""

    name: Literal["adamw", "adafactor", "muon"]
    learning_rate: PositiveFloat
    """Peak value."""
    betas: tuple[Decay, Decay]
    """Of adamw, and of what muon leaves to it. The paper's autoencoder has (0, 0.99)."""
    adafactor: AdafactorConfig
    """Of adafactor."""
    muon: MuonConfig
    """Of muon."""
    weight_decay: NonNegativeFloat
    gradient_clip: PositiveFloat
    """Largest global norm of the gradient."""
    schedule: Literal["constant", "cosine"]
    warmup_steps: int = Field(ge=0)
    final_fraction: Fraction
    """Learning rate at the last step, as a share of the peak."""


class ValidationConfig(Section):
    """What is looked at while a model is trained; it changes nothing of the result."""

    every: PositiveInt
    """Steps from one look to the next; there is one more after the last step."""
    clips: PositiveInt
    """Held-out clips that are measured, the first of those that the evaluation draws: of an autoencoder so many videos
    and so many images at each size. Where fewer are held out, all of them."""
    samples: NonNegativeInt
    """Videos that are kept as files of the MLflow run, by step: samples of the captions or classes of the first
    of these clips, each with the same noise at every look; of an autoencoder the clips beside their reconstructions.
    0: none."""


class DiffusionValidationConfig(ValidationConfig):
    """Of a transformer's training. The loss is measured in ``timestep_bands`` bands."""

    sampling_steps: PositiveInt
    """DDIM steps of a sample. Guidance is that of the section ``sample``."""


class LoopConfig(Section):
    """What every training stage has."""

    steps: PositiveInt
    optimizer: OptimizerConfig
    ema_decay: Decay
    """Decay of the weights' moving average; 0 keeps none."""
    precision: Literal["fp32", "bf16"]
    """Of products; the weights are fp32. Processors without instructions for bf16 compute bf16 in fp32, many times
    faster there."""
    log_every: PositiveInt
    checkpoint_every: PositiveInt
    keep_checkpoints: PositiveInt
    """How many of the newest checkpoints are kept."""
    keep_every_steps: PositiveInt | None
    """Besides, the first checkpoint of each so many steps is kept to the end of the run; null: none."""
    keep_every_hours: PositiveFloat | None
    """Likewise, the first of each so many hours of training; null: none."""
    skip_non_finite: NonNegativeInt
    """How many steps in a row are skipped because a loss or a gradient is not finite. One more ends the run with exit
    status 7, the last checkpoint before them kept."""
    spike_threshold: PositiveFloat | None
    """A loss so many deviations above the median of the last 100 is reported, as a warning and as the metric
    ``loss_spikes``; the deviation is estimated from the median absolute deviation. null: none is."""
    activation_checkpointing: bool
    """Compute each block's activations again in the backward pass instead of keeping them: less memory, a third more
    time, the same result."""
    accumulation: PositiveInt
    """Parts in which a step's batch is computed, one after the other: less memory, and the same result up to
    rounding. Of the autoencoder, parts of each form's batch."""
    compile: bool
    """Compile the model's blocks with torch.compile: some minutes once, then faster steps, the same result up to
    rounding."""
    validation: ValidationConfig | None
    """What is looked at while the model is trained; null: nothing is."""


class DiffusionTrainingConfig(LoopConfig):
    """The ``train_base``, ``finetune_aspect``, ``train_sr_2x`` and ``train_sr_4x`` sections."""

    initial_weights: str | None
    """Model whose weights are the first ones: a folder, or ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` in the
    registry; its architecture must be the same. null draws them, or takes the base model's (``finetune_aspect``)."""
    batch_size: PositiveInt
    """Clips per step."""
    image_fraction: Fraction
    """Share of the batch that are stacks of independent images (paper section 3.3, joint training).

    Every step has the same whole number of them, half to even: so ranks and parts of a step have equal shares. A share
    that rounds to no stack, or below 1 to no video, is refused: it would train something else than it says."""
    condition_dropout: Fraction
    """How often the text, or the class, is dropped, for classifier-free guidance. At 0 there is none: the scales of
    the section ``sample`` that compare with the model without it must then be 1."""
    caption_weights: dict[str, NonNegativeFloat] | None
    """Of clips that have several captions one is drawn in each step: the weight of each by its name, 1 where its name
    is not here; null: all have the same. A clip whose captions all have weight 0 is an error."""
    member_weights: dict[str, NonNegativeFloat] | None
    """Of a union: how often each of its members is drawn, by name. Its share of the videos, and of the images, is its
    weight divided by the sum of those of members that have any; 0 leaves it out. All members are named. Each member's
    clips come once an epoch of its own, so those of a small one with a large weight come more often. null: all clips
    come equally often."""
    self_conditioning_probability: Fraction
    """p_sc (paper section 3.2.2); 0 belongs to a model without that input, and to no other."""
    frame_prediction_probability: Fraction
    """p_fp (paper section 3.3, without its value): how often a video is trained with its first latent frames known, 1
    or 2 of them with equal chances. In the other videos nothing is known: guidance by frames compares with
    these, so at 1 there is no such guidance, and nothing is sampled without known frames."""
    timestep_bands: PositiveInt
    """Equal bands of diffusion steps whose losses are logged each, as ``loss/band_0`` (the least noisy) and so on."""
    validation: DiffusionValidationConfig | None
    """What is looked at while the model is trained; null: nothing is."""

    @model_validator(mode="after")
    def _check_that_parts_are_equal(self) -> DiffusionTrainingConfig:
        if self.batch_size % self.accumulation:
            raise ValueError(f"accumulation {self.accumulation} does not divide batch_size {self.batch_size}")
        return self

    @model_validator(mode="after")
    def _check_that_a_member_is_drawn(self) -> DiffusionTrainingConfig:
        if self.member_weights is not None and not any(self.member_weights.values()):
            raise ValueError("member_weights has no weight above 0")
        return self

    @model_validator(mode="after")
    def _check_that_images_and_videos_are_trained(self) -> DiffusionTrainingConfig:
        stacks = round(self.image_fraction * self.batch_size)
        share = f"image_fraction {self.image_fraction:g} of batch_size {self.batch_size} is "
        share += f"{self.image_fraction * self.batch_size:g} stacks of images per step, which rounds to"
        if self.image_fraction > 0 and stacks == 0:
            raise ValueError(f"{share} none: raise one of them, or set image_fraction to 0")
        if self.image_fraction < 1 and stacks == self.batch_size:
            raise ValueError(f"{share} all of them, without a video: raise batch_size, or set image_fraction to 1")
        return self
