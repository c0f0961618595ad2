"""From noise to latents with one transformer: what it is conditioned on, guidance, and the sampler.

Legend: B batch, c latent channels, t latent frames, h w latent cells, k known latent frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from walt.diffusion.guidance import Branch, guidance_branches, guided, power_cosine
from walt.diffusion.noise import sample_noise
from walt.diffusion.samplers import Predict, ddim, trailing_timesteps
from walt.diffusion.schedule import Schedule
from walt.nn.device import arithmetic
from walt.sampling.config import SampleConfig
from walt.sampling.prompt_inputs import Conditions
from walt.transformer.model import WaltTransformer

Progress = Callable[[int], None]
"""Called with the number of videos after each evaluation of the model for them."""
Watch = Callable[[Tensor], None]
"""Called after each step, before ``Progress``, with the present estimate of the clean latents (B, c, t, h, w),
normalised. It must not change them."""


@dataclass(frozen=True)
class NoiseStream:
    """The noise of a batch of videos. A video's noise is a function of its seed and its index, not of the batch."""

    seeds: tuple[int, ...]
    indices: tuple[int, ...]
    part: int = 0
    """Part of a long video: each part has its own noise."""
    device: str = "cpu"

    def noise(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Unit noise (B, *shape); each purpose and step has its own."""
        suffix = f":{self.part}" if self.part else ""
        keys = [f"{purpose}:{index}{suffix}" for index in self.indices]
        return sample_noise(self.seeds, step, keys, tuple(shape), self.device)


@dataclass(frozen=True)
class LowResolution:
    """What a super-resolution model starts from."""

    latents: Tensor
    """(B, c, t, h / f, w / f), normalised, with noise of ``noise_level`` added."""
    noise_level: int
    """In diffusion steps."""


@dataclass(frozen=True)
class Conditioning:
    """What a model is given of the videos besides their noisy latents."""

    conditions: Conditions
    low_resolution: LowResolution | None = None
    known: Tensor | None = None
    """The first latent frames, where they are known: (B, c, k, h, w), normalised; k is 1 or 2."""
    stills: bool = False
    """Single images of one latent frame instead of videos, as in the joint training with images (paper section 3.3)."""


@dataclass(frozen=True)
class Guidance:
    """How strongly a model is to follow its conditions; see ``walt.diffusion.guidance``."""

    scale: float
    frame_scale: float
    rescale: float = 0.0
    power: float | None = None
    """Of the power-cosine schedule that both scales follow; None: they are the same at all steps."""

    @classmethod
    def of_base(cls, config: SampleConfig) -> Guidance:
        """The base model's."""
        return cls(config.guidance_scale, config.frame_guidance_scale, config.guidance_rescale, _power(config))

    @classmethod
    def of_super_resolution(cls, config: SampleConfig) -> Guidance:
        """A super-resolution model's."""
        scale = config.super_resolution_guidance_scale
        return cls(scale, scale, config.guidance_rescale, _power(config))

    def for_inputs(self, conditioning: str, frames: bool) -> Guidance:
        """Where a model of this ``conditioning`` is given known frames or not: a scale counts only where there is a
        condition to leave out."""
        if not frames:
            scale = 1.0 if conditioning == "none" else self.scale
            return replace(self, scale=scale, frame_scale=scale)
        return replace(self, scale=self.frame_scale if conditioning == "none" else self.scale)

    def branches(self) -> tuple[Branch, ...]:
        """Evaluations of the model, at every step the same."""
        return guidance_branches(self.scale, self.frame_scale)

    def weights(self, timestep: int, num_steps: int) -> list[float]:
        """Of the branches' outputs at a step, 0 .. num_steps - 1."""
        scale, frame_scale = self.scale, self.frame_scale
        if self.power is not None:
            scale = power_cosine(scale, self.power, timestep, num_steps)
            frame_scale = power_cosine(frame_scale, self.power, timestep, num_steps)
        return [branch.weight(scale, frame_scale) for branch in self.branches()]


def _power(config: SampleConfig) -> float | None:
    return config.guidance_power if config.guidance_schedule == "power_cosine" else None


def sample_latents(
    model: WaltTransformer,
    schedule: Schedule,
    conditioning: Conditioning,
    guidance: Guidance,
    config: SampleConfig,
    stream: NoiseStream,
    purpose: str,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """Denoise from pure noise with DDIM: normalised latents (B, c, t, h, w), the first k of them the known ones; t is 1
    for stills."""
    frames, height, width = model.config.latent_grid
    shape = (model.config.latent_channels, 1 if conditioning.stills else frames, height, width)

    def noise(step: int) -> Tensor:
        return stream.noise(purpose, step, shape)

    def callback(done: int, estimate: Tensor) -> None:
        if watch is not None:
            watch(estimate)
        if progress is not None:
            progress(len(estimate))

    predict = guided_predict(model, schedule, conditioning, guidance)
    timesteps = trailing_timesteps(schedule.num_steps, config.steps)
    # around all steps, so that weights are cast once
    with arithmetic(torch.device(stream.device).type, config.precision):
        latents = ddim(predict, noise(0), schedule, timesteps, config.eta, noise, callback)
    if conditioning.known is None:
        return latents
    return torch.cat([conditioning.known, latents[:, :, conditioning.known.shape[2] :]], dim=2)


def guided_predict(
    model: WaltTransformer, schedule: Schedule, conditioning: Conditioning, guidance: Guidance
) -> Predict:
    """The model as a sampler calls it: guided, and given its own previous estimate of the clean latents.

    With guidance, all branches go through the model as one batch. The function that is returned remembers the
    last estimate, so use a fresh one for each batch of videos.
    """
    guidance = guidance.for_inputs(model.config.conditioning, conditioning.known is not None)
    branches = guidance.branches()
    fixed = fixed_inputs(model, conditioning, branches)  # the same at every step
    estimate: Tensor | None = None

    def repeated(x: Tensor) -> Tensor:
        return torch.cat([x] * len(branches))

    def predict(x: Tensor, timestep: int) -> Tensor:
        nonlocal estimate
        steps = torch.full((x.shape[0],), timestep, dtype=torch.int64, device=x.device)
        self_condition = None if estimate is None else repeated(estimate)
        outputs = model(repeated(x), repeated(steps), self_condition=self_condition, **fixed).to(x.dtype)
        output = guided(outputs, guidance.weights(timestep, schedule.num_steps), guidance.rescale)
        if model.config.self_conditioning:
            estimate = schedule.predict_x0(output, x, steps)
        return output

    return predict


def fixed_inputs(model: WaltTransformer, conditioning: Conditioning, branches: Sequence[Branch]) -> dict[str, Any]:
    """Arguments of the model's forward that no step changes, for all branches: (len(branches) B, ...)."""
    inputs: dict[str, Any] = conditioning.conditions.inputs(model.config, branches)
    if conditioning.stills:
        inputs["images"] = True
    if conditioning.low_resolution is not None:
        low = conditioning.low_resolution.latents
        levels = torch.full((len(low),), conditioning.low_resolution.noise_level, dtype=torch.int64, device=low.device)
        inputs["low_resolution"] = torch.cat([low] * len(branches))
        inputs["noise_level"] = torch.cat([levels] * len(branches))
    if conditioning.known is not None:
        count = conditioning.known.shape[2]
        known = F.pad(conditioning.known, (0, 0, 0, 0, 0, model.config.latent_grid[0] - count))  # (B, c, t, h, w)
        counts = torch.full((len(known),), count, dtype=torch.int64, device=known.device)
        inputs["known"] = torch.cat([known] * len(branches))
        inputs["known_frames"] = torch.cat([counts if branch.frames else 0 * counts for branch in branches])
    return inputs


def augment(
    model: WaltTransformer,
    schedule: Schedule,
    latents: Tensor,
    stream: NoiseStream,
    purpose: str = "augmentation",
) -> LowResolution:
    """Add noise of ``sampling_noise_level`` to the latents of the model before, so that they are like this one's
    inputs in training."""
    assert model.config.super_resolution is not None
    level = model.config.super_resolution.sampling_noise_level
    noise = stream.noise(purpose, 0, latents.shape[1:])
    levels = torch.full((latents.shape[0],), level, dtype=torch.int64, device=latents.device)
    return LowResolution(schedule.add_noise(latents, noise, levels), level)
