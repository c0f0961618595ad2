"""The training loop: one function, resumable at any step, the same for every model.

The caller gives ``losses(step)``, in which everything random is a function of the step. So the state of a run is its
weights, its optimizer and one integer, and a run that was killed and resumed ends in the same bits.

A run may train a second model along with the first: the discriminator of an adversarial loss. Each has its own
weights, loss and optimizer, and each step updates both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from walt.core.errors import DivergedError, TerminatedError
from walt.core.log import ProgressBar
from walt.core.ranks import ranks
from walt.nn.collectives import first_goes_ahead
from walt.training import continuation
from walt.training.checkpoint import Retention
from walt.training.checkpoint_writer import CheckpointWriter
from walt.training.config import LoopConfig
from walt.training.differences import Kind
from walt.training.loss_spikes import LossSpikes
from walt.training.optimizers import learning_rate, optimizer_state, restore_optimizer
from walt.training.parallel import release, same_on_all, shared_like, whole
from walt.training.termination import TerminationSignal
from walt.training.terms import Average, FiniteGuard, Means, Terms
from walt.training.trained_model import (
    ExponentialMovingAverage,
    Losses,
    SecondModel,
    TrainedModel,
    frozen,
    scalar,
)
from walt.training.validation import Validation, as_published

History = list[dict[str, float]]


@dataclass(frozen=True)
class TrainingResult:
    """The result of a finished run."""

    state_dict: dict[str, Tensor]
    """The weights to use, on the CPU: the moving average where there is one, else the last ones."""
    history: History
    """One entry per log line: ``step`` (steps done), the averaged loss terms, ``grad_norm``, ``lr``; the second model's
    terms are there as ``<its name>/<term>``. Where there were any so far, ``skipped_steps`` and ``loss_spikes``."""
    skipped: tuple[int, ...] = ()
    """The steps, from 0, that were skipped, since a loss or a gradient was not finite."""
    changes: tuple[Mapping[str, Any], ...] = ()
    """What changed between the run's starts (``walt.training.continuation``)."""


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
    validation: Validation | None = None,
) -> TrainingResult:
    """Train ``model`` for ``config.steps`` steps, from the newest checkpoint in ``work`` if it belongs to this run.

    Args:
        losses: step (from 0) -> named scalars; ``loss`` is what is minimised, the others are logged. Must not depend on
            anything but the step and both models' weights. Only the model's own parameters get gradients of it. Where a
            step is computed in parts (gradient accumulation), an iterator: the terms of one part after the other, which
            add up to the step's. A part's activations are freed before the next part is asked for. An empty part
            holds nothing: it is a place at which a step may be given up when SIGTERM has come, as between two parts.
        identity: all that determines the result besides ``config``, by the headings of ``walt.training.differences``:
            the model's configuration, the seed, the data's digests, the code's. JSON-able.
        on_log: called every ``log_every`` steps with (steps done, means since the last call). After a resume, steps
            since the last checkpoint are reported again, with the same values.
        second_model: trained along with the model and against it; only the model is returned.
        validation: what looks at the model meanwhile; after a resume, again at the step that the run goes on from.

    Raises:
        DifferentRunError: the checkpoint is of a run with another result; see ``continuation.begin``.
        DivergedError: a loss or a gradient was not finite in more than ``config.skip_non_finite`` steps in a row; the
            newest checkpoint is of before them.
        TerminatedError: SIGTERM, SIGUSR1 or SIGHUP came; a checkpoint was written.
        StorageError: a checkpoint could not be written; earlier ones are intact.
    """
    models = [TrainedModel(model, losses, config), *_second(second_model, config)]
    run = RunState(name, models, config, identity, work)
    run.resume(name)
    note = ""
    bar = ProgressBar(name, config.steps, "steps", completed=run.step)
    with bar, TerminationSignal() as terminated, run.writer() as writer:
        while run.step < config.steps:
            run.look(validation)
            writer.check()
            rate = learning_rate(config.optimizer, run.step, config.steps)
            if run.advance(rate, terminated):
                if metrics := run.log_line(rate):
                    on_log(run.step, metrics)
                    note = f"loss {metrics['loss']:.4g}"
                bar.advance(1, note)
            if run.guard.diverged:
                writer.wait()
                raise DivergedError(f"{name}: {run.guard.what_happened} at step {run.step}; {run.last_good()}")
            if terminated or run.checkpoint_is_due:
                run.save(writer)
            if terminated:
                writer.wait()
                raise TerminatedError(f"{name}: {terminated.name} at step {run.step}; a checkpoint was written")
        run.look(validation)
    return run.result(name)


