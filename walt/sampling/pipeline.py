"""Prompts to videos: base latents, super-resolution, decoding. Read ``Pipeline.__call__`` as the recipe.

Legend: B batch, c latent channels, t latent frames, h w latent cells, L text tokens, D width of the text encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from walt.autoencoder.io import load_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.errors import ConfigurationError
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.guidance import guided
from walt.diffusion.noise import sample_noise
from walt.diffusion.samplers import Predict, ddim
from walt.diffusion.schedule import Schedule
from walt.sampling.config import SampleConfig
from walt.text.encoder import TextEncoder, load_text_encoder
from walt.transformer.io import load_transformer
from walt.transformer.model import WaltTransformer

Progress = Callable[[int], None]
"""Called with the number of videos that have just come one model evaluation further."""


@dataclass(frozen=True)
class TextCondition:
    """Embeddings of prompts and of the empty caption."""

    embeddings: Tensor
    """(B, L, D)"""
    mask: Tensor
    """(B, L) bool"""
    null_embedding: Tensor
    """(1, L, D)"""
    null_mask: Tensor
    """(1, L) bool"""


@dataclass(frozen=True)
class LowResolution:
    """What a super-resolution model starts from."""

    latents: Tensor
    """(B, c, t, h / f, w / f), normalised, with noise of ``noise_level`` added."""
    noise_level: int
    """In diffusion steps."""


@dataclass(frozen=True)
class SampleBatch:
    """Generated videos, (B, 3, T, H, W) in [-1, 1] on the CPU; ``base_videos`` is None without a cascade."""

    prompts: tuple[str, ...]
    videos: Tensor
    base_videos: Tensor | None


@dataclass(frozen=True)
class Pipeline:
    """All that is needed to turn a prompt into a video."""

    text_encoder: TextEncoder
    base: WaltTransformer
    super_resolution: WaltTransformer | None
    autoencoder: CausalAutoencoder
    statistics: LatentStatistics
    schedule: Schedule
    device: str

    @classmethod
    def load(
        cls,
        *,
        text_encoder: Path,
        autoencoder: Path,
        base: Path,
        super_resolution: Path | None,
        diffusion: DiffusionConfig,
        device: str,
        root: Path,
    ) -> Pipeline:
        """Load the models' folders; ``root`` is what a relative folder of the text encoder is relative to.

        Raises:
            ConfigurationError, StorageError, CorruptArtifactError: a folder is missing, damaged or does not fit.
        """
        encoder = load_text_encoder(text_encoder, device, root)
        decoder, statistics = load_autoencoder(autoencoder, device)
        models = [load_transformer(folder, device) for folder in (base, super_resolution) if folder is not None]
        for model in models:
            if model.config.text_width != encoder.width:
                raise ConfigurationError(
                    f"{text_encoder}: the encoder is {encoder.width} wide, the models expect {model.config.text_width}"
                )
        schedule = Schedule.from_config(diffusion)
        return cls(encoder, models[0], models[1] if len(models) > 1 else None, decoder, statistics, schedule, device)

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Sequence[str],
        seed: int,
        config: SampleConfig,
        first_index: int = 0,
        progress: Progress | None = None,
    ) -> SampleBatch:
        """Generate one video a prompt.

        The noise of a video is a function of ``seed`` and of its index, ``first_index`` + its place among ``prompts``:
        how the prompts are cut into batches changes nothing.
        """
        text = encode_prompts(self.text_encoder, prompts)
        indices = range(first_index, first_index + len(prompts))
        base_latents = sample_latents(
            self.base,
            self.schedule,
            text,
            keys("base", indices),
            seed,
            config,
            config.guidance_scale,
            progress=progress,
        )  # (B, c, t, h, w)
        base_videos = decode(self.autoencoder, self.statistics, base_latents)
        if not config.cascade:
            return SampleBatch(tuple(prompts), base_videos, None)
        assert self.super_resolution is not None, "load the pipeline with super_resolution for a cascade"
        low = augment(self.super_resolution, self.schedule, base_latents, keys("augmentation", indices), seed)
        latents = sample_latents(
            self.super_resolution, self.schedule, text, keys("super-resolution", indices), seed, config,
            config.super_resolution_guidance_scale, low, progress,
        )  # (B, c, t, f h, f w)  # fmt: skip
        return SampleBatch(tuple(prompts), decode(self.autoencoder, self.statistics, latents), base_videos)


def encode_prompts(encoder: TextEncoder, prompts: Sequence[str]) -> TextCondition:
    """Embed prompts and the empty caption."""
    embeddings, mask = encoder.encode([*prompts, ""])
    return TextCondition(embeddings[:-1], mask[:-1], embeddings[-1:], mask[-1:])


def keys(purpose: str, indices: Sequence[int]) -> list[str]:
    """Names of the videos for ``walt.diffusion.noise``: each purpose has noise of its own."""
    return [f"{purpose}:{index}" for index in indices]


def sample_latents(
    model: WaltTransformer,
    schedule: Schedule,
    text: TextCondition,
    noise_keys: Sequence[str],
    seed: int,
    config: SampleConfig,
    guidance_scale: float,
    low_resolution: LowResolution | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Denoise from pure noise with DDIM: normalised latents (B, c, t, h, w)."""
    device = text.embeddings.device
    shape = (model.config.latent_channels, *model.config.latent_grid)

    def noise(step: int) -> Tensor:
        return sample_noise(seed, step, noise_keys, shape, str(device))

    def callback(done: int, estimate: Tensor) -> None:
        if progress is not None:
            progress(len(estimate))

    predict = guided_predict(model, schedule, text, guidance_scale, low_resolution)
    return ddim(predict, noise(0), schedule, config.steps, config.eta, noise, callback)


