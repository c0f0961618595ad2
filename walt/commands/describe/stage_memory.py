"""``walt describe --memory``: what each stage of a parameter file holds on the device, on the host and on disk.

What is on the device comes from the stages' own code (``walt.nn.planned_memory``); host and disk are calculated from
what the code keeps. ``advice`` names the knobs that make a stage fit, with values that were planned to fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from walt.autoencoder.config import latent_shape
from walt.autoencoder.streaming import clips_at_once
from walt.captioning.config import SHAPES, CaptionConfig
from walt.commands.describe.planned_autoencoder import (
    autoencoder_training_peaks,
    decoding_peak,
    encoding_peak,
)
from walt.commands.describe.planned_caption import caption_peaks
from walt.commands.describe.planned_look import autoencoder_look_peaks, transformer_look_peaks
from walt.commands.describe.planned_sampling import held_out_peaks, sampling_peaks
from walt.commands.describe.planned_steps import Peaks
from walt.commands.describe.planned_text import text_peaks
from walt.commands.describe.planned_training import parts_of_step, sharded, training_peaks
from walt.core.sizes import Size, size_folder
from walt.core.transformers import TRANSFORMERS, Transformer
from walt.data.clip_dataset import CACHE_BYTES
from walt.diffusion.schedule import Schedule
from walt.evaluation.clip_sets import KEPT_BYTES
from walt.nn.device import prefetch_depth
from walt.nn.planned_memory import KINDS
from walt.project.devices import check_batches, is_training
from walt.project.params import Params
from walt.project.registry import STAGES
from walt.training.autoencoder_config import AutoencoderTrainingConfig
from walt.training.config import DiffusionTrainingConfig, LoopConfig

Number = TypeVar("Number", int, float)

DEVICE_SHARE, HOST_SHARE = 0.9, 0.75
"""What of the memory a plan may take: the rest is for workspaces of kernels, what allocators lose, and the system."""
_LIBRARIES = 4 * 2**30
"""Of a process on the host: Python, torch and CUDA's libraries."""
_MILLION = 1_000_000
_IN_TAR = 1040
"""What a member of a tar takes besides its numbers, as measured: its header, that of safetensors, and half a block."""
_CAPTIONS_IN_TAR = 2048


@dataclass(frozen=True)
class StageMemory:
    """A stage's memory. All numbers are bytes; the fields are the keys of the JSON form."""

    stage: str
    parts: str
    """How the stage's work is cut, for people."""
    device: Peaks
    """By phase, of each kind, when most was alive."""
    host: dict[str, int]
    """What the process holds at once, by what it is."""
    disk: dict[str, int]
    """What the stage writes, by what it is."""
    advice: list[str] = field(default_factory=list)
    """Knobs that would make it fit, each alone; empty where it fits."""

    @property
    def device_bytes(self) -> int:
        """The largest of the phases."""
        return max((sum(kinds.values()) for kinds in self.device.values()), default=0)

    @property
    def host_bytes(self) -> int:
        """All that is held at once."""
        return sum(self.host.values())


@dataclass(frozen=True)
class Limits:
    """What a plan may take, in bytes."""

    device: int
    host: int

    @classmethod
    def of_machine(cls, device: int, host: int) -> Limits:
        """Of a device and a host with this much memory."""
        return cls(int(DEVICE_SHARE * device), int(HOST_SHARE * host))

    def fits(self, peaks: Peaks) -> bool:
        """Whether a device can do that."""
        return all(sum(kinds.values()) <= self.device for kinds in peaks.values())


def plan_stages(params: Params, root: Path, devices: int, limits: Limits) -> Iterator[StageMemory]:
    """Every stage that computes on a device, in order, each when it is planned.

    Args:
        root: what relative folders in ``params`` are relative to.
        devices: that a stage uses; each has a process of its own.

    Raises:
        ConfigurationError: so many devices cannot share a batch equally, or a folder that ``params`` name is damaged.
    """
    for stage in STAGES:
        if is_training(stage):
            check_batches(stage, params, devices)
    yield _train_autoencoder(params, root, devices, limits)
    yield _encode_video(params, limits)
    if params.caption is not None and params.caption.model != SHAPES:  # that is a rule
        yield _caption(params, params.caption, root)
    if params.text is not None:
        yield _encode_text(params, root)
    for transformer in TRANSFORMERS:
        if transformer.name in params.transformers():
            yield _train_transformer(params, transformer, devices, limits)
    yield _sample(params, root, limits)
    yield _evaluate(params, limits)


