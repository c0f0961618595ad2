"""What a step of transformer training is: videos and stacks of images, noise, conditions, loss.

Everything random is a function of (seed, step, sample), so a step can be computed anywhere and at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from walt.core.errors import RejectLimitError
from walt.data.loader import LatentDataset, TextDataset
from walt.data.order import batch_keys, hash_integer
from walt.diffusion.noise import sample_noise, sample_uniform
from walt.diffusion.schedule import Schedule
from walt.training.config import DiffusionTrainingConfig
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer


@dataclass(frozen=True)
class DiffusionBatch:
    """Videos, or stacks of images that fill the frames of a video.

    ``latents``, ``noise`` (B, c, t, h, w); ``timesteps`` (B,); ``text`` (B, L, S) for videos, (B, t, L, S) for stacks,
    ``text_mask`` likewise. For super-resolution ``low_resolution`` (B, c, t, h / f, w / f), already noised to
    ``noise_level`` (B,).
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    text: Tensor
    text_mask: Tensor
    images: bool
    low_resolution: Tensor | None
    noise_level: Tensor | None

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: str) -> DiffusionBatch:
        """The same on another device."""
        tensors: dict[str, Any] = {name: v.to(device) for name, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


class BatchMaker:
    """Makes batches from latents and text.

    Args:
        config: the model that the batches are for.
        low_latents: the lower resolution's latents, for a super-resolution model.

    Raises:
        RejectLimitError: the split has no video.
    """

    def __init__(
        self,
        config: TransformerConfig,
        schedule: Schedule,
        latents: LatentDataset,
        low_latents: LatentDataset | None,
        text: TextDataset,
        condition_dropout: float,
        seed: int,
    ) -> None:
        self.config, self.schedule, self.seed = config, schedule, seed
        self.latents, self.low_latents, self.text = latents, low_latents, text
        self.condition_dropout = condition_dropout
        if not latents.video_keys:
            raise RejectLimitError(f"{latents.reader.directory}: no video in the split {latents.split}")

    def videos(self, step: int, count: int) -> DiffusionBatch:
        """``count`` videos of a step."""
        keys = batch_keys(hash_integer("videos", self.seed), step, count, self.latents.video_keys)
        low = self.low_latents.latents(keys) if self.low_latents else None
        return self._batch(step, list(keys), self.latents.latents(keys), low, images=False)

    def image_stacks(self, step: int, count: int) -> DiffusionBatch:
        """``count`` stacks of t independent images each."""
        frames = self.config.latent_grid[0]
        keys = batch_keys(hash_integer("images", self.seed), step, count * frames, self.latents.image_keys)
        low = _stack(self.low_latents.latents(keys), frames) if self.low_latents else None
        return self._batch(step, list(keys), _stack(self.latents.latents(keys), frames), low, images=True)

    def _batch(self, step: int, keys: list[str], latents: Tensor, low: Tensor | None, images: bool) -> DiffusionBatch:
        count = len(latents)
        per_item = len(keys) // count
        names = [":".join(keys[i : i + per_item]) + f":{i}" for i in range(0, len(keys), per_item)]
        uniform = sample_uniform(self.seed, step, names, count=2 + per_item)  # (B, timestep, level, dropout ...)
        text, mask = self.text.embeddings(keys)
        dropped = uniform[:, 2:].flatten() < self.condition_dropout
        null, null_mask = self.text.null()
        text[dropped], mask[dropped] = null, null_mask
        if images:
            text, mask = text.unflatten(0, (count, per_item)), mask.unflatten(0, (count, per_item))
        level = None
        if self.config.super_resolution is not None:
            assert low is not None, "a super-resolution model needs low-resolution latents"
            level = (uniform[:, 1] * (self.config.super_resolution.max_noise_level + 1)).long()
            low = self.schedule.add_noise(low, self._noise("low resolution", step, names, low), level)
        timesteps = (uniform[:, 0] * self.schedule.num_steps).long()
        noise = self._noise("noise", step, names, latents)
        return DiffusionBatch(latents, noise, timesteps, text, mask, images, low, level)

    def _noise(self, name: str, step: int, keys: list[str], like: Tensor) -> Tensor:
        return sample_noise(hash_integer(name, self.seed), step, keys, tuple(like.shape[1:]))


class DiffusionObjective:
    """Batches and losses of the ``train_base`` and ``train_sr_2x`` sections."""

    def __init__(
        self, model: WaltTransformer, schedule: Schedule, maker: BatchMaker, config: DiffusionTrainingConfig, seed: int
    ) -> None:
        self.model, self.schedule, self.maker, self.config, self.seed = model, schedule, maker, config, seed
        self.device = str(next(model.parameters()).device)
        stacks = round(config.image_fraction * config.batch_size) if maker.latents.image_keys else 0
        self.counts = (config.batch_size - stacks, stacks)

    # data and noise are made in full precision, wherever this is called
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def batch(self, step: int) -> list[DiffusionBatch]:
        """The batch of a step: videos, and the stacks of images that are trained jointly (paper section 3.3)."""
        videos, stacks = self.counts
        parts = [self.maker.videos(step, videos)] if videos else []
        return [*parts, self.maker.image_stacks(step, stacks)] if stacks else parts

    def losses(self, step: int, batch: list[DiffusionBatch]) -> dict[str, Tensor]:
        """``loss``: the mean squared error of the prediction; ``video`` and ``image``: its parts."""
        # drawn a step, not a sample: either way the first pass is one forward of the whole batch
        twice = hash_integer("self-conditioning", self.seed, step) / 2**64 < self.config.self_conditioning_probability
        terms, total = {}, torch.zeros((), device=self.device)
        for part in batch:
            loss = prediction_loss(self.model, self.schedule, part.to(self.device), self_conditioning=twice).mean()
            terms["image" if part.images else "video"] = loss
            total = total + loss * (len(part) / self.config.batch_size)
        return {"loss": total, **terms}


def prediction_loss(
    model: WaltTransformer, schedule: Schedule, batch: DiffusionBatch, self_conditioning: bool
) -> Tensor:
    """Squared error of the prediction, a sample: (B,).

    With ``self_conditioning`` the estimate of a first pass without gradient is an input of the second (section 3.2.2).
    """
    x_t = schedule.add_noise(batch.latents, batch.noise, batch.timesteps)

    def predict(estimate: Tensor | None) -> Tensor:
        output = model(
            x_t, batch.timesteps, batch.text, batch.text_mask, images=batch.images, self_condition=estimate,
            low_resolution=batch.low_resolution, noise_level=batch.noise_level,
        )  # fmt: skip
        return output.float()

    estimate = None
    if self_conditioning and model.config.self_conditioning:
        with torch.no_grad():
            estimate = schedule.predict_x0(predict(None), x_t, batch.timesteps)
    target = schedule.target(batch.latents, batch.noise, batch.timesteps)
    return (predict(estimate) - target).square().flatten(1).mean(1)


def _stack(images: Tensor, frames: int) -> Tensor:
    """(B t, c, 1, h, w) -> (B, c, t, h, w)."""
    return images[:, :, 0].unflatten(0, (-1, frames)).transpose(1, 2)
