"""Looking at a transformer while it is trained: its loss on held-out clips, and samples of their captions.

The captions' embeddings are those that the training reads, so no text encoder is needed; samples are decoded by
``models/autoencoder``, whose latents these are. A super-resolution model gets the low-resolution latents of the same
held-out clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from walt.autoencoder.io import load_autoencoder
from walt.autoencoder.streaming import decode_within
from walt.core.log import warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.scratch import scratch_folder
from walt.core.storage import write_bytes
from walt.core.transformers import Transformer
from walt.data.caption_choice import FIRST
from walt.data.conditions import TextConditions, open_conditions
from walt.data.latent_dataset import LatentDataset
from walt.data.manifest import iterate_columns
from walt.data.shards import NULL_KEY
from walt.diffusion.schedule import Schedule
from walt.evaluation.held_out import HeldOutBatch, held_out_errors
from walt.media.images import png_bytes
from walt.project.looked_at_clips import looked_at
from walt.project.params import Params
from walt.sampling.denoise import Conditioning, Guidance, NoiseStream, augment, sample_latents
from walt.sampling.output import overview, to_frames, write_sample
from walt.sampling.prompt_inputs import Conditions, TextCondition, describe_prompt
from walt.training.config import DiffusionTrainingConfig
from walt.training.parallel import is_sharded
from walt.training.validation import Log, Measure, Validation
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

LOSS = "validation/loss"
"""Metric: mean squared error on some held-out clips; ``/band_0`` (the least noisy) and so on below it."""
FOLDER = "validation"
"""Of the run's files, one folder a look below it, named by the step; and of the pictures that MLflow shows by step."""
OVERVIEW = "overview.png"
"""All videos of a look."""


def step_folder(step: int) -> str:
    """Where a look's videos are among the files of a run."""
    return f"{FOLDER}/step_{step:07d}"


