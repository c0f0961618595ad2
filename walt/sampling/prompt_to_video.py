"""Prompts to videos: base latents, super-resolution once or twice, decoding. Read ``Pipeline.__call__`` as the recipe.

Legend: B batch, c latent channels, t latent frames, h w latent cells, k known latent frames, f_t pixel frames per
latent frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from walt.autoencoder.io import load_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.autoencoder.streaming import clips_at_once, decode_within, encode_within
from walt.core.errors import ConfigurationError
from walt.core.sizes import Size, size_folder
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.nn.device import arithmetic
from walt.nn.pretrained import load_config, weights_digest
from walt.sampling.config import SampleConfig
from walt.sampling.denoise import Conditioning, Guidance, NoiseStream, Progress, Watch, augment, sample_latents
from walt.sampling.prompt_inputs import Prompt, make_conditions
from walt.text.encoder import TextEncoder, load_text_encoder
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer, load_transformer


@dataclass(frozen=True)
class Beginning:
    """The first frames of videos, where they are given: one frame, or 1 + f_t."""

    cascade: tuple[Tensor, ...]
    """The same frames in the resolution of each model that takes part, the base model's first: (B, 3, frames, H, W) in
    [-1, 1]."""

    @property
    def num_frames(self) -> int:
        """Pixel frames that are given."""
        return self.cascade[0].shape[2]


@dataclass(frozen=True)
class SampleBatch:
    """Generated videos, on the CPU."""

    prompts: tuple[Prompt, ...]
    cascade: tuple[Tensor, ...]
    """The videos as each model that took part made them, the base model's first: (B, 3, T, H, W) in [-1, 1]."""

    @property
    def videos(self) -> Tensor:
        """The final ones."""
        return self.cascade[-1]

    @property
    def base_videos(self) -> Tensor | None:
        """The base model's, where super-resolution followed."""
        return self.cascade[0] if len(self.cascade) > 1 else None


