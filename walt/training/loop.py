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

from torch import Tensor, nn

from walt.core.errors import DivergedError, TerminatedError
from walt.core.log import ProgressBar
from walt.training.config import LoopConfig
from walt.training.optimizers import learning_rate
from walt.training.run_state import History, RunState
from walt.training.termination import TerminationSignal
from walt.training.trained_model import Losses, SecondModel, TrainedModel


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

    Raises:
        DifferentRunError: the checkpoint is of a run with another result; see ``continuation.begin``.
        DivergedError: a loss or a gradient was not finite in more than ``config.skip_non_finite`` steps in a row; the
            newest checkpoint is of before them.
        TerminatedError: SIGTERM came; a checkpoint was written.
        StorageError: a checkpoint could not be written; earlier ones are intact.
    """
    models = [TrainedModel(model, losses, config)]
    if second_model:
        models.append(TrainedModel(second_model.model, second_model.losses, config, second_model.name))
    run = RunState(name, models, config, identity, work)
    run.resume(name)
    note = ""
    bar = ProgressBar(name, config.steps, "steps", completed=run.step)
    with bar, TerminationSignal() as terminated, run.writer() as writer:
        while run.step < config.steps:
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
                raise TerminatedError(f"{name}: SIGTERM at step {run.step}; a checkpoint was written")
    if not run.history:
        raise DivergedError(f"{name}: all {config.steps} steps were skipped: {run.guard.what_happened}")
    return TrainingResult(run.weights(), run.history, tuple(run.guard.skipped), tuple(run.changes))
