"""Looking at a model while it is trained: how well it does on held-out clips, and what it makes.

A look changes nothing of the run: not its weights, their average, its optimizer, or a stream of random numbers. Who
looks is handed to the stage by whoever starts it (``walt.project.in_process``), since what is looked at must not make a
training stale.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from walt.core.sizes import Size
from walt.training.parallel import is_sharded, release


class Log(Protocol):
    """Where what was seen goes: a run of ``walt.tracking.runs``."""

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        """Add one point to each named curve."""

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Store a file, or the content of a folder."""

    def log_picture(self, path: Path, name: str, step: int) -> None:
        """Add a PNG to the run's pictures of that name, which are shown by step."""


@dataclass(frozen=True)
class Validation:
    """When a model is looked at, and by what."""

    every: int
    """Steps from one look to the next; there is one more after the last step."""
    look: Callable[[int, nn.Module], None]
    """Called by all ranks with (steps done, the model in eval mode with the weights that would be published now)."""

    def is_due(self, step: int, steps: int) -> bool:
        """Whether there is a look after ``step`` of ``steps`` steps. Not before the first: nothing is learned yet."""
        return step > 0 and (step % self.every == 0 or step == steps)


Measure = Callable[[nn.Module, Mapping[Size, Collection[str]]], dict[str, float]]
"""Of a stage's own: figures of the model on held-out clips, whose keys are given by their size."""

Validator = Callable[[Log, Measure | None], Validation]
"""Makes a stage's validation, which writes to its run."""


@contextmanager
def as_published(model: nn.Module, average: Mapping[str, Tensor] | None) -> Iterator[None]:
    """While the block runs, the model is as it would be published: in eval mode, without compiled code, with the
    averaged weights where there are some. Afterwards every bit of it is as before, and so are torch's random numbers.

    Gradients must have been dropped: the copy of the weights takes their place in memory. A sharded model stays so:
    each call gathers its weights, so all ranks must call it equally often, in the same order.
    """
    was_training = model.training
    state = model.state_dict()
    kept = {} if average is None else {name: value.clone() for name, value in state.items()}
    devices = {value.device.index or 0 for value in state.values() if value.is_cuda}
    sharded = any(is_sharded(value) for value in state.values())
    with torch.random.fork_rng(sorted(devices)), torch.no_grad(), _uncompiled(model), _no_copies(sharded):
        try:
            model.eval()
            for name in kept:
                state[name].copy_((average or {})[name])
            yield
        finally:
            release(model)  # gathered weights would be taken for the present ones in the next step
            for name, value in kept.items():
                state[name].copy_(value)
            model.train(was_training)


@contextmanager
def _no_copies(sharded: bool) -> Iterator[None]:
    """Autocast keeps no copies of sharded weights: they are new tensors in each call, so it would keep those of all."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(before and not sharded)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def _uncompiled(model: nn.Module) -> AbstractContextManager[object]:
    """Nothing is compiled for another mode: after some such modes torch would give up compiling for training too."""
    if any(module._compiled_call_impl is not None for module in model.modules()):
        return torch.compiler.set_stance("force_eager")
    return nullcontext()