@dataclass(frozen=True)
class Pipeline:
    """All that is needed to turn a prompt into a video."""

    text_encoder: TextEncoder | None
    """None for models that take no text."""
    base: WaltTransformer
    super_resolutions: tuple[WaltTransformer, ...]
    """In the order in which they follow the base model."""
    autoencoder: CausalAutoencoder
    statistics: LatentStatistics
    schedule: Schedule
    device: str
    versions: Mapping[str, str]
    """SHA-256 of each model's weights."""
    megapixels: float = math.inf
    """Of all frames that are encoded or decoded at once, in millions (``walt.autoencoder.streaming``)."""

    @classmethod
    def load(
        cls,
        *,
        text_encoder: Path,
        autoencoder: Path,
        normalized: bool,
        transformers: Mapping[str, Path],
        diffusion: DiffusionConfig,
        device: str,
        root: Path,
        megapixels: float = math.inf,
    ) -> Pipeline:
        """Load the models' folders.

        Args:
            normalized: whether the transformers were trained on normalised latents.
            transformers: name -> folder: the base model, then the super-resolution models in their order.
            root: what a relative folder of the text encoder is relative to.

        Raises:
            ConfigurationError, StorageError, CorruptArtifactError: a folder is missing, damaged or does not fit.
        """
        configs = {name: load_config(folder, TransformerConfig) for name, folder in transformers.items()}
        _check_order(configs)
        base = next(iter(configs))
        text_taken = any(config.conditioning == "text" for config in configs.values())
        encoder = load_text_encoder(text_encoder, device, root) if text_taken else None
        for name, config in configs.items():
            if encoder is not None and config.conditioning == "text" and config.text_width != encoder.width:
                raise ConfigurationError(
                    f"{text_encoder}: the encoder is {encoder.width} wide, the models expect {config.text_width}"
                )
            if config.conditioning not in (configs[base].conditioning, "none"):
                raise ConfigurationError(
                    f"{transformers[name]}: its conditioning is {config.conditioning}, that of {transformers[base]} is "
                    f"{configs[base].conditioning}: they cannot follow one another"
                )
        decoder, statistics = load_autoencoder(autoencoder, device, normalized)
        first, *others = (load_transformer(folder, device) for folder in transformers.values())
        folders = {**transformers, "autoencoder": autoencoder}
        versions = {name: weights_digest(folder) for name, folder in folders.items()}
        if encoder is not None:
            versions["text_encoder"] = encoder.digest
        return cls(
            encoder, first, tuple(others), decoder, statistics, Schedule.from_config(diffusion), device, versions,
            megapixels,
        )  # fmt: skip

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Sequence[Prompt],
        seed: int | Sequence[int],
        config: SampleConfig,
        *,
        indices: Sequence[int] | None = None,
        part: int = 0,
        beginning: Beginning | None = None,
        stills: bool = False,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> SampleBatch:
        """Generate one video per prompt.

        The noise of a video is a function of its seed, its index and its part: how prompts are cut into batches
        changes nothing.

        Args:
            prompts: texts, classes or None, as the models' conditioning is.
            seed: one for all, or one per video.
            indices: distinguish videos of one seed; by default their places among ``prompts``.
            part: number of this part of a long video (``walt.sampling.long_video``).
            beginning: the first frames, for models of frame prediction (paper section 3.3). What they show comes back
                as the autoencoder renders it.
            stills: one picture per prompt instead, a video of one frame; for models that were trained jointly with
                images (paper section 3.3).

        Raises:
            ConfigurationError: the models do not take such prompts, or do not take a beginning.
        """
        stream = self._noise_stream(len(prompts), seed, indices, part)
        conditions = make_conditions(prompts, self.base.config, self.text_encoder, self.device)
        guidance = Guidance.of_base(config)
        if stills:
            self._check_stills(beginning)
        conditioning = Conditioning(conditions, known=self._known(beginning), stills=stills)
        latents = sample_latents(
            self.base, self.schedule, conditioning, guidance, config, stream, "base", progress, watch
        )  # (B, c, t, h, w)
        videos = [self.decode(latents, config.precision)]
        guidance = Guidance.of_super_resolution(config)
        for place, model in enumerate(self.followers(config.cascade), start=1):
            suffix = f" {place}" if place > 1 else ""  # the second one has its own noise
            low_resolution = augment(model, self.schedule, latents, stream, f"augmentation{suffix}")
            known = self._known_in_detail(beginning, place, model)
            conditioning = Conditioning(conditions, low_resolution, known, stills)
            latents = sample_latents(
                model,
                self.schedule,
                conditioning,
                guidance,
                config,
                stream,
                f"super-resolution{suffix}",
                progress,
                watch,
            )  # (B, c, t, f h, f w)
            videos.append(self.decode(latents, config.precision))
        return SampleBatch(tuple(prompts), tuple(videos))

    @property
    def overlap(self) -> int:
        """Pixel frames that a continuation is given: those of two latent frames; 5 in the paper."""
        return 1 + self.autoencoder.config.temporal_factor

    def followers(self, cascade: bool) -> tuple[WaltTransformer, ...]:
        """The models that follow the base model: none without a cascade."""
        assert self.super_resolutions or not cascade, "load the pipeline with super-resolution for a cascade"
        return self.super_resolutions if cascade else ()

    def resolutions(self, cascade: bool) -> list[Size]:
        """(height, width) in pixels of what each model makes; the last is what comes out."""
        return [model.config.resolution for model in (self.base, *self.followers(cascade))]

    def check_beginning(self) -> None:
        """Raise ConfigurationError where the base model cannot begin with given frames."""
        if not self.base.config.frame_prediction:
            raise ConfigurationError(
                "base.frame_prediction is false in the trained model: it makes whole videos and cannot start from an "
                "image or from a video"
            )

    def _check_stills(self, beginning: Beginning | None) -> None:
        """Raise ConfigurationError where the models cannot make single images."""
        if beginning is not None:
            raise ConfigurationError("a single image has no first frames that could be given")
        for model in (self.base, *self.super_resolutions):
            if model.config.cross_attention == "own":
                raise ConfigurationError(
                    f"cross_attention is own in the model of {size_folder(model.config.resolution)}: it was trained on "
                    "videos only and makes no single images"
                )

    @torch.inference_mode()
    def encode(self, videos: Tensor) -> Tensor:
        """Videos (B, 3, T, H, W) in [-1, 1], T = 1 + f_t n -> normalised latents (B, c, 1 + n, h, w)."""
        count = clips_at_once(videos.shape[2], (videos.shape[3], videos.shape[4]), self.megapixels)
        starts = range(0, len(videos), count)
        batches = (videos[start : start + count].to(self.device) for start in starts)
        means = [encode_within(self.autoencoder, some, self.megapixels) for some in batches]
        return self.statistics.normalize(torch.cat(means))

    @torch.inference_mode()
    def decode(self, latents: Tensor, precision: str) -> Tensor:
        """Normalised latents (B, c, t, h, w) -> videos (B, 3, T, H, W) in [-1, 1], fp32 on the CPU. One at a time, so
        that a video's bits do not depend on those beside it, and in pieces of time where it is large."""
        videos = []
        with arithmetic(latents.device.type, precision):
            for one in self.statistics.denormalize(latents)[:, None]:
                pieces = decode_within(self.autoencoder, one, self.megapixels)
                videos.append(torch.cat([piece.float().clamp(-1.0, 1.0).cpu() for piece in pieces], dim=2))
        return torch.cat(videos)

    def _known(self, beginning: Beginning | None) -> Tensor | None:
        """The base model's known latents (B, c, k, h, w)."""
        if beginning is None:
            return None
        self.check_beginning()
        assert beginning.num_frames in (1, self.overlap), f"{beginning.num_frames} frames are not a beginning"
        return self.encode(beginning.cascade[0])

    def _known_in_detail(self, beginning: Beginning | None, place: int, model: WaltTransformer) -> Tensor | None:
        """Those of a super-resolution model, where it takes them; one that does not take them sees them in its low
        resolution."""
        if beginning is None or not model.config.frame_prediction:
            return None
        return self.encode(beginning.cascade[place])

    def _noise_stream(
        self, count: int, seed: int | Sequence[int], indices: Sequence[int] | None, part: int
    ) -> NoiseStream:
        seeds = (seed,) * count if isinstance(seed, int) else tuple(seed)
        indices = range(count) if indices is None else indices
        assert len(seeds) == len(indices) == count, "one seed and one index per video"
        return NoiseStream(seeds, tuple(indices), part, self.device)


def _check_order(configs: Mapping[str, TransformerConfig]) -> None:
    """Raise ConfigurationError where a super-resolution model does not fit the output of the model before it."""
    for (before, config), (name, following) in pairwise(configs.items()):
        settings = following.super_resolution
        factor = 0 if settings is None else settings.factor
        if following.resolution != tuple(factor * side for side in config.resolution):
            raise ConfigurationError(
                f"{name}: it makes {following.resolution} of what is {factor or 'not'} times smaller, but {before} "
                f"makes {config.resolution}"
            )
