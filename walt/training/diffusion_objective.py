"""What a step of transformer training is: videos and stacks of images, noise, conditions, loss.

Everything random is a function of (seed, step, sample), so a step can be computed anywhere and at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from walt.core.errors import RejectLimitError
from walt.core.ranks import ranks
from walt.data.conditions import StoredConditions
from walt.data.epoch_order import hash_integer, sample_draws
from walt.data.key_index import FrozenKeys
from walt.data.latent_dataset import LatentDataset
from walt.data.mixture import Mixture, drawn_keys
from walt.diffusion.noise import sample_noise, sample_uniform
from walt.diffusion.schedule import Schedule
from walt.nn.mixed import Arrangement
from walt.training.config import DiffusionTrainingConfig
from walt.training.parallel import share_of_batch, with_zeros
from walt.training.terms import Average, Terms
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

EVENLY: Mapping[str, Mixture] = MappingProxyType({})
"""No mixture: all clips of a kind come equally often."""


@dataclass(frozen=True)
class DiffusionBatch:
    """Videos, or stacks of images that fill the frames of a video, or first the ones and then the others.

    ``latents``, ``noise`` (B, c, t, h, w); ``timesteps`` (B,); ``text`` (B, L, S) for videos, (B, t, L, S) for stacks
    and for both together, ``text_mask`` likewise. For super-resolution ``low_resolution`` (B, c, t, h / f, w / f),
    already noised to ``noise_level`` (B,). For classes ``labels``, (B,) or (B, t). For frame prediction
    ``known_frames`` (B,): how many of the first latent frames the model is given.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    text: Tensor | None
    text_mask: Tensor | None
    images: bool | Arrangement
    low_resolution: Tensor | None
    noise_level: Tensor | None
    labels: Tensor | None = None
    known_frames: Tensor | None = None

    def __len__(self) -> int:
        return len(self.latents)

    def part(self, start: int, stop: int) -> DiffusionBatch:
        """Elements ``start`` .. ``stop - 1``."""
        tensors: dict[str, Any] = {name: v[start:stop] for name, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)

    def to(self, device: str) -> DiffusionBatch:
        """The same on another device. What lies in pinned memory is copied while the caller goes on."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        tensors: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in own.items()}
        return replace(self, **tensors)


class BatchMaker:
    """Makes batches from latents and their conditions.

    Args:
        config: the model that the batches are for.
        low_latents: the lower resolution's latents, for a super-resolution model.
        conditions: of each clip, of the kind that the model takes.
        condition_dropout: how often they are dropped.
        frame_prediction_probability: how often a video's first frames are known.
        mixtures: of videos (``video``) and images (``image``), where members of a union are drawn by weight.
    """

    def __init__(
        self,
        config: TransformerConfig,
        schedule: Schedule,
        latents: LatentDataset,
        low_latents: LatentDataset | None,
        conditions: StoredConditions,
        condition_dropout: float,
        frame_prediction_probability: float,
        seed: int,
        mixtures: Mapping[str, Mixture] = EVENLY,
    ) -> None:
        self.config, self.schedule, self.seed = config, schedule, seed
        self.latents, self.low_latents, self.conditions = latents, low_latents, conditions
        self.condition_dropout = condition_dropout
        self.frame_prediction_probability = frame_prediction_probability
        self.pools: dict[str, FrozenKeys | Mixture] = {"video": latents.video_keys, "image": latents.image_keys}
        self.pools.update(mixtures)

    def videos(self, step: int, count: int, places: Sequence[int] | None = None) -> DiffusionBatch:
        """``count`` videos of a step, or those of them with these places."""
        places = range(count) if places is None else places
        every = drawn_keys(hash_integer("videos", self.seed), step, count, self.pools["video"])
        keys = [every[place] for place in places]
        low = self.low_latents.latents(keys) if self.low_latents else None
        return self._batch(step, keys, places, self.latents.latents(keys), low, images=False)

    def image_stacks(self, step: int, count: int, places: Sequence[int] | None = None) -> DiffusionBatch:
        """``count`` stacks of t independent images each, or those of them with these places."""
        places = range(count) if places is None else places
        frames = self.config.latent_grid[0]
        every = drawn_keys(hash_integer("images", self.seed), step, count * frames, self.pools["image"])
        keys = [key for place in places for key in every[place * frames : (place + 1) * frames]]
        low = _stack(self.low_latents.latents(keys), frames) if self.low_latents else None
        return self._batch(step, keys, places, _stack(self.latents.latents(keys), frames), low, images=True)

    def _batch(
        self, step: int, keys: list[str], places: Sequence[int], latents: Tensor, low: Tensor | None, images: bool
    ) -> DiffusionBatch:
        """``places`` in the step's whole batch: what is drawn for an element does not depend on who computes it."""
        count = len(latents)
        per_item = len(keys) // count
        firsts = [place * per_item for place in places]  # place of an element's first clip among all clips of its kind
        names = [f"{':'.join(keys[i * per_item : (i + 1) * per_item])}:{first}" for i, first in enumerate(firsts)]
        clip_places = [first + i for first in firsts for i in range(per_item)]
        uniform = sample_uniform(self.seed, step, names, count=2 + per_item)  # (B, timestep, level, dropout ...)
        said = self.conditions.tensors(
            keys, uniform[:, 2:].flatten() < self.condition_dropout, self._caption_draws(step, keys, clip_places)
        )
        if images:
            said = {name: tensor.unflatten(0, (count, per_item)) for name, tensor in said.items()}
        level = None
        if self.config.super_resolution is not None:
            assert low is not None, "a super-resolution model needs low-resolution latents"
            level = (uniform[:, 1] * (self.config.super_resolution.max_noise_level + 1)).long()
            low = self.schedule.add_noise(low, self._noise("low resolution", step, names, low), level)
        timesteps = (uniform[:, 0] * self.schedule.num_steps).long()
        noise = self._noise("noise", step, names, latents)
        known = self._known_frames(step, names) if self.config.frame_prediction and not images else None
        return DiffusionBatch(
            latents, noise, timesteps, said.get("text"), said.get("text_mask"), images, low, level,
            labels=said.get("labels"), known_frames=known,
        )  # fmt: skip

    def _caption_draws(self, step: int, keys: list[str], places: list[int]) -> list[float]:
        """For each clip a number in [0, 1) that chooses among its captions: of no other draw's stream."""
        named = [f"{key}:{place}" for key, place in zip(keys, places, strict=True)]
        return sample_draws(self.seed, step, named, "caption")

    def _known_frames(self, step: int, names: list[str]) -> Tensor:
        """How many first latent frames of each video are known: 0, 1 or 2; never all of them. (B,) int64."""
        uniform = sample_uniform(hash_integer("frame prediction", self.seed), step, names, count=2)
        given = uniform[:, 0] < self.frame_prediction_probability
        count = 1 + (uniform[:, 1] >= 0.5).long()  # 1: from an image; 2: continuing a video
        return (given * count).clamp(max=self.config.latent_grid[0] - 1)

    def _noise(self, name: str, step: int, keys: list[str], like: Tensor) -> Tensor:
        return sample_noise(hash_integer(name, self.seed), step, keys, tuple(like.shape[1:]))