class RunState:
    """The state of a run between two steps: how a step changes it, what is logged, how it is saved and resumed."""

    def __init__(
        self, name: str, models: list[TrainedModel], config: LoopConfig, identity: Mapping[str, Any], work: Path
    ) -> None:
        self.models, self.model, self.config, self.work = models, models[0].model, config, work
        self.guard = FiniteGuard(name, config.skip_non_finite)
        self.spikes = LossSpikes(name, config.spike_threshold)
        self.seconds = 0.0
        self.ema = ExponentialMovingAverage(self.model, config.ema_decay) if config.ema_decay else None
        self.step = 0
        self.saved_at: int | None = None
        self.history: History = []
        self.means = Means()
        self.changes: list[dict[str, Any]] = []
        self.identity = continuation.run_identity(identity, config)

    def resume(self, name: str) -> None:
        """Load the newest checkpoint, if there is one of this run."""
        for trained in self.models:
            same_on_all(trained.model)
        with first_goes_ahead():  # it removes what is damaged
            resumed = continuation.resume(name, self.work, self.identity, self.config)
        if resumed is None:
            return
        found, self.changes = resumed
        for trained in self.models:
            if not continuation.fits(name, trained.model, found, trained.part):
                continue
            trained.model.load_state_dict(shared_like(found.parts[trained.part], trained.model.state_dict()))
            if continuation.has_optimizer(name, found, self.config, trained.optimizer_part):
                scalars = found.state[trained.optimizer_part]
                restore_optimizer(trained.optimizer, found.parts[trained.optimizer_part], scalars)
        if self.ema:
            average = found.parts.get("ema", found.parts[self.models[0].part])
            self.ema.load_state_dict(shared_like(average, self.ema.state_dict()))
        self.step = self.saved_at = found.step
        self.seconds = found.seconds
        self.history = found.state["history"]
        self.means.load_state(found.state["means"])
        self.guard.load_state(found.state["guard"])
        self.spikes.load_state(found.state["spikes"])
        last = self.changes[-1] if self.changes else None
        if last and last["step"] == self.step and last["kind"] == Kind.ANOTHER:
            self.guard.forgive()

    @property
    def finished(self) -> bool:
        """Whether there are no steps left."""
        return self.step == self.config.steps

    @property
    def checkpoint_is_due(self) -> bool:
        """Not while steps are skipped: where the run diverges, the newest checkpoint is to be of before that."""
        return self.finished or (self.step % self.config.checkpoint_every == 0 and not self.guard.in_a_row)

    def writer(self) -> CheckpointWriter:
        """Of this run's checkpoints, from here on."""
        config = self.config
        retention = Retention(config.keep_checkpoints, config.keep_every_steps, config.keep_every_hours)
        return CheckpointWriter(self.work, retention, (self.step, self.seconds))

    def advance(self, rate: float, stop: TerminationSignal) -> bool:
        """Take a step, or skip it where it is not finite. All models are updated, or none is.

        Returns:
            False where nothing has changed: ``stop`` came in the middle of the step, or the run has diverged.
        """
        buffers = [(buffer, buffer.clone()) for trained in self.models[1:] for buffer in trained.model.buffers()]
        terms = self._gradients(stop)
        values = _read(terms) if terms else {}
        if terms and self.guard.may_take(self.step, values):
            for trained in self.models:
                trained.update(rate)
            if self.ema:
                self.ema.update(self.model, self.step)
            self.means.add(terms)
            self.spikes.add(self.step, {name: value for name, value in values.items() if name.endswith("loss")})
        else:
            for buffer, before in buffers:
                buffer.copy_(before)
            if not terms or self.guard.diverged:
                return False
        self.step += 1
        return True

    def _gradients(self, stop: TerminationSignal) -> dict[str, Tensor | Average]:
        """The terms of the present step, of all models, whose gradients are left on them; empty if it is given up."""
        terms: dict[str, Tensor | Average] = {}
        for trained in self.models:
            with frozen(other for other in self.models if other is not trained):
                found = trained.gradient(self.step, stop)
            for other in self.models:  # a loss may run through models that it does not train
                release(other.model)
            if found is None:
                return {}
            terms.update(found)
        return terms

    def log_line(self, rate: float) -> dict[str, float] | None:
        """What is logged after this step, also noted in the history; None where nothing is, or every step since the
        last line was skipped."""
        if self.step % self.config.log_every and not self.finished:
            return None
        means = self.means.take()
        if not means:
            return None
        counts = {"skipped_steps": len(self.guard.skipped), "loss_spikes": self.spikes.count}
        metrics = {**means, "lr": rate, **{name: float(count) for name, count in counts.items() if count}}
        self.history.append({"step": self.step, **metrics})
        return metrics

    def look(self, validation: Validation | None) -> None:
        """Look at the model, where that is due: not where steps are being skipped, since the run may be diverging."""
        if validation is None or not validation.is_due(self.step, self.config.steps) or self.guard.in_a_row:
            return
        for trained in self.models:
            trained.optimizer.zero_grad(set_to_none=True)
        with as_published(self.model, self.ema.state_dict() if self.ema else None):
            validation.look(self.step, self.model)

    def save(self, writer: CheckpointWriter) -> None:
        """Begin to write a checkpoint of the present state, unless there is one."""
        if self.saved_at == self.step:
            return
        parts: dict[str, Mapping[str, Tensor]] = {}
        state: dict[str, Any] = {
            "history": list(self.history),
            "means": self.means.state(),
            "guard": self.guard.state(),
            "spikes": self.spikes.state(),
            "changes": self.changes,
        }
        for trained in self.models:
            parts[trained.part] = trained.model.state_dict()
            parts[trained.optimizer_part], state[trained.optimizer_part] = optimizer_state(trained.optimizer)
        if self.ema:
            parts["ema"] = self.ema.state_dict()
        parts = {part: whole(tensors) for part, tensors in parts.items()}
        if ranks().is_first:
            writer.write(self.step, self.identity, parts, state)
        self.saved_at = self.step

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights where there are some, else the current ones: a copy on the CPU."""
        state = self.ema.state_dict() if self.ema else self.model.state_dict()
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in whole(state).items()}

    def result(self, name: str) -> TrainingResult:
        """Of a finished run. Raises DivergedError where every step was skipped."""
        if not self.history:
            raise DivergedError(f"{name}: all {self.config.steps} steps were skipped: {self.guard.what_happened}")
        return TrainingResult(self.weights(), self.history, tuple(self.guard.skipped), tuple(self.changes))

    def last_good(self) -> str:
        """For a message."""
        return "no checkpoint yet" if self.saved_at is None else f"the checkpoint of step {self.saved_at} is kept"


def _second(model: SecondModel | None, config: LoopConfig) -> list[TrainedModel]:
    return [] if model is None else [TrainedModel(model.model, model.losses, config, model.name)]


def _read(terms: Terms) -> dict[str, float]:
    """The losses and the norms of the gradients: the only place in a step where the device is waited for."""
    names = [name for name in terms if name.rpartition("/")[2] in ("loss", "grad_norm")]
    return dict(zip(names, torch.stack([scalar(terms, name).float() for name in names]).tolist(), strict=True))
