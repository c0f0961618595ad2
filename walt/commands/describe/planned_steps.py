"""The peaks of a stage's memory, and how they are found: what all plans of trainings share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from walt.nn.planned_memory import Kind, Plan
from walt.training.termination import TerminationSignal
from walt.training.trained_model import ExponentialMovingAverage, TrainedModel, frozen

Peaks = dict[str, dict[Kind, int]]
"""For each phase of a stage, the bytes of each kind when most of them were alive."""
KindT = TypeVar("KindT", bound=str)
Counts = dict[str, dict[KindT, int]]
"""Whole numbers by two names, such as ``Peaks``."""

_FEWEST_LAYERS = 2


def by_layers(layers: int, of_layers: Callable[[int], Counts[KindT]]) -> Counts[KindT]:
    """What a model of ``layers`` takes, such as its peaks, counted with few of them and continued.

    Blocks come in pairs, spatial and spatiotemporal, and all pairs are alike: each adds the same to what is alive at
    any place outside it, so a phase's peak grows by the same for each pair, and so does what is computed or kept.
    """
    return continued(layers, of_layers, _FEWEST_LAYERS + layers % 2, 2)


def continued(number: int, of: Callable[[int], Counts[KindT]], first: int, step: int) -> Counts[KindT]:
    """``of(number)``, from ``of(first)`` and ``of(first + step)``, where each step adds the same to every number."""
    if number <= first + step:
        return of(number)
    small, larger = of(first), of(first + step)
    steps = (number - first) // step
    return {
        phase: {kind: count + steps * (larger[phase][kind] - count) for kind, count in kinds.items()}
        for phase, kinds in small.items()
    }


def step_peaks(plan: Plan, models: list[TrainedModel], step: int) -> Peaks:
    """Take a step of the training loop with models that are placed; before it their optimizers have taken one."""
    model, decay = models[0].model, models[0].config.ema_decay
    average = ExponentialMovingAverage(model, decay) if decay else None
    if average is not None:
        for tensor in average.state_dict().values():
            plan.count(tensor, "optimizer")
    for trained in models:
        for parameter in trained.parameters:
            parameter.grad = torch.empty_like(parameter)
        trained.update(0.0)
        trained.optimizer.zero_grad(set_to_none=True)
        for state in trained.optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    plan.count(value, "optimizer")
    plan.memory.begin()
    stop = TerminationSignal()
    for trained in models:
        plan.memory.prefix = trained.prefix.replace("/", ", ")
        with frozen(other for other in models if other is not trained):
            trained.gradient(step, stop)
    plan.memory.phase, plan.memory.prefix = "update", ""
    for trained in models:
        trained.update(0.0)
    if average is not None:
        average.update(model, step)
    return plan.memory.peaks
