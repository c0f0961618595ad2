"""On how many devices a stage runs, and whether they divide its batches. Asked before any work."""

from __future__ import annotations

import os
from collections.abc import Iterator

from walt.core.errors import ConfigurationError
from walt.project.params import Params
from walt.project.registry import Stage

_NOTHING_WITHOUT = {"caption": "caption", "encode-text": "text"}
"""Stages that have nothing to do where a section of the parameters is null."""


def count_ranks(stage: Stage, params: Params) -> int:
    """How many processes the stage consists of on this machine: one for each device that it uses.

    Raises:
        ConfigurationError: there are not so many GPUs, or they do not divide a batch; the message names what would fit.
    """
    if not spreads(stage, params):
        return 1
    count = _devices(stage, params)
    if is_training(stage):
        check_batches(stage, params, count)
    return count


def spreads(stage: Stage, params: Params) -> bool:
    """Whether the stage can use several devices: not where it has nothing to spread, or its model is left out."""
    if is_training(stage):
        return bool(list(_batches(stage, params)))
    section = _NOTHING_WITHOUT.get(stage.name)
    return bool(stage.gpus) and (section is None or getattr(params, section) is not None)


def is_training(stage: Stage) -> bool:
    """Whether it trains a model."""
    return stage.transformer is not None or stage.name == "train-autoencoder"


def check_batches(stage: Stage, params: Params, count: int) -> None:
    """Raise ConfigurationError where ``count`` devices cannot share a batch of this training equally."""
    for key, batch, parts in _batches(stage, params):
        unit = count * parts
        if batch % unit == 0:
            continue
        below, above = batch // unit * unit, (batch // unit + 1) * unit
        nearest = f"the nearest that fits is {above}" if not below else f"the nearest that fit are {below} and {above}"
        times = f" times accumulation {parts}" if parts > 1 else ""
        raise ConfigurationError(
            f"{key} is {batch}, which {count} devices{times} do not divide: {nearest}{_fewer(stage, params, count)}"
        )
    if params.compute.sharding == "full" and count > 1 and stage.transformer is not None:
        _check_sharding(stage.transformer.training, params, count)


def _fewer(stage: Stage, params: Params, count: int) -> str:
    """How many devices, of fewer, divide all batches as they are: another batch would be another training."""
    for fewer in range(count - 1, 0, -1):
        if all(batch % (fewer * parts) == 0 for _, batch, parts in _batches(stage, params)):
            return f"; as it is, {fewer} {'device divides' if fewer == 1 else 'devices divide'} it (compute.devices)"
    return ""


def _check_sharding(section: str, params: Params, count: int) -> None:
    """Each device must have as many stacks of images as the others: all call the sharded model equally often."""
    training = getattr(params, section)
    stacks = round(training.image_fraction * training.batch_size)
    if stacks % count:
        below = stacks // count * count
        raise ConfigurationError(
            f"{section}.image_fraction {training.image_fraction:g} of batch_size {training.batch_size} is {stacks} "
            f"stacks of images, which with compute.sharding full {count} devices must divide: the nearest that fit are "
            f"{below} and {below + count}"
        )


def _batches(stage: Stage, params: Params) -> Iterator[tuple[str, int, int]]:
    """(key, batch size, parts in which a device computes its share) of a training."""
    if stage.transformer is None and params.train_autoencoder.frozen is None:
        for number, form in enumerate(params.train_autoencoder.forms):
            yield f"train_autoencoder.forms.{number}.batch_size", form.batch_size, params.train_autoencoder.accumulation
    elif stage.transformer is not None and (training := getattr(params, stage.transformer.training)) is not None:
        yield f"{stage.transformer.training}.batch_size", training.batch_size, training.accumulation


def cores() -> int:
    """Processor cores that this process may use; where the system does not say (macOS), all that there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _devices(stage: Stage, params: Params) -> int:
    """Of this machine."""
    compute = params.compute
    if compute.device == "cpu":
        gpus = 0
    else:
        import torch.cuda

        gpus = torch.cuda.device_count()
    if compute.devices != "auto":
        if (gpus or compute.device == "cuda") and compute.devices > gpus:
            raise ConfigurationError(f"compute.devices is {compute.devices}, but this machine has {gpus} GPUs")
        return compute.devices
    return gpus or _processes(stage, params)


def _processes(stage: Stage, params: Params) -> int:
    """On this machine's processor. The autoencoder's training has as many as all its forms' batches allow: forms of few
    large clips are small batches."""
    most = min(params.compute.cpu_processes, cores())
    if not is_training(stage) or stage.transformer is not None:
        return most
    units = [batch // parts for _, batch, parts in _batches(stage, params)]
    return max(count for count in range(1, most + 1) if all(unit % count == 0 for unit in units))
