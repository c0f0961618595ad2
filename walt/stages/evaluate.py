"""Held-out loss, the protocol's figures and prompt adherence -> ``results/evaluation.json`` and an MLflow run.

``metrics`` (name -> number), ``figures`` (name -> the number with its interval, and what it was measured on; see
``walt.core.figures``), ``models`` (the models that took part -> their digests), ``settings`` and ``details``. Metrics:
``held_out_loss/base`` and ``/band_00`` ... (least noise first), the same for each other transformer; those of the
protocol (``frechet_distance/random_network``, ``fvd``, ``kid/i3d`` ...); ``adherence/colour``, ``/shape``,
``/direction``, ``/both`` (colour and direction) and ``/all`` of the final videos and under ``adherence/base/`` of the
base model's. What cannot be measured is left out, and ``details`` says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from walt.autoencoder.config import AutoencoderConfig
from walt.core import log
from walt.core.compute import ComputeConfig
from walt.core.config import Section, load_section
from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError
from walt.core.figures import PROTOCOL, Figure
from walt.core.left_out import is_left_out
from walt.core.own_digest import write_json_with_digest
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size, size_folder
from walt.core.storage import read_json, write_json
from walt.data.caption_choice import CaptionChoice, check_names
from walt.data.conditions import StoredConditions, TextConditions, open_conditions
from walt.data.latent_dataset import LatentDataset
from walt.data.manifest import iterate_columns
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.schedule import Schedule
from walt.evaluation import metric_names
from walt.evaluation.adherence import PromptCheck, check_prompt
from walt.evaluation.adherence_shares import adherence_shares
from walt.evaluation.clip_sets import RealClip, kept_videos
from walt.evaluation.config import EvaluateConfig, NetworkName
from walt.evaluation.draws import Groups
from walt.evaluation.extractors import Extractor
from walt.evaluation.groups import chosen, condition, detail, of_clips, of_samples, recordings
from walt.evaluation.held_out import HeldOutBatch, held_out_errors, held_out_inputs
from walt.evaluation.protocol import Found, departures, frames_left_out, label, load_protocol, measures_of
from walt.evaluation.protocol_inputs import drawn_clips, open_extractors, open_statistics, wanted_clips
from walt.evaluation.resampling import mean_figure
from walt.evaluation.set_figures import Sets, measure_sets, of_each_set
from walt.ingest.config import DatasetConfig, Descriptor
from walt.media.images import Clip
from walt.media.mp4 import decode_clip
from walt.nn.collectives import gather_shares
from walt.nn.device import computed_in, keep_freed_memory, select_device
from walt.nn.pretrained import load_config, weights_digest
from walt.project.code_identity import code_digest
from walt.project.tracked_evaluation import group, track
from walt.project.trained_transformers import trained_transformers
from walt.sampling.prompt_inputs import describe_prompt
from walt.sampling.samples import Sample, check_unchanged, read_samples, sets_of
from walt.tracking.config import TrackingConfig
from walt.tracking.releases import release_digests, release_folders
from walt.tracking.runs import COURSE_TAG, start_run
from walt.transformer.config import TransformerConfig
from walt.transformer.model import load_transformer

STAGE = "evaluate"
FEW_VIDEOS, STANDARD_VIDEOS = 256, 2048
"""A distance of fewer videos than the first is said to be uncertain; published ones are of the second."""
Result = tuple[dict[str, Figure], dict[str, Any]]  # figures, details


class Config(Section):
    """What the registry declares for ``evaluate``."""

    seed: int
    diffusion: DiffusionConfig
    dataset: DatasetConfig
    evaluate: EvaluateConfig
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Measure, write ``evaluation.json`` and ``metrics.json``, and log to MLflow; returns the metrics but the bands.

    Raises:
        ConfigurationError: an input does not fit, or the extractor cannot take clips of the samples' shape; nothing
            has been measured then.
        StorageError, CorruptArtifactError: an input is missing or damaged, or the samples are of other models.
    """
    descriptor = load_section(paths.resolve(config.dataset.descriptor), Descriptor)
    samples = read_samples(paths.samples)
    models = release_digests(release_folders(paths))
    check_makers(samples, paths)
    check_unchanged(samples)
    size, num_frames = _form(samples[0].lossless)
    keep_freed_memory(device := select_device(config.compute.device))
    extractors = open_extractors(config.evaluate, paths, num_frames, size, device)
    statistics = open_statistics(config.evaluate, paths, extractors)
    real = wanted_clips(config.evaluate, paths, size, num_frames)
    protocol = protocol_of(config, samples, real, paths)
    made, read = {PROTOCOL: protocol, **conditions_of_samples(config, samples, size, num_frames)}, kept_videos()
    sets = Sets(
        real, [partial(read, one.lossless) for one in samples], [one.prompt for one in samples], sets_of(samples),
        frames_left_out(config.evaluate), statistics, made, paths.work(STAGE) / "features", made["code"],
        *groups_of(config, samples, real, paths),
    )  # fmt: skip
    params = config.model_dump(mode="json", include={"seed", "diffusion", "evaluate"})
    params |= {"sample": {**samples[0].settings, "count": len(samples)}}
    tags = {"dataset": descriptor.name, PROTOCOL: protocol, COURSE_TAG: sha256_json({**made, **models})}
    with start_run(config.tracking, paths.root, STAGE, params, tags=tags) as tracked:
        figures: dict[str, Figure] = {}
        details: dict[str, Any] = {}
        measurements = {
            "held_out_loss": partial(measure_held_out_loss, config, paths, models["autoencoder"]),
            "sets": partial(measure_protocol, config, sets, extractors),
            "adherence": partial(measure_adherence, descriptor, samples, read, made, sets.groups),
        }
        for measurement, measure in measurements.items():
            log.info(f"{STAGE}: {measurement}")
            found, details[measurement] = measure()
            figures |= found
            # at once: what fails later does not take it away
            tracked.log_metrics({name: figure.value for name, figure in found.items()}, 0)
        if not ranks().is_first:
            return {}
        settings = {**params, PROTOCOL: protocol, "sample": samples[0].settings, "samples": len(samples)}
        written = as_json(figures, models, settings, details)
        write_json(paths.metrics, written["metrics"])
        write_json_with_digest(paths.evaluation, written)
        track(tracked, figures, samples, paths)
        group(tracked, written, {**params, "dataset": descriptor.name, PROTOCOL: protocol}, figures, samples)
    metrics = {name: figure for name, figure in figures.items() if not metric_names.is_of_a_band(name)}
    for name, figure in metrics.items():
        log.info(f"{STAGE}: {name} {figure}")
    return {name: figure.value for name, figure in metrics.items()}


