"""What the autoencoder holds in memory: a training step, encoding and decoding, run with tensors without values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from walt.autoencoder.config import AutoencoderConfig, latent_shape
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.losses import LeCam
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual import PerceptualNetwork
from walt.autoencoder.perceptual_architecture import perceptual_architecture
from walt.autoencoder.streaming import clips_at_once, decode_within, encode_within
from walt.commands.describe.planned_steps import Peaks, continued, step_peaks
from walt.core.paths import located
from walt.core.sizes import Size
from walt.nn.causal import use_channels_last
from walt.nn.planned_memory import Plan, planned
from walt.training.autoencoder_config import AutoencoderTrainingConfig, ClipFormConfig
from walt.training.autoencoder_objective import AutoencoderBatch, AutoencoderObjective
from walt.training.trained_model import TrainedModel

Device = Literal["cuda", "cpu"]
Forms = tuple[ClipFormConfig, ...]
_FEWEST_PARTS = 2


class PlannedObjective(AutoencoderObjective):
    """The losses of batches that come from nowhere; each form has peaks of its own."""

    def __init__(
        self,
        plan: Plan,
        model: CausalAutoencoder,
        config: AutoencoderTrainingConfig,
        discriminator: Discriminator | None,
        perceptual: PerceptualNetwork | None,
    ) -> None:
        self.model, self.config, self.seed = model, config, 0
        self.discriminator, self.perceptual = discriminator, perceptual
        self.device = str(next(model.parameters()).device)
        self.lecam: LeCam | None = None
        self._outputs = None
        self._plan = plan

    def _terms(self, video: Tensor, noise: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        self._plan.memory.prefix = _form(video)
        return super()._terms(video, noise)

    def _discriminator_terms(self, real: Tensor, fake: Tensor) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        self._plan.memory.prefix = f"discriminator, {_form(real)}"
        return super()._discriminator_terms(real, fake)


def _form(video: Tensor) -> str:
    """``12 x 17x128x128, ``"""
    return f"{len(video)} x {'x'.join(map(str, video.shape[2:]))}, "


def autoencoder_training_peaks(
    config: AutoencoderConfig, training: AutoencoderTrainingConfig, root: Path, devices: int, device: Device = "cuda"
) -> Peaks:
    """Of a step on one of ``devices``: for each form the phases ``forward`` and ``backward``, of the autoencoder and of
    the discriminator; and ``update``.

    All parts of a form are alike, and each leaves the same behind for the discriminator: where there are many, few are
    counted and continued.

    Args:
        root: what a relative folder of the perceptual network is relative to.
    """
    found: Peaks = {}
    for forms in [training.forms] if training.joint else [(form,) for form in training.forms]:
        sizes = [-(-form.batch_size // devices) // training.accumulation for form in forms]

        def of_parts(parts: int, forms: Forms = forms, sizes: list[int] = sizes) -> Peaks:
            some = tuple(
                form.model_copy(update={"batch_size": parts * size}) for form, size in zip(forms, sizes, strict=True)
            )
            with planned(device) as plan:
                return _step(plan, config, training.model_copy(update={"forms": some, "accumulation": parts}), root)

        for phase, kinds in continued(training.accumulation, of_parts, _FEWEST_PARTS, 1).items():
            found[phase] = max(found.get(phase, kinds), kinds, key=lambda kinds: sum(kinds.values()))
    return found


def _step(plan: Plan, config: AutoencoderConfig, training: AutoencoderTrainingConfig, root: Path) -> Peaks:
    discriminator = perceptual = None
    with torch.device("meta"):
        model = CausalAutoencoder(config)
        if training.discriminator is not None:
            discriminator = Discriminator(training.discriminator)
        if training.perceptual_network is not None:
            perceptual = perceptual_architecture(located(root, training.perceptual_network))
    model.activation_checkpointing = training.activation_checkpointing
    use_channels_last(model)
    plan.place(model)
    if discriminator is not None:
        use_channels_last(discriminator)
        plan.place(discriminator)
    if perceptual is not None:
        plan.place(perceptual)
    objective = PlannedObjective(plan, model, training, discriminator, perceptual)
    if training.loss.lecam:
        with torch.device("meta"):
            objective.lecam = LeCam()
        plan.place(objective.lecam)
    total = sum(form.weight for form in training.forms)
    batches = [
        AutoencoderBatch(
            torch.empty(form.batch_size, 3, form.num_frames, *form.resolution),
            torch.empty(form.batch_size, *latent_shape(config, form.num_frames, *form.resolution)),
            form.weight / total,
        )
        for form in training.forms
    ]
    models = [TrainedModel(model, lambda step: objective.losses(step, batches), training)]
    if (second := objective.second_model()) is not None:
        models.append(TrainedModel(second.model, second.losses, training, second.name))
    return step_peaks(plan, models, step=0)


def encoding_peak(
    config: AutoencoderConfig, num_frames: int, size: Size, megapixels: float, precision: str, device: Device = "cuda"
) -> Peaks:
    """Of clips of one size that are encoded together, or of one that is encoded in pieces: phase ``encode``."""
    count = clips_at_once(num_frames, size, megapixels)
    with planned(device) as plan, torch.inference_mode():
        model = _placed(plan, config)
        video = plan.tensor(count, 3, num_frames, *size, kind="batch").contiguous(memory_format=torch.channels_last_3d)
        plan.count(video, "batch")
        plan.memory.begin()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            encode_within(model, video, megapixels)
        return {"encode": plan.memory.peaks["forward"]}


def decoding_peak(
    config: AutoencoderConfig, num_frames: int, size: Size, megapixels: float, precision: str, device: Device = "cuda"
) -> Peaks:
    """Of videos of one size that are decoded together, or of one that is decoded in pieces: phase ``decode``."""
    count = clips_at_once(num_frames, size, megapixels)
    with planned(device) as plan, torch.inference_mode():
        model = _placed(plan, config)
        latents = plan.tensor(count, *latent_shape(config, num_frames, *size), kind="batch")
        plan.memory.begin()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            for piece in decode_within(model, latents, megapixels):
                piece.float().clamp(-1.0, 1.0)
        return {"decode": plan.memory.peaks["forward"]}


def _placed(plan: Plan, config: AutoencoderConfig) -> CausalAutoencoder:
    with torch.device("meta"):
        model = CausalAutoencoder(config).eval()
    use_channels_last(model)
    plan.place(model)
    return model
