"""Held-out loss, Frechet distance and prompt adherence -> ``results/evaluation.json`` and an MLflow run.

``{"metrics": {name: number}, "details": {...}}``. Metrics: ``held_out_loss/base`` and ``/band_00`` ... (least noise
first), the same for each other transformer; ``frechet_distance/thumbnail`` or ``fvd``; ``adherence/colour``,
``/shape``, ``/direction``, ``/both`` (colour and direction) and ``/all`` of the final videos and under
``adherence/base/`` of the base model's. What cannot be measured is left out, and ``details`` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from walt.autoencoder.streaming import clips_at_once
from walt.core import log
from walt.core.compute import ComputeConfig
from walt.core.config import Section, load_section
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size
from walt.core.storage import write_json
from walt.data.caption_choice import CaptionChoice, check_names
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_pixels import pixels
from walt.data.clip_table import Split, read_clip_rows
from walt.data.conditions import Conditions, TextConditions, open_conditions
from walt.data.latent_dataset import LatentDataset
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.evaluation import metric_names
from walt.evaluation.adherence import PromptCheck, check_prompt, rates
from walt.evaluation.config import EvaluateConfig
from walt.evaluation.frechet import Extractor, frechet_distance, make_extractor
from walt.evaluation.held_out import HeldOutBatch, held_out_loss
from walt.ingest.config import DatasetConfig, Descriptor
from walt.media.images import Clip
from walt.media.mp4 import decode_clip
from walt.nn.collectives import gather_shares
from walt.nn.device import select_device
from walt.project.trained_transformers import trained_transformers
from walt.sampling.samples import OVERVIEW, Sample, read_samples
from walt.tracking.config import TrackingConfig
from walt.tracking.runs import Run, start_run
from walt.transformer.config import TransformerConfig
from walt.transformer.model import load_transformer

STAGE = "evaluate"
_REAL_SPLITS: tuple[Split, ...] = ("held_out", "train")
_VIDEOS_TRACKED = 16  # sample videos in the MLflow run; all of them are in results/samples

Result = tuple[dict[str, float], dict[str, Any]]
"""(metrics, details)."""


class Config(Section):
    """What the registry declares for ``evaluate``."""

    seed: int
    diffusion: DiffusionConfig
    dataset: DatasetConfig
    evaluate: EvaluateConfig
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Measure, write ``results/evaluation.json``, and log to MLflow; returns the metrics except the bands.

    Raises:
        ConfigurationError, StorageError, CorruptArtifactError: an input is missing, damaged or does not fit.
    """
    descriptor = load_section(paths.resolve(config.dataset.descriptor), Descriptor)
    samples = read_samples(paths.samples)
    name, extractor = make_extractor(  # before the work, so that a wrong path is found at once
        config.evaluate.features,
        paths.resolve(config.evaluate.i3d_path) if config.evaluate.i3d_path else None,
        config.evaluate.i3d_sha256,
    )
    params = config.model_dump(mode="json", include={"seed", "diffusion", "evaluate"})
    with start_run(config.tracking, paths.root, STAGE, params, tags={"dataset": descriptor.name}) as tracked:
        metrics: dict[str, float] = {}
        details: dict[str, Any] = {}
        measurements = {
            "held_out_loss": partial(measure_held_out_loss, config, paths),
            "frechet_distance": partial(measure_frechet_distance, config, paths, samples, name, extractor),
            "adherence": partial(measure_adherence, descriptor, samples),
        }
        for measurement, measure in measurements.items():
            log.info(f"{STAGE}: {measurement}")
            found, details[measurement] = measure()
            metrics |= found
        if not ranks().is_first:
            return {}
        write_json(paths.evaluation, {"metrics": metrics, "details": details})
        _track(tracked, metrics, samples, paths)
    for key, value in metrics.items():
        if not metric_names.is_of_a_band(key):
            log.info(f"{STAGE}: {key} {value:.4f}")
    return {key: value for key, value in metrics.items() if not metric_names.is_of_a_band(key)}


def measure_held_out_loss(config: Config, paths: Paths) -> Result:
    """Loss of each transformer on held-out videos (images, where it makes those), in bands of timesteps and overall."""
    schedule, device = Schedule.from_config(config.diffusion), select_device(config.compute.device)
    metrics: dict[str, float] = {}
    details: dict[str, Any] = {}
    for name, folder in trained_transformers(paths).items():
        model = load_transformer(folder, device)
        conditions = _conditions(config.evaluate, model.config, paths)
        available = _held_out_batches(config.evaluate, model.config, conditions, paths)
        batches = list(islice(available, config.evaluate.held_out_batches))
        details[name] = {"videos": sum(len(batch.keys) for batch in batches), **_first_taken(conditions, batches)}
        if not batches:
            details[name]["left_out"] = "nothing held out"
            continue
        settings = config.evaluate
        bands = held_out_loss(model, schedule, batches, settings.timestep_bands, config.seed, settings.precision)
        metrics[metric_names.held_out_loss(name)] = sum(bands) / len(bands)
        metrics |= {metric_names.held_out_loss(name, band): loss for band, loss in enumerate(bands)}
    return metrics, details


def _conditions(config: EvaluateConfig, model: TransformerConfig, paths: Paths) -> Conditions:
    """Of the clips, with the stated caption. Raises ConfigurationError where no clip has one of that name."""
    choice = CaptionChoice(config.caption)
    conditions = open_conditions(paths.text, model.conditioning, model.num_classes, choice)
    if isinstance(conditions, TextConditions) and config.caption is not None:
        check_names([config.caption], conditions.text.all_names(), "evaluate.caption")
    return conditions