@dataclass
class TransformerValidation:
    """The looks at one training."""

    params: Params
    paths: Paths
    training: DiffusionTrainingConfig
    name: str
    log: Log
    prompts: list[str] | None = None
    """Of the samples; read at the first look that makes some."""
    batches: dict[int, list[HeldOutBatch]] = field(default_factory=dict)
    """Number of clips -> that many, in batches; read at the first look."""

    @classmethod
    def make(
        cls, params: Params, paths: Paths, transformer: Transformer, log: Log, measure: Measure | None
    ) -> Validation:
        """As ``walt.training.validation.Validator``; a stage of this kind has no measure of its own."""
        training = getattr(params, transformer.training)
        assert training is not None
        assert training.validation is not None
        own = cls(params, paths, training, transformer.name, log)
        return Validation(training.validation.every, own.look)

    def look(self, step: int, model: nn.Module) -> None:
        """Measure the loss, on all ranks; sample, on the first. Where each holds a share of the model, all sample."""
        assert isinstance(model, WaltTransformer)
        settings = self.training.validation
        assert settings is not None
        first = not self.batches
        batches = self._batches(model.config, settings.clips)
        if not batches:
            if first:
                warning("validation: nothing is held out, so nothing is measured while training")
            return
        schedule = Schedule.from_config(self.params.diffusion)
        bands, precision = self.training.timestep_bands, self.training.precision
        sharded = any(is_sharded(parameter) for parameter in model.parameters())
        errors = held_out_errors(  # (clips, bands)
            model, schedule, batches, bands, self.params.seed, precision, in_step=sharded
        )
        of_bands = {f"{LOSS}/band_{band}": value for band, value in enumerate(errors.mean(0).tolist())}
        self.log.log_metrics({LOSS: float(errors.mean()), **of_bands}, step)
        if settings.samples and (ranks().is_first or sharded):
            self._sample(step, model, schedule, settings.samples)

    def _batches(self, config: TransformerConfig, clips: int) -> list[HeldOutBatch]:
        """So many held-out clips, in batches no larger than a part of a training step; the same at each look."""
        if clips in self.batches:
            return self.batches[clips]
        latents = LatentDataset(self.paths.latents, config.resolution, "held_out")
        every = [*(latents.video_keys if config.latent_grid[0] > 1 else latents.image_keys)]
        keys = looked_at(self.params, self.paths, every, clips)
        size = max(1, self.training.batch_size // self.training.accumulation // ranks().count)
        starts = range(0, len(keys), size)
        self.batches[clips] = [self._batch(config, latents, keys[start : start + size]) for start in starts]
        return self.batches[clips]

    def _batch(self, config: TransformerConfig, latents: LatentDataset, keys: Sequence[str]) -> HeldOutBatch:
        low = None
        if config.super_resolution is not None:
            height, width = (side // config.super_resolution.factor for side in config.resolution)
            low = LatentDataset(self.paths.latents, (height, width), "held_out").latents(keys)
        conditions = open_conditions(self.paths.text, config.conditioning, config.num_classes, FIRST)
        return HeldOutBatch(keys, latents.latents(keys), conditions.tensors(keys), low)

    def _sample(self, step: int, model: WaltTransformer, schedule: Schedule, count: int) -> None:
        """Sample, and on the first rank decode and keep the videos as files of the run."""
        [*batches] = self._batches(model.config, count)
        device = str(next(model.parameters()).device)
        latents = []
        for first, batch in zip(_starts(batches), batches, strict=True):
            latents.append(self._latents(model, schedule, batch, first, device))
        if not ranks().is_first:
            return
        videos = [to_frames(video) for video in self._decode(torch.cat(latents), device)]
        prompts = self._prompts([key for batch in batches for key in batch.keys])
        with scratch_folder() as folder:
            for number, (video, prompt) in enumerate(zip(videos, prompts, strict=True)):
                about = {"prompt": prompt, "seed": self.params.seed, "index": number, "model": self.name, "step": step}
                write_sample(folder, f"{number:02d}", video, self.params.sample.fps, about, ["mp4"])
            write_bytes(folder / OVERVIEW, png_bytes(overview(videos, prompts)))
            self.log.log_artifact(folder, step_folder(step))
            self.log.log_picture(folder / OVERVIEW, FOLDER, step)

    def _latents(
        self, model: WaltTransformer, schedule: Schedule, batch: HeldOutBatch, first: int, device: str
    ) -> Tensor:
        """Normalised latents (B, c, t, h, w); ``first`` is the number of the batch's first video."""
        assert self.training.validation is not None
        settings = self.params.sample.model_copy(
            update={"steps": self.training.validation.sampling_steps, "precision": self.training.precision}
        )
        count = len(batch.keys)
        stream = NoiseStream((self.params.seed,) * count, tuple(range(first, first + count)), device=device)
        low, guidance = None, Guidance.of_base(settings)
        if batch.low_resolution is not None:
            low = augment(model, schedule, batch.low_resolution.to(device), stream)
            guidance = Guidance.of_super_resolution(settings)
        conditioning = Conditioning(self._conditions(model.config, batch, device), low)
        return sample_latents(model, schedule, conditioning, guidance, settings, stream, "validation")

    def _conditions(self, config: TransformerConfig, batch: HeldOutBatch, device: str) -> Conditions:
        """What the batch's clips say, as a sampler takes it."""
        given = {name: tensor.to(device) for name, tensor in batch.conditions.items()}
        if config.conditioning == "text":
            conditions = open_conditions(self.paths.text, config.conditioning, config.num_classes, FIRST)
            assert isinstance(conditions, TextConditions)
            null = {name: tensor.to(device) for name, tensor in conditions.tensors([NULL_KEY]).items()}
            return Conditions(TextCondition(given["text"], given["text_mask"], null["text"], null["text_mask"]))
        return Conditions(labels=given.get("labels"))

    def _decode(self, latents: Tensor, device: str) -> list[Tensor]:
        """(B, c, t, h, w) -> B videos (3, T, H, W), one at a time. The autoencoder is not kept between looks."""
        autoencoder, statistics = load_autoencoder(
            self.paths.autoencoder, device, self.params.encode_video.normalize_latents
        )
        most = self.params.compute.megapixels_at_once
        return [
            torch.cat([piece.cpu() for piece in decode_within(autoencoder, one, most)], dim=2)[0]
            for one in statistics.denormalize(latents)[:, None]
        ]

    def _prompts(self, keys: Sequence[str]) -> list[str]:
        """The first caption of each clip, or its class."""
        if self.prompts is None:
            wanted = dict.fromkeys(keys, "")
            if self.paths.manifest.is_dir():
                for key, captions, label in iterate_columns(self.paths.manifest, "key", "captions", "label"):
                    if key in wanted:
                        wanted[key] = captions[0].text if captions else describe_prompt(label)
            self.prompts = list(wanted.values())
        return self.prompts


def _starts(batches: Sequence[HeldOutBatch]) -> list[int]:
    """The number of each batch's first clip."""
    sizes = [len(batch.keys) for batch in batches]
    return [sum(sizes[:place]) for place in range(len(sizes))]
