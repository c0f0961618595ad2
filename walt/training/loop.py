"""The training loop: one function, resumable at any step, the same for every model.

The caller gives ``losses(step)``, in which everything random is a function of the step. So the state of a run is its
weights, its optimizer and one integer, and a run that was killed and resumed ends in the same bits.

A run may train a second model along with the first: the discriminator of an adversarial loss. Each has its own
weights, loss and optimizer, and each step updates both.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from walt.core.errors import DivergedError, TerminatedError
from walt.core.log import ProgressBar
from walt.training import checkpoint, continuation
from walt.training.config import LoopConfig
from walt.training.ema import ExponentialMovingAverage
from walt.training.means import Average, Means, Terms, add_terms
from walt.training.optimizers import (
    learning_rate,
    make_optimizer,
    optimizer_state,
    restore_optimizer,
    set_learning_rate,
)

History = list[dict[str, float]]
Losses = Callable[[int], Terms | Iterator[Terms]]


@dataclass(frozen=True)
class TrainingResult:
    """The result of a finished run."""

    state_dict: dict[str, Tensor]
    """The weights to use, on the CPU: the moving average where there is one, else the last ones."""
    history: History
    """One entry per log line: ``step`` (steps done), the averaged loss terms, ``grad_norm``, ``lr``; the second model's
    terms are there as ``<its name>/<term>``."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """What changed between its starts (``walt.training.continuation``)."""


@dataclass(frozen=True)
class SecondModel:
    """A second model, updated after the model in every step, with an optimizer of the same configuration."""

    name: str
    """Names its terms in the log and its files in checkpoints."""
    model: nn.Module
    """Its buffers may change in ``losses``: they are part of checkpoints."""
    losses: Losses
    """As the model's; called once per step, after the model's own."""


def train(
    *,
    name: str,
    model: nn.Module,
    losses: Losses,
    config: LoopConfig,
    identity: Mapping[str, Any],
    work: Path,
    on_log: Callable[[int, dict[str, float]], None],
    second_model: SecondModel | None = None,
) -> TrainingResult:
    """Train ``model`` for ``config.steps`` steps, from the newest checkpoint in ``work`` if it belongs to this run.

    Args:
        losses: step (from 0) -> named scalars; ``loss`` is what is minimised, the others are logged. Must not depend on
            anything but the step and both models' weights. Only the model's own parameters get gradients of it. Where a
            step is computed in parts (gradient accumulation), an iterator: the terms of one part after the other, which
            add up to the step's. A part's activations are freed before the next part is asked for.
        identity: all that determines the result besides ``config``, by the headings of ``walt.training.differences``:
            the model's configuration, the seed, the data's digests, the code's. JSON-able.
        on_log: called every ``log_every`` steps with (steps done, means since the last call). After a resume, steps
            since the last checkpoint are reported again, with the same values.
        second_model: trained along with the model and against it; only the model is returned.

    Raises:
        DifferentRunError: the checkpoint is of a run with another result; see ``continuation.begin``.
        DivergedError: a model's loss or its gradient is not finite; the last good checkpoint is kept.
        TerminatedError: SIGTERM came; a checkpoint was written.
        StorageError: a checkpoint could not be written; earlier ones are intact.
    """
    models = [_TrainedModel(model, losses, config)]
    if second_model:
        models.append(_TrainedModel(second_model.model, second_model.losses, config, second_model.name))
    run = _Run(models, config, identity, work)
    run.resume(name)
    note = ""
    with ProgressBar(name, config.steps, "steps", completed=run.step) as bar, _TerminationSignal() as terminated:
        while run.step < config.steps:
            rate = learning_rate(config.optimizer, run.step, config.steps)
            for trained in models:
                terms = trained.gradient(run.step)
                if not trained.is_finite(terms):
                    raise DivergedError(f"{name}: {_describe(terms)} at step {run.step}; {run.last_good()}")
                trained.update(rate)
                run.means.add(terms)
            if run.ema:
                run.ema.update(model, run.step)
            run.step += 1
            finished = run.step == config.steps
            if run.step % config.log_every == 0 or finished:
                metrics = {**run.means.take(), "lr": rate}
                run.history.append({"step": run.step, **metrics})
                on_log(run.step, metrics)
                note = f"loss {metrics['loss']:.4g}"
            bar.advance(1, note)
            if run.step % config.checkpoint_every == 0 or finished or terminated:
                run.save()
            if terminated:
                raise TerminatedError(f"{name}: SIGTERM at step {run.step}; a checkpoint was written")
    return TrainingResult(run.weights(), run.history, run.changes)


class _TrainedModel:
    """A model with its loss and its optimizer. The first has no name; a second model's name is put before its terms."""

    def __init__(self, model: nn.Module, losses: Losses, config: LoopConfig, name: str = "") -> None:
        self.model, self.losses, self.config = model.train(), losses, config
        self.optimizer = make_optimizer(model, config.optimizer)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.prefix = f"{name}/" if name else ""
        self.part, self.optimizer_part = (name, f"{name}_optimizer") if name else ("model", "optimizer")

    def gradient(self, step: int) -> dict[str, Tensor | Average]:
        """The terms of a step, with the gradient's norm; the gradient is left, clipped, on this model's parameters."""
        terms: dict[str, Tensor | Average] = {}
        for part in self._parts(step):
            if not terms:
                self.optimizer.zero_grad(set_to_none=True)
            # the loss may run through the other model as well, whose parameters must not collect gradients of it
            torch.autograd.backward(_scalar(part, "loss"), inputs=self.parameters)
            add_terms(terms, part)
        terms["grad_norm"] = nn.utils.clip_grad_norm_(self.parameters, self.config.optimizer.gradient_clip)
        return {f"{self.prefix}{term}": value for term, value in terms.items()}

    def _parts(self, step: int) -> Iterator[Terms]:
        """The parts of a step, each computed when it is asked for: under autocast, which backward passes are not."""
        device, parts = self.parameters[0].device, None
        while True:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                if parts is None:
                    found = self.losses(step)
                    parts = iter([found]) if isinstance(found, Mapping) else found
                part = next(parts, None)
            if part is None:
                return
            yield part

    def is_finite(self, terms: Terms) -> bool:
        """Whether the loss and its gradient are finite."""
        loss, norm = _scalar(terms, f"{self.prefix}loss"), _scalar(terms, f"{self.prefix}grad_norm")
        return bool(torch.isfinite(loss) & torch.isfinite(norm))

    def update(self, rate: float) -> None:
        """One step of the optimizer along the gradient."""
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()