def _first_taken(conditions: Conditions, batches: list[HeldOutBatch]) -> dict[str, str]:
    """A remark about clips that have captions, but none of the stated name."""
    if not isinstance(conditions, TextConditions) or conditions.choice.name is None:
        return {}
    wanted = conditions.choice.name
    of_clips = [conditions.text.names(key) for batch in batches for key in batch.keys]
    others = sum(wanted not in names for names in of_clips if names)
    said = f"{others} of {len(of_clips)} clips have no caption '{wanted}': the first of each is taken"
    return {"remark": said} if others else {}


def _held_out_batches(
    config: EvaluateConfig, model: TransformerConfig, conditions: Conditions, paths: Paths
) -> Iterator[HeldOutBatch]:
    latents = LatentDataset(paths.latents, model.resolution, "held_out")
    low = None
    if model.super_resolution is not None:
        height, width = (side // model.super_resolution.factor for side in model.resolution)
        low = LatentDataset(paths.latents, (height, width), "held_out")
    available = latents.video_keys if model.latent_grid[0] > 1 else latents.image_keys
    for start in range(0, len(available), config.batch_size):
        keys = available[start : start + config.batch_size]
        yield HeldOutBatch(keys, latents.latents(keys), conditions.tensors(keys), low.latents(keys) if low else None)


def measure_frechet_distance(
    config: Config, paths: Paths, samples: list[Sample], name: str, extractor: Extractor
) -> Result:
    """Distance of the final videos to real clips of the same size and length: held-out ones first, then training
    ones."""
    size, num_frames = _form(samples[0].path)
    real = list(islice(_real_clips(paths, size, num_frames), config.evaluate.real_clips))
    generated = [partial(_read, sample.path) for sample in samples]
    details: dict[str, Any] = {
        "features": config.evaluate.features,
        "real_clips": len(real),
        "held_out_clips": sum(clip.split == "held_out" for clip in real),
        "samples": len(samples),
    }
    if min(len(real), len(samples)) < 2:
        return {}, {**details, "left_out": "a covariance needs two clips on each side"}
    if min(len(real), len(samples)) <= extractor.num_features:
        details["remark"] = f"fewer clips than the {extractor.num_features} features: the covariance is rank-deficient"
    extractor.to(select_device(config.compute.device))
    batch = clips_at_once(num_frames, size, config.compute.megapixels_at_once)
    return {name: frechet_distance(_Batches(real, batch), _Batches(generated, batch), extractor)}, details


@dataclass(frozen=True)
class _RealClip:
    """A stored clip, which is read when it is called."""

    clips: ClipDataset
    key: str
    num_frames: int

    @property
    def split(self) -> str:
        return self.clips.split

    def __call__(self) -> Clip:
        clip = self.clips.clip(self.key)
        if len(clip) != self.num_frames:
            raise self.clips.corrupt(self.key, f"{len(clip)} frames, expected {self.num_frames}")
        return clip


def _real_clips(paths: Paths, size: Size, num_frames: int) -> Iterator[_RealClip]:
    """The stored videos of that form, or images where it has one frame."""
    lengths = {row.key: row.num_frames for row in read_clip_rows(paths.clips)}
    for split in _REAL_SPLITS:
        clips = ClipDataset(paths.clips, size, split, cache_bytes=0)  # each is read once
        keys = clips.video_keys if num_frames > 1 else clips.image_keys
        yield from (_RealClip(clips, key, num_frames) for key in keys if lengths[key] == num_frames)


def measure_adherence(descriptor: Descriptor, samples: list[Sample]) -> Result:
    """Share of the videos that show what their prompt asks for; details have a check for each video.

    Each rank looks at its share of the videos; all get the result.
    """
    if descriptor.adherence is None:
        return {}, {"left_out": f"the dataset {descriptor.name} has no adherence check"}
    final = [(sample.path, sample.prompt) for sample in samples]
    base = [(sample.base_path, sample.prompt) for sample in samples if sample.base_path]
    metrics: dict[str, float] = {}
    details: dict[str, Any] = {}
    for name, videos in (("videos", final), ("base", base)):
        own = [check_prompt(prompt, _read(path)) for path, prompt in ranks().share(videos)]
        found = gather_shares([check and asdict(check) for check in own])
        shares = rates([PromptCheck.from_json(check) for check in found if check])
        metrics |= {metric_names.adherence(what, name == "base"): share for what, share in shares.items()}
        details[name] = {path.name: check for (path, _), check in zip(videos, found, strict=True)}
    return metrics, details


def _track(tracked: Run, metrics: dict[str, float], samples: list[Sample], paths: Paths) -> None:
    tracked.log_metrics(metrics, 0)
    tracked.log_artifact(paths.evaluation)
    tracked.log_artifact(paths.samples / OVERVIEW, "samples")
    for sample in samples[:_VIDEOS_TRACKED]:
        tracked.log_artifact(sample.path, "samples")
        tracked.log_artifact(sample.path.with_suffix(".png"), "samples")
        if sample.base_path is not None:
            tracked.log_artifact(sample.base_path, "samples/base")


def _read(path: Path) -> Clip:
    return decode_clip(path.read_bytes())


def _form(path: Path) -> tuple[Size, int]:
    """((height, width), frames) of a video."""
    frames, height, width, _ = _read(path).shape
    return (height, width), frames


class _Batches:
    """Clips (T, H, W, 3) uint8 -> batches (B, 3, T, H, W) in [-1, 1], each read when it is asked for."""

    def __init__(self, clips: Sequence[Callable[[], Clip]], size: int) -> None:
        self.clips, self.size = clips, size

    def __len__(self) -> int:
        return math.ceil(len(self.clips) / self.size)

    def __getitem__(self, number: int, /) -> Tensor:
        start = range(0, len(self.clips), self.size)[number]
        return pixels([read() for read in self.clips[start : start + self.size]])