class DiffusionObjective:
    """Batches and losses of the sections that train a transformer.

    Raises:
        RejectLimitError: the batch is to hold videos, or nothing but images, and the split has none.
    """

    def __init__(
        self, model: WaltTransformer, schedule: Schedule, maker: BatchMaker, config: DiffusionTrainingConfig, seed: int
    ) -> None:
        self.model, self.schedule, self.maker, self.config, self.seed = model, schedule, maker, config, seed
        self.device = str(next(model.parameters()).device)
        latents = maker.latents
        stacks = round(config.image_fraction * config.batch_size) if latents.image_keys else 0
        self.counts = (config.batch_size - stacks, stacks)
        if config.image_fraction == 1 and not stacks:
            raise RejectLimitError(f"{latents.reader.directory}: no image in the split {latents.split}")
        if stacks < config.batch_size and not latents.video_keys:
            raise RejectLimitError(f"{latents.reader.directory}: no video in the split {latents.split}")

    # data and noise are made in full precision, wherever this is called
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def batch(self, step: int) -> list[DiffusionBatch]:
        """This rank's share of a step's batch: videos, and the stacks of images that are trained jointly (paper section
        3.3)."""
        videos, stacks = self.counts
        own = share_of_batch(self.config.batch_size)
        of_videos = [place for place in own if place < videos]
        of_stacks = [place - videos for place in own if place >= videos]
        parts = [self.maker.videos(step, videos, of_videos)] if of_videos else []
        return [*parts, self.maker.image_stacks(step, stacks, of_stacks)] if of_stacks else parts

    def losses(self, step: int, batch: list[DiffusionBatch]) -> Iterator[Terms]:
        """The terms of each part of this rank's share of a step: over all parts and ranks they add up to the step's.
        There are ``accumulation`` equal parts.

        ``loss`` is the mean squared error of the prediction; ``video`` and ``image`` are its two kinds, and
        ``loss/band_0`` and so on its bands of timesteps.
        """
        # drawn per step, not per sample: in both cases the first pass is one forward of the whole part
        twice = hash_integer("self-conditioning", self.seed, step) / 2**64 < self.config.self_conditioning_probability
        own = sum(map(len, batch))
        size = own // self.config.accumulation
        for start in range(0, own, size):
            terms = self._terms(_span(batch, start, start + size), twice)
            yield terms if ranks().count == 1 else with_zeros(terms, self._kinds(), self._names_of_bands())

    def drawn_members(self, steps: int) -> dict[str, dict[str, tuple[float, float]]]:
        """Where members are drawn by weight, by kind: the share of each, and its epochs in so many steps."""
        each = {"video": self.counts[0], "image": self.counts[1] * self.maker.config.latent_grid[0]}
        pools = {kind: pool for kind, pool in self.maker.pools.items() if isinstance(pool, Mixture) and each[kind]}
        return {
            kind: {name: (share, pool.epochs(each[kind] * steps)[name]) for name, share in pool.shares().items()}
            for kind, pool in pools.items()
        }

    def _kinds(self) -> list[str]:
        """Of a step's samples."""
        return [kind for kind, count in zip(("video", "image"), self.counts, strict=True) if count]

    def _names_of_bands(self) -> list[str]:
        return [f"loss/band_{band}" for band in range(self.config.timestep_bands)]

    def _terms(self, batch: list[DiffusionBatch], twice: bool) -> Terms:
        """The share that these samples have in the step's terms."""
        parts = [part.to(self.device) for part in batch]
        both = parts[0] if len(parts) == 1 else together(*parts)
        errors = prediction_loss(self.model, self.schedule, both, self_conditioning=twice)
        found = errors.detach().split([len(part) for part in batch])
        terms = {
            "image" if part.images else "video": error.sum() / self.counts[bool(part.images)]
            for part, error in zip(batch, found, strict=True)
        }
        bands = self._bands(torch.cat([part.timesteps for part in batch]), errors.detach())
        return {"loss": errors.sum() / self.config.batch_size, **terms, **bands}

    def _bands(self, timesteps: Tensor, errors: Tensor) -> dict[str, Average]:
        """``errors`` (B,) by bands of ``timesteps`` (B,), which are on the CPU, so the device is not waited for."""
        number = self.config.timestep_bands
        bands = timesteps * number // self.schedule.num_steps
        members = bands == torch.arange(number)[:, None]  # (bands, B)
        sums = (members.to(errors.device) * errors).sum(1)
        counts = members.sum(1).tolist()
        names = self._names_of_bands()
        return {names[band]: Average(sums[band], count) for band, count in enumerate(counts) if count}