class _Run:
    """The state of a run between two steps, and how it is saved and resumed."""

    def __init__(
        self, models: list[_TrainedModel], config: LoopConfig, identity: Mapping[str, Any], work: Path
    ) -> None:
        self.models, self.model, self.work = models, models[0].model, work
        self.ema = ExponentialMovingAverage(self.model, config.ema_decay) if config.ema_decay else None
        self.step = 0
        self.saved_at: int | None = None
        self.history: History = []
        self.means = Means()
        self.config = config
        self.identity = continuation.run_identity(identity, config)
        self.changes: list[dict[str, Any]] = []

    def resume(self, name: str) -> None:
        """Load the newest checkpoint, if there is one of this run."""
        resumed = continuation.resume(name, self.work, self.identity, self.config)
        if resumed is None:
            return
        found, beginning = resumed
        self.changes = beginning.changes
        for trained in self.models:
            if not continuation.fits(name, trained.model, found, trained.part):
                continue
            trained.model.load_state_dict(found.parts[trained.part])
            if continuation.has_optimizer(name, found, self.config, trained.optimizer_part):
                scalars = found.state[trained.optimizer_part]
                restore_optimizer(trained.optimizer, found.parts[trained.optimizer_part], scalars)
        if self.ema:
            self.ema.load_state_dict(found.parts.get("ema", found.parts[self.models[0].part]))
        self.step = self.saved_at = found.step
        self.history = found.state["history"]
        self.means.load_state(found.state["means"])

    def save(self) -> None:
        """Write a checkpoint of the present state."""
        parts: dict[str, Mapping[str, Tensor]] = {}
        state: dict[str, Any] = {
            "history": self.history,
            "means": self.means.state(),
            "changes": self.changes,
        }
        for trained in self.models:
            parts[trained.part] = trained.model.state_dict()
            parts[trained.optimizer_part], state[trained.optimizer_part] = optimizer_state(trained.optimizer)
        if self.ema:
            parts["ema"] = self.ema.state_dict()
        checkpoint.save(self.work, self.step, self.identity, parts, state)
        self.saved_at = self.step

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights where there are some, else the current ones: a copy on the CPU."""
        state = self.ema.state_dict() if self.ema else self.model.state_dict()
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}

    def last_good(self) -> str:
        """For a message."""
        return "no checkpoint yet" if self.saved_at is None else f"the checkpoint of step {self.saved_at} is kept"


def _scalar(terms: Terms, name: str) -> Tensor:
    """A term that every step has."""
    term = terms[name]
    assert isinstance(term, Tensor), f"{name} is a mean over some samples only"
    return term


def _describe(terms: Terms) -> str:
    scalars = {name: float(value) for name, value in terms.items() if isinstance(value, Tensor)}
    return ", ".join(f"{name} {value:.4g}" for name, value in scalars.items())


class _TerminationSignal:
    """True once SIGTERM has come; the previous handler is back when the block ends. Never, outside the main thread."""

    def __init__(self) -> None:
        self._came = False
        self._installed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._installed:
            self._previous = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, self._previous)

    def __bool__(self) -> bool:
        return self._came

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._came = True
