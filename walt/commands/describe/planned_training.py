"""What a training step of a transformer holds in memory: its own code runs with tensors without values."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Literal

import torch

from walt.commands.describe.planned_steps import Peaks, by_layers, step_peaks
from walt.data.epoch_order import hash_integer
from walt.diffusion.schedule import Schedule
from walt.nn.planned_memory import Kind, Plan, planned
from walt.training.config import DiffusionTrainingConfig
from walt.training.diffusion_objective import DiffusionBatch, DiffusionObjective
from walt.training.terms import Terms
from walt.training.trained_model import TrainedModel
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

Composition = tuple[int, int]
"""(videos, stacks of images) of a part of a step."""


def training_peaks(
    architecture: TransformerConfig,
    training: DiffusionTrainingConfig,
    schedule: Schedule,
    max_tokens: int,
    devices: int,
    device: Literal["cuda", "cpu"] = "cuda",
) -> Peaks:
    """Of a step on one of ``devices`` that each hold the whole model: for each kind of part, such as ``32 videos``, the
    phases ``forward`` and ``backward``; and ``update``.

    Args:
        max_tokens: of a caption, for models of text.
    """

    def of_layers(layers: int) -> Peaks:
        fewer = architecture.model_copy(update={"layers": layers})
        with planned(device) as plan:
            return _step(plan, fewer, training, schedule, max_tokens, devices)

    return by_layers(architecture.layers, of_layers)


def parts_of_step(training: DiffusionTrainingConfig, devices: int) -> list[Composition]:
    """What the first device's parts of a step are made of, in order; the other devices' are the same up to one."""
    stacks = round(training.image_fraction * training.batch_size)
    videos = training.batch_size - stacks
    own = [place < videos for place in range(0, training.batch_size, devices)]
    size = len(own) // training.accumulation
    return [(sum(part), size - sum(part)) for part in (own[i : i + size] for i in range(0, len(own), size))]


def _step(
    plan: Plan,
    architecture: TransformerConfig,
    training: DiffusionTrainingConfig,
    schedule: Schedule,
    max_tokens: int,
    devices: int,
) -> Peaks:
    with torch.device("meta"):
        model = WaltTransformer(architecture)
    model.activation_checkpointing = training.activation_checkpointing
    plan.place(model)
    parts = parts_of_step(training, devices)
    kinds = list(dict.fromkeys(parts))
    parts = [parts[0], *kinds] if len(parts) > 1 else parts  # in the later ones, the gradients are there already
    config = training.model_copy(
        update={
            "accumulation": len(parts),
            "batch_size": sum(map(sum, parts)),
            "image_fraction": sum(stacks for _, stacks in parts) / sum(map(sum, parts)),
        }
    )
    latents = SimpleNamespace(image_keys=("an image",), video_keys=("a video",))
    maker: Any = SimpleNamespace(latents=latents)
    objective = DiffusionObjective(model, schedule, maker, config, seed=0)
    batch = [
        host_batch(architecture, count, images, max_tokens)
        for part in parts
        for images, count in enumerate(part)
        if count
    ]
    step = _step_with_two_passes(training.self_conditioning_probability)
    names = ["first part, ", *map(_name, kinds)] if len(parts) > 1 else [_name(parts[0])]

    def losses(step: int) -> Iterator[Terms]:
        computed = objective.losses(step, batch)
        for name in names:  # each kind of part has peaks of its own
            plan.memory.prefix = name
            yield next(computed)

    return step_peaks(plan, [TrainedModel(model, losses, config)], step)


def _name(part: Composition) -> str:
    return ", ".join(f"{count} {kind}" for count, kind in zip(part, ("videos", "stacks"), strict=True) if count) + ", "


def host_batch(architecture: TransformerConfig, count: int, images: int, max_tokens: int) -> DiffusionBatch:
    """``count`` videos, or stacks of images, on the host: memory that nothing is written to is not taken."""
    channels, (frames, height, width) = architecture.latent_channels, architecture.latent_grid
    latents = torch.empty(count, channels, frames, height, width)
    of_each = (count, frames) if images else (count,)
    text = architecture.text_width is not None
    low = level = None
    if architecture.super_resolution is not None:
        factor = architecture.super_resolution.factor
        low = torch.empty(count, channels, frames, height // factor, width // factor)
        level = torch.zeros(count, dtype=torch.int64)
    known = torch.zeros(count, dtype=torch.int64) if architecture.frame_prediction and not images else None
    return DiffusionBatch(
        latents, torch.empty_like(latents), torch.zeros(count, dtype=torch.int64),
        torch.empty(*of_each, max_tokens, architecture.text_width or 0) if text else None,
        torch.ones(*of_each, max_tokens, dtype=torch.bool) if text else None, bool(images), low, level,
        labels=torch.zeros(of_each, dtype=torch.int64) if architecture.num_classes is not None else None,
        known_frames=known,
    )  # fmt: skip


def _step_with_two_passes(probability: float) -> int:
    """A step in which the model is called twice, where there are such: it needs more."""
    draws = (hash_integer("self-conditioning", 0, step) / 2**64 for step in range(10_000))
    return next((step for step, draw in enumerate(draws) if draw < probability), 0)


def sharded(peaks: Peaks, architecture: TransformerConfig, devices: int) -> Peaks:
    """The peaks of one device where each holds its share of the model (FSDP2), from those of a whole model.

    Calculated: each holds its share of weights, gradients and moments, all of what is outside the blocks, and at a
    time two blocks' weights, one of which is gathered ahead, and two blocks' gradients. Copies that autocast makes of
    weights are not kept then; they are counted all the same.
    """
    with torch.device("meta"):
        model = WaltTransformer(architecture.model_copy(update={"layers": 2}))
    blocks = sum(4 * parameter.numel() for parameter in model.blocks.parameters())
    outside = sum(4 * parameter.numel() for parameter in model.parameters()) - blocks

    def share(kind: Kind, count: int) -> int:
        if kind not in ("weights", "optimizer", "gradients") or not count:
            return count
        gathered = 0 if kind == "optimizer" else blocks + outside
        return -(-count // devices) + gathered

    return {phase: {kind: share(kind, count) for kind, count in kinds.items()} for phase, kinds in peaks.items()}
