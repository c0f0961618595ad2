"""What a step of autoencoder training is: which clips in which form, and the loss. A function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from walt.autoencoder.losses import kl_loss, reconstruction_loss, sample_latents
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import RejectLimitError
from walt.core.images import Size
from walt.core.paths import Paths
from walt.data.loader import ClipDataset
from walt.data.order import FrozenKeys, batch_keys, frozen_keys, hash_integer, sample_offsets
from walt.diffusion.noise import sample_noise
from walt.training.config import AutoencoderTrainingConfig, ClipFormConfig


@dataclass(frozen=True)
class AutoencoderBatch:
    """``video`` (B, 3, frames, H, W) in [-1, 1], and the unit noise (B, c, t, h, w) of the reparameterised draw."""

    video: Tensor
    noise: Tensor


class AutoencoderObjective:
    """Batches and losses of the ``train_autoencoder`` section.

    Raises:
        RejectLimitError: there is no training clip in a form that the section asks for.
    """

    def __init__(self, model: CausalAutoencoder, config: AutoencoderTrainingConfig, paths: Paths, seed: int) -> None:
        self.model, self.config, self.seed = model, config, seed
        self.device = str(next(model.parameters()).device)
        self.datasets = {form.size: ClipDataset(paths.clips, form.size, "train") for form in config.forms}
        self.keys = [_keys_for(self.datasets[form.size], form) for form in config.forms]
        for form, keys in zip(config.forms, self.keys, strict=True):
            if not keys:
                raise RejectLimitError(f"{paths.clips}: no training clip of {form.num_frames} frames at {form.size}")

    # data and noise are made in full precision, wherever this is called
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def batch(self, step: int) -> AutoencoderBatch:
        """The batch of a step, on the CPU: one form, drawn by its weight."""
        index = draw_form(self.config.forms, self.seed, step)
        form, seed = self.config.forms[index], hash_integer("form", self.seed, index)
        keys = batch_keys(seed, step, form.batch_size, self.keys[index])
        dataset = self.datasets[form.size]
        starts = [self._start(dataset, key, form, step) for key in keys]
        video = dataset.frames(keys, starts, form.num_frames)
        return AutoencoderBatch(video, sample_noise(seed, step, keys, self._latent_shape(form)))

    def losses(self, batch: AutoencoderBatch) -> dict[str, Tensor]:
        """``loss`` and its terms; a term of weight 0 is not computed."""
        video = batch.video.to(self.device, memory_format=torch.channels_last_3d)
        mean, log_variance = self.model.encode(video)
        latents = sample_latents(mean, log_variance, batch.noise.to(self.device))
        terms: dict[str, Tensor] = {}
        weights = self.config.loss
        if weights.reconstruction:
            terms["reconstruction"] = reconstruction_loss(self.model.decode(latents), video)
        if weights.kl:
            terms["kl"] = kl_loss(mean, log_variance)
        total = sum(
            (getattr(weights, name) * term for name, term in terms.items()), torch.zeros((), device=self.device)
        )
        return {"loss": total, **terms}

    def _start(self, dataset: ClipDataset, key: str, form: ClipFormConfig, step: int) -> int:
        """A random first frame; clips start where latent frames do, stills anywhere."""
        length = len(dataset.clip(key))
        stride = 1 if form.num_frames == 1 else self.model.config.temporal_factor
        return stride * sample_offsets(self.seed, step, [key], (length - form.num_frames) // stride + 1)[0]

    def _latent_shape(self, form: ClipFormConfig) -> tuple[int, int, int, int]:
        config = self.model.config
        frames = 1 + (form.num_frames - 1) // config.temporal_factor
        height, width = (side // config.spatial_factor for side in form.size)
        return config.latent_channels, frames, height, width


def draw_form(forms: tuple[ClipFormConfig, ...], seed: int, step: int) -> int:
    """Index of the form of a step: each comes with a probability proportional to its weight."""
    draw = hash_integer("which form", seed, step) / 2**64 * sum(form.weight for form in forms)
    for index, form in enumerate(forms):
        draw -= form.weight
        if draw < 0:
            return index
    return len(forms) - 1


def _keys_for(dataset: ClipDataset, form: ClipFormConfig) -> FrozenKeys:
    """Stills are taken from images and from videos; longer forms from videos that are long enough (all are)."""
    return frozen_keys([*dataset.video_keys, *dataset.image_keys]) if form.num_frames == 1 else dataset.video_keys


def trained_sizes(config: AutoencoderTrainingConfig) -> list[Size]:
    """The picture sizes on which the autoencoder is trained, in order of first mention."""
    return list(dict.fromkeys(form.size for form in config.forms))