def _train_autoencoder(params: Params, root: Path, devices: int, limits: Limits) -> StageMemory:
    config, training = params.autoencoder, params.train_autoencoder
    if training.frozen is not None:
        return _measure_frozen(params)

    def peaks_of(training: AutoencoderTrainingConfig) -> Peaks:
        return autoencoder_training_peaks(config, training, root, devices)

    peaks = peaks_of(training)
    advice: list[str] = []
    if not limits.fits(peaks):
        own = math.gcd(*(-(-form.batch_size // devices) for form in training.forms))
        finer = [n for n in range(training.accumulation + 1, own + 1) if own % n == 0]
        number = _first(finer, lambda n: limits.fits(peaks_of(training.model_copy(update={"accumulation": n}))))
        if number is not None:
            advice.append(f"train_autoencoder.accumulation: {number}")
        again = training.model_copy(update={"activation_checkpointing": True})
        if not training.activation_checkpointing and limits.fits(peaks_of(again)):
            advice.append("train_autoencoder.activation_checkpointing: true")
    look = autoencoder_look_peaks(params, peaks)
    advice += [] if limits.fits(look) else ["train_autoencoder.validation: null"]
    of_forms = ((-(-f.batch_size // devices), _clip_bytes(params, f.num_frames, f.resolution)) for f in training.forms)
    batch = sum(count * size for count, size in of_forms)
    sizes = [-(-form.batch_size // devices) // training.accumulation for form in training.forms]
    forms = ", ".join(
        f"{size} x {f.num_frames}x{size_folder(f.resolution)}" for size, f in zip(sizes, training.forms, strict=True)
    )
    host = {"decoded clips that are kept": len({form.resolution for form in training.forms}) * CACHE_BYTES}
    host = _training_host(peaks, batch) | host
    cut = f"{training.accumulation} parts of {forms}"
    return StageMemory("train-autoencoder", cut, peaks | look, host, _training_disk(peaks, training), advice)


def _measure_frozen(params: Params) -> StageMemory:
    """Of the stage that trains nothing: the latents' statistics and the PSNR are measured."""
    megapixels, precision = params.compute.megapixels_at_once, params.train_autoencoder.precision
    peaks: Peaks = {}
    for form in params.train_autoencoder.forms:
        for work in (encoding_peak, decoding_peak):
            found = work(params.autoencoder, params.ingest.num_frames, form.resolution, megapixels, precision)
            peaks |= {f"{name} {size_folder(form.resolution)}": kinds for name, kinds in found.items()}
    host = {"libraries": _LIBRARIES, "decoded clips that are kept": CACHE_BYTES}
    return StageMemory("train-autoencoder", "nothing is trained", peaks, host, {})


def _clip_bytes(params: Params, num_frames: int, size: Size) -> int:
    """A clip's pixels and the noise for its latents, in fp32."""
    latents = math.prod(latent_shape(params.autoencoder, num_frames, *size))
    return 4 * (3 * num_frames * math.prod(size) + latents)


def _encode_video(params: Params, limits: Limits) -> StageMemory:
    config, frames = params.autoencoder, params.ingest.num_frames
    megapixels, precision = params.compute.megapixels_at_once, params.encode_video.precision
    peaks: Peaks = {}
    disk: dict[str, int] = {}
    for size in params.ingest.all_sizes:
        found = encoding_peak(config, frames, size, megapixels, precision)
        peaks[size_folder(size)] = found["encode"]
        latents = math.prod(latent_shape(config, frames, *size))
        disk[f"a million clips of {size_folder(size)}"] = _MILLION * (2 * latents + _IN_TAR)
    largest = max(params.ingest.all_sizes, key=math.prod)
    clip, count = 3 * frames * math.prod(largest), clips_at_once(frames, largest, megapixels)
    host = {
        "libraries": _LIBRARIES,
        "clips that are decoded ahead": (max(2 * params.compute.workers, count) + count) * clip,
        "batch": 4 * count * clip,
        "latents of a tar": 4 * params.ingest.clips_per_shard * math.prod(latent_shape(config, frames, *largest)),
    }

    def peaks_of(megapixels: float) -> Peaks:
        return {
            size_folder(size): encoding_peak(config, frames, size, megapixels, precision)["encode"]
            for size in params.ingest.all_sizes
        }

    advice = [] if limits.fits(peaks) else _fewer_pixels(megapixels, lambda number: limits.fits(peaks_of(number)))
    return StageMemory("encode-video", f"{megapixels:g} megapixels at once", peaks, host, disk, advice)


def _fewer_pixels(now: float, fits: Callable[[float], bool]) -> list[str]:
    """Advice: the largest of now's halves that fits, where one does."""
    halves = [now / 2**power for power in range(1, 8)]
    number = _first(halves, fits)
    return [] if number is None else [f"compute.megapixels_at_once: {number:g}"]


def _caption(params: Params, config: CaptionConfig, root: Path) -> StageMemory:
    largest = max(params.ingest.all_sizes, key=math.prod)
    peaks = caption_peaks(config, root, largest)
    weights = max((kinds["weights"] for kinds in peaks.values()), default=0)
    clip = 3 * params.ingest.num_frames * math.prod(largest)
    host = {"libraries": _LIBRARIES, "weights when they are read": weights, "clips": config.batch_size * clip}
    return StageMemory("caption", f"{config.batch_size} clips of {config.frames} frames", peaks, host, {})


def _encode_text(params: Params, root: Path) -> StageMemory:
    assert params.text is not None
    peaks = text_peaks(params.text, root) or {}
    weights = max((kinds["weights"] for kinds in peaks.values()), default=0)
    values = params.text.max_tokens * (params.text_width or 0)
    host = {
        "libraries": _LIBRARIES,
        "weights when they are read": weights,
        "embeddings of a tar": _CAPTIONS_IN_TAR * values * 6,  # in fp32, and as they are stored
    }
    disk = {f"a million captions of {params.text.max_tokens} tokens": _MILLION * (2 * values + _IN_TAR)}
    return StageMemory("encode-text", "1024 tokens", peaks, host, disk)


def _train_transformer(params: Params, transformer: Transformer, devices: int, limits: Limits) -> StageMemory:
    architecture, training = params.transformers()[transformer.name]
    schedule, tokens = Schedule.from_config(params.diffusion), params.text.max_tokens if params.text else 0

    def peaks_of(training: DiffusionTrainingConfig) -> Peaks:
        peaks = training_peaks(architecture, training, schedule, tokens, devices)
        if params.compute.sharding == "full" and devices > 1:
            peaks = sharded(peaks, architecture, devices)
        return peaks

    peaks = peaks_of(training)
    advice: list[str] = []
    if not limits.fits(peaks):
        own = len(range(0, training.batch_size, devices))
        finer = [n for n in range(training.accumulation + 1, own + 1) if own % n == 0 and training.batch_size % n == 0]
        number = _first(finer, lambda n: limits.fits(peaks_of(training.model_copy(update={"accumulation": n}))))
        if number is not None:
            advice.append(f"{transformer.training}.accumulation: {number}")
        again = training.model_copy(update={"activation_checkpointing": True})
        if not training.activation_checkpointing and limits.fits(peaks_of(again)):
            advice.append(f"{transformer.training}.activation_checkpointing: true")
        if not advice:
            advice.append("compute.sharding: full, on more devices (--devices)")
    look = transformer_look_peaks(params, transformer, peaks, devices)
    advice += [] if limits.fits(look) else [f"{transformer.training}.validation: null"]
    parts = parts_of_step(training, devices)
    values = 4 * math.prod(architecture.latent_grid) * architecture.latent_channels * 3
    text = 4 * tokens * (architecture.text_width or 0)
    batch = sum((v + s) * values + (v + s * architecture.latent_grid[0]) * text for v, s in parts)
    cut = f"{len(parts)} x {sum(parts[0])} clips" + (f" in each of {devices} devices" if devices > 1 else "")
    host = _training_host(peaks, batch)
    return StageMemory(transformer.stage, cut, peaks | look, host, _training_disk(peaks, training), advice)


def _first(candidates: Sequence[Number], fits: Callable[[Number], bool]) -> Number | None:
    """The first that fits, where all after one that fits do too: by halving."""
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(candidates[middle]) else (middle + 1, high)
    return candidates[low] if low < len(candidates) else None


def _training_host(peaks: Peaks, batch: int) -> dict[str, int]:
    """A checkpoint is copied to the host before it is written; batches are prepared ahead."""
    held = max(peaks.values(), key=lambda kinds: kinds["weights"] + kinds["optimizer"])
    ahead = 1 + prefetch_depth("cuda")
    return {
        "libraries": _LIBRARIES,
        "checkpoint, or weights when they are read": max(held["weights"] + held["optimizer"], 2 * held["weights"]),
        "weights that are published": held["weights"],
        "batches": ahead * batch,
    }


def _training_disk(peaks: Peaks, training: LoopConfig) -> dict[str, int]:
    held = max(peaks.values(), key=lambda kinds: kinds["weights"] + kinds["optimizer"])
    kept = training.keep_checkpoints + 1  # one is written before the oldest is removed
    if training.keep_every_steps is not None:
        kept += training.steps // training.keep_every_steps
    return {f"{kept} checkpoints": kept * (held["weights"] + held["optimizer"]), "model": held["weights"]}


def _sample(params: Params, root: Path, limits: Limits) -> StageMemory:
    """All models of the cascade are on the device at once, and one after the other computes."""
    settings, frames = params.sample, params.ingest.num_frames
    names = [name for name in params.transformers() if not (name == "base" and params.aspect is not None)]
    if not settings.cascade:
        names = names[:1]
    transformers = params.transformers()
    peaks: Peaks = {}
    for name in names:
        peaks |= sampling_peaks(params, name)
    for name in names:
        size = transformers[name][0].resolution
        peaks[f"decode {size_folder(size)}"] = decoding_peak(params.autoencoder, frames, size, 1, settings.precision)[
            "decode"
        ]
    if params.text is not None:
        peaks |= text_peaks(params.text, root) or {}
    each = {phase: kinds["weights"] for phase, kinds in peaks.items() if not phase.startswith("decode")}
    total = sum(each.values()) + peaks[f"decode {size_folder(transformers[names[0]][0].resolution)}"]["weights"]
    peaks = {phase: {**kinds, "weights": total} for phase, kinds in peaks.items()}
    pixels = 3 * frames * sum(math.prod(transformers[name][0].resolution) for name in names)
    host = {
        "libraries": _LIBRARIES,
        "weights when they are read": 2 * max(each.values()),
        "videos": 2 * 4 * settings.batch_size * pixels,
    }
    return StageMemory("sample", f"{settings.batch_size} videos", peaks, host, {})


def _evaluate(params: Params, limits: Limits) -> StageMemory:
    peaks: Peaks = {}
    for name in params.transformers():
        peaks |= held_out_peaks(params, name)
    for before, name in pairwise(list(peaks)):  # one is read while the one before is there
        weights = peaks[before]["weights"] + peaks[name]["weights"]
        peaks[f"{before} and {name}"] = {**dict.fromkeys(KINDS, 0), "weights": weights}
    largest = max((model.resolution for model, _ in params.transformers().values()), key=math.prod)
    clip = 4 * 3 * params.ingest.num_frames * math.prod(largest)
    host = {
        "libraries": _LIBRARIES,
        "weights when they are read": max(kinds["weights"] for kinds in peaks.values()),
        "clips": 2 * params.evaluate.batch_size * clip,
        "decoded clips that are kept": 3 * KEPT_BYTES,
    }
    return StageMemory("evaluate", f"{params.evaluate.batch_size} clips", peaks, host, {})