def prediction_loss(
    model: WaltTransformer, schedule: Schedule, batch: DiffusionBatch, self_conditioning: bool
) -> Tensor:
    """Squared error of the prediction per sample: (B,).

    With ``self_conditioning`` the estimate of a first pass without gradient is an input of the second (section 3.2.2).

    Known frames have noise and count in the loss like the others (the paper does not say): a sampler denoises all
    frames together, so the model must be right about the known ones too, or the others would depend on wrong ones.
    """
    x_t = schedule.add_noise(batch.latents, batch.noise, batch.timesteps)
    known = None if batch.known_frames is None else batch.latents  # a stack's are not read

    def predict(estimate: Tensor | None) -> Tensor:
        output = model(
            x_t, batch.timesteps, batch.text, batch.text_mask, images=batch.images, self_condition=estimate,
            labels=batch.labels, known=known, known_frames=batch.known_frames, low_resolution=batch.low_resolution,
            noise_level=batch.noise_level,
        )  # fmt: skip
        return output.float()

    estimate = None
    if self_conditioning and model.config.self_conditioning:
        with torch.no_grad():
            estimate = schedule.predict_x0(predict(None), x_t, batch.timesteps)
    target = schedule.target(batch.latents, batch.noise, batch.timesteps)
    return (predict(estimate) - target).square().flatten(1).mean(1)


def together(videos: DiffusionBatch, stacks: DiffusionBatch) -> DiffusionBatch:
    """Both in one batch, so that the model is called once: with few samples a call takes as long for one kind as for
    both. A video's condition is said for each of its frames, as an image's is for it."""
    frames = videos.latents.shape[2]

    def joined(name: str, each_frame: bool = False) -> Any:
        one, other = getattr(videos, name), getattr(stacks, name)
        if one is None:
            return None
        if each_frame:
            one = one[:, None].expand(-1, frames, *[-1] * (one.dim() - 1))
        if name in ("text", "text_mask"):
            most = max(one.shape[2], other.shape[2])
            one, other = (_longer(tokens, most) for tokens in (one, other))
        return torch.cat([one, other])

    known = videos.known_frames
    if known is not None:
        known = torch.cat([known, known.new_zeros(len(stacks))])
    return replace(
        videos, images=Arrangement(len(videos), order=None), known_frames=known,
        **{name: joined(name) for name in ("latents", "noise", "timesteps", "low_resolution", "noise_level")},
        **{name: joined(name, each_frame=True) for name in ("text", "text_mask", "labels")},
    )  # fmt: skip


def _longer(tokens: Tensor, most: int) -> Tensor:
    """(B, t, L, ...) with zeros behind, up to ``most`` tokens."""
    missing = most - tokens.shape[2]
    return (
        torch.cat([tokens, tokens.new_zeros(*tokens.shape[:2], missing, *tokens.shape[3:])], 2) if missing else tokens
    )


def _span(batch: list[DiffusionBatch], start: int, stop: int) -> list[DiffusionBatch]:
    """Samples ``start`` .. ``stop - 1`` of batches that follow one another; batches without any are left out."""
    found, before = [], 0
    for part in batch:
        first, last = max(start - before, 0), min(stop - before, len(part))
        if first < last:
            found.append(part.part(first, last))
        before += len(part)
    return found


def _stack(images: Tensor, frames: int) -> Tensor:
    """(B t, c, 1, h, w) -> (B, c, t, h, w)."""
    return images[:, :, 0].unflatten(0, (-1, frames)).transpose(1, 2)