def guided_predict(
    model: WaltTransformer,
    schedule: Schedule,
    text: TextCondition,
    guidance_scale: float,
    low_resolution: LowResolution | None = None,
) -> Predict:
    """The model as a sampler wants it: guided, and fed with its own previous estimate of the clean latents.

    With guidance, the conditional and the unconditional half go through the model as one batch. The function that is
    returned remembers the last estimate, so use a fresh one for each batch of videos.
    """
    estimate: Tensor | None = None

    def predict(x: Tensor, timestep: int) -> Tensor:
        nonlocal estimate
        batch = x.shape[0]
        steps = torch.full((batch,), timestep, dtype=torch.int64, device=x.device)
        given = {"self_condition": estimate}
        if low_resolution is not None:
            given["low_resolution"] = low_resolution.latents
            given["noise_level"] = torch.full_like(steps, low_resolution.noise_level)
        if guidance_scale == 1.0:
            output: Tensor = model(x, steps, text.embeddings, text.mask, **given)
        else:
            embeddings = torch.cat([text.embeddings, text.null_embedding.expand_as(text.embeddings)])
            mask = torch.cat([text.mask, text.null_mask.expand_as(text.mask)])
            twice = {name: None if value is None else torch.cat([value, value]) for name, value in given.items()}
            both = model(torch.cat([x, x]), torch.cat([steps, steps]), embeddings, mask, **twice)
            output = guided(both[:batch], both[batch:], guidance_scale)
        if model.config.self_conditioning:
            estimate = schedule.predict_x0(output, x, steps)
        return output

    return predict


def augment(
    model: WaltTransformer, schedule: Schedule, latents: Tensor, noise_keys: Sequence[str], seed: int
) -> LowResolution:
    """Add noise of ``sampling_noise_level`` to base latents, so that they look like what the model saw in training."""
    assert model.config.super_resolution is not None
    level = model.config.super_resolution.sampling_noise_level
    noise = sample_noise(seed, 0, noise_keys, tuple(latents.shape[1:]), str(latents.device))
    levels = torch.full((latents.shape[0],), level, dtype=torch.int64, device=latents.device)
    return LowResolution(schedule.add_noise(latents, noise, levels), level)


def decode(autoencoder: CausalAutoencoder, statistics: LatentStatistics, latents: Tensor) -> Tensor:
    """Normalised latents (B, c, t, h, w) -> videos (B, 3, T, H, W) in [-1, 1] on the CPU, one at a time (memory)."""
    videos = [autoencoder.decode(statistics.denormalize(one)).clamp(-1.0, 1.0).cpu() for one in latents[:, None]]
    return torch.cat(videos)