def as_json(
    figures: Mapping[str, Figure], models: Mapping[str, str], settings: Mapping[str, Any], details: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of ``results/evaluation.json``."""
    return {
        "metrics": {name: figure.value for name, figure in figures.items()},
        "figures": {name: figure.as_json() for name, figure in figures.items()},
        "models": models,
        "settings": settings,
        "details": details,
    }


def check_makers(samples: list[Sample], paths: Paths) -> None:
    """Raises CorruptArtifactError where a model is no longer the one that made the samples."""
    folders = {**trained_transformers(paths), "autoencoder": paths.autoencoder}
    present = {name: weights_digest(folder) for name, folder in folders.items()}
    if not is_left_out(paths.text_encoder):
        present["text_encoder"] = read_json(paths.text_encoder / "encoder.json")["digest"]
    for sample in samples:
        for name, digest in sample.models.items():
            if present.get(name) != digest:
                said = f"{sample.path} was made by another {name} than the one in {paths.root / 'models'}"
                raise CorruptArtifactError(f"{said}: run `walt sample` again")


def conditions_of_samples(config: Config, samples: list[Sample], size: Size, num_frames: int) -> dict[str, str]:
    """What the samples depend on besides the models, for ``Figure.conditions``."""
    return {
        "videos": f"{num_frames} frames of {size_folder(size)}",
        "prompts and seeds": sha256_json([[it.prompt, it.seed, it.repeat, it.index, it.begins_as] for it in samples]),
        "arithmetic": " and ".join(sorted({sample.arithmetic for sample in samples})),
        "sampling": sha256_json([[sample.settings for sample in samples], config.diffusion.model_dump(mode="json")]),
        "code": sha256_json([code_digest("walt.stages.sample"), code_digest("walt.stages.evaluate")]),
    }


def groups_of(
    config: Config, samples: Sequence[Sample], real: Sequence[RealClip], paths: Paths
) -> tuple[Groups, Groups]:
    """Which real clips, and which samples, are drawn together."""
    begin_as = [sample.begins_as for sample in samples]
    if None in begin_as and samples[0].settings.get("beginning", "none") != "none":
        log.warning(f"{paths.samples} does not say which clips the samples begin as: each is drawn by itself")
    known = recordings(paths.manifest, [*(clip.key for clip in real), *filter(None, begin_as)])
    texts = load_config(paths.base, TransformerConfig).conditioning == "text"
    drawn = texts and load_protocol(config.evaluate.protocol).generated.prompts is None
    groups = of_samples([sample.prompt for sample in samples], begin_as, known, drawn)
    return of_clips([clip.key for clip in real], known), groups


def measure_held_out_loss(config: Config, paths: Paths, autoencoder: str) -> Result:
    """Loss of each transformer on held-out videos (images, where it makes those), in bands of timesteps and overall.

    Args:
        autoencoder: its digest: losses in two latent spaces are not compared.
    """
    if is_left_out(paths.latents):
        return {}, {"left_out": "there are no latents of this autoencoder"}
    schedule, device = Schedule.from_config(config.diffusion), select_device(config.compute.device)
    figures: dict[str, Figure] = {}
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
        errors = held_out_errors(model, schedule, batches, settings.timestep_bands, config.seed, settings.precision)
        keys = [key for batch in batches for key in batch.keys]
        groups = of_clips(keys, recordings(paths.manifest, keys))
        details[name] |= detail("recordings", groups)
        measured_on = {
            "autoencoder": autoencoder,
            "held-out clips": held_out_inputs(batches),
            "settings": sha256_json(config.model_dump(mode="json", include={"seed", "diffusion"})
                                    | {"evaluate": _of_losses(settings)}),
            "arithmetic": computed_in(device, settings.precision),
            "code": code_digest("walt.stages.evaluate"), **condition(groups),
        }  # fmt: skip
        mean = partial(mean_figure, conditions=measured_on, least=0.0, groups=groups)
        figures[metric_names.held_out_loss(name)] = mean(errors.mean(1).tolist())  # of (clips, bands)
        for band, column in enumerate(errors.T.tolist()):
            figures[metric_names.held_out_loss(name, band)] = mean(column, keep=False)
    return figures, details


def _of_losses(config: EvaluateConfig) -> dict[str, Any]:
    """The settings that a held-out loss depends on."""
    return config.model_dump(mode="json", include={"timestep_bands", "held_out_batches", "batch_size", "precision"})


def _conditions(config: EvaluateConfig, model: TransformerConfig, paths: Paths) -> StoredConditions:
    """Of the clips, with the stated caption. Raises ConfigurationError where no clip has one of that name."""
    choice = CaptionChoice(config.caption)
    conditions = open_conditions(paths.text, model.conditioning, model.num_classes, choice)
    if isinstance(conditions, TextConditions) and config.caption is not None:
        check_names([config.caption], conditions.text.all_names(), "evaluate.caption")
    return conditions


def _first_taken(conditions: StoredConditions, batches: list[HeldOutBatch]) -> dict[str, str]:
    """A remark about clips that have captions, but none of the stated name."""
    if not isinstance(conditions, TextConditions) or conditions.choice.name is None:
        return {}
    wanted = conditions.choice.name
    of_clips = [conditions.text.names(key) for batch in batches for key in batch.keys]
    others = sum(wanted not in names for names in of_clips if names)
    said = f"{others} of {len(of_clips)} clips have no caption '{wanted}': the first of each is taken"
    return {"remark": said} if others else {}


def _held_out_batches(
    config: EvaluateConfig, model: TransformerConfig, conditions: StoredConditions, paths: Paths
) -> Iterator[HeldOutBatch]:
    latents = LatentDataset(paths.latents, model.resolution, "held_out")
    low = None
    if model.super_resolution is not None:
        height, width = (side // model.super_resolution.factor for side in model.resolution)
        low = LatentDataset(paths.latents, (height, width), "held_out")
    available = drawn_clips(config, paths, [*(latents.video_keys if model.latent_grid[0] > 1 else latents.image_keys)])
    for start in range(0, len(available), config.batch_size):
        keys = available[start : start + config.batch_size]
        yield HeldOutBatch(keys, latents.latents(keys), conditions.tensors(keys), low.latents(keys) if low else None)


def protocol_of(config: Config, samples: list[Sample], real: Sequence[RealClip], paths: Paths) -> str:
    """Name and digest of the protocol, with all in which this evaluation differs from it."""
    size, num_frames = _form(samples[0].lossless)
    sets = of_each_set(sets_of(samples))
    model, beginning = load_config(paths.base, TransformerConfig), samples[0].settings.get("beginning", "none")
    factor = load_config(paths.autoencoder, AutoencoderConfig).temporal_factor
    labels: Counter[str] = Counter()
    if model.conditioning == "class":
        rows = iterate_columns(paths.manifest, "split", "label")
        labels.update(describe_prompt(label) for split, label in rows if split == "train" and label is not None)
    found = Found(
        frames=num_frames, size=size, fps=samples[0].settings.get("fps"), real_clips=len(real),
        samples=min(map(len, sets)), seeds={sample.seed for sample in samples}, repeats=len(sets),
        prompts=[samples[place].prompt for place in sets[0]], conditioning=model.conditioning, training_classes=labels,
        beginning=beginning, given_frames={"none": 0, "image": 1, "video": 1 + factor}[beginning],
    )  # fmt: skip
    return label(config.evaluate, departures(config.evaluate, found))


def measure_protocol(config: Config, sets: Sets, extractors: Mapping[NetworkName, Extractor]) -> Result:
    """The protocol's figures of the final videos."""
    details: dict[str, Any] = {
        PROTOCOL: sets.conditions[PROTOCOL],
        "real_clips": len(sets.real),
        "held_out_clips": sum(clip.split == "held_out" for clip in sets.real),
        "samples": len(sets.generated),
        "sets_of_samples": len({*sets.sets}),
        **detail("recordings", sets.of_real),
        **detail("groups_of_samples", sets.groups),
    }
    samples = min(map(len, of_each_set(sets.sets)))
    fewest = samples if sets.statistics else min(len(sets.real), samples)
    if fewest < FEW_VIDEOS:
        details["remark"] = (
            f"{samples} videos and {len(sets.real)} clips: with fewer than {FEW_VIDEOS} a Fréchet distance "
            f"is uncertain and too large; {STANDARD_VIDEOS} are the standard"
        )
        log.warning(details["remark"])
    figures, missing = measure_sets(sets, measures_of(config.evaluate), extractors)
    if missing:
        details["left_out"] = f"too few clips for {', '.join(missing)}: a covariance needs two clips on each side"
    return figures, details


def measure_adherence(
    descriptor: Descriptor,
    samples: list[Sample],
    read: Callable[[Path], Clip],
    made: Mapping[str, str],
    groups: Groups = None,
) -> Result:
    """Share of the videos that show what their prompt asks for; details have a check for each video.

    Each rank looks at its share of the videos; all get the result. ``groups`` are those of the samples.
    """
    if descriptor.adherence is None:
        return {}, {"left_out": f"the dataset {descriptor.name} has no adherence check"}
    every = range(len(samples))
    of_base = [place for place in every if samples[place].base_lossless]
    figures: dict[str, Figure] = {}
    details: dict[str, Any] = {}
    for name, places, video in (("videos", every, "lossless"), ("base", of_base, "base_lossless")):
        files = [getattr(samples[place], video) for place in places]
        asked = list(zip(files, (samples[place].prompt for place in places), strict=True))
        own = [check_prompt(prompt, read(path)) for path, prompt in ranks().share(asked)]
        found = gather_shares([check and asdict(check) for check in own])
        checks = [check and PromptCheck.from_json(check) for check in found]
        sets = sets_of([samples[place] for place in places])
        shares = adherence_shares(checks, sets, {**made, **condition(groups)}, chosen(groups, places))
        figures |= {metric_names.adherence(what, name == "base"): share for what, share in shares.items()}
        details[name] = {path.name: check for path, check in zip(files, found, strict=True)}
    return figures, details


def _form(path: Path) -> tuple[Size, int]:
    """((height, width), frames) of a video."""
    frames, height, width, _ = decode_clip(path.read_bytes()).shape
    return (height, width), frames
