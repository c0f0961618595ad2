"""The training loop: one function, resumable at any step, the same for every model.

What is trained comes in as ``losses(step)``, in which everything random is a function of the step: so the state of a
run is its weights, its optimizer and one integer, and a run that was killed and resumed ends in the same bits.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from walt.core.errors import DivergedError, TerminatedError
from walt.core.log import ProgressBar, info, warning
from walt.core.storage import sha256_json
from walt.training import checkpoint
from walt.training.config import LoopConfig
from walt.training.ema import ExponentialMovingAverage
from walt.training.optimizers import make_optimizer, optimizer_state, restore_optimizer, set_learning_rate
from walt.training.schedules import learning_rate

History = list[dict[str, float]]


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run leaves."""

    state_dict: dict[str, Tensor]
    """The weights to use, on the CPU: the moving average where there is one, else the last ones."""
    history: History
    """One entry a log line: ``step`` (steps done), the averaged loss terms, ``grad_norm``, ``lr``."""


def train(
    *,
    name: str,
    model: nn.Module,
    losses: Callable[[int], dict[str, Tensor]],
    config: LoopConfig,
    identity: Mapping[str, Any],
    work: Path,
    on_log: Callable[[int, dict[str, float]], None],
) -> TrainingResult:
    """Train ``model`` for ``config.steps`` steps, from the newest checkpoint in ``work`` if it belongs to this run.

    Args:
        losses: step (from 0) -> named scalars; ``loss`` is what is minimised, the others are logged. Must not depend on
            anything but the step and the model's weights.
        identity: all that determines the result besides ``config`` and the model's parameter shapes: the model's
            configuration, the seed, the data's digests, the code's. JSON-able. A checkpoint under another identity
            is discarded.
        on_log: called every ``log_every`` steps with (steps done, means since the last call). After a resume, steps
            since the last checkpoint are reported again, with the same values.

    Raises:
        DivergedError: the loss or its gradient is not finite; the last good checkpoint is kept.
        TerminatedError: SIGTERM came; a checkpoint was written.
        StorageError: a checkpoint could not be written; earlier ones are intact.
    """
    run = _Run(model, config, identity, work)
    run.resume(name)
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    note = ""
    with ProgressBar(name, config.steps, "steps", completed=run.step) as bar, _TerminationSignal() as terminated:
        while run.step < config.steps:
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                terms = losses(run.step)
            run.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(terms["loss"])
            norm = nn.utils.clip_grad_norm_(parameters, config.optimizer.gradient_clip)
            if not bool(torch.isfinite(terms["loss"]) & torch.isfinite(norm)):
                raise DivergedError(f"{name}: {_describe(terms, norm)} at step {run.step}; {run.last_good()}")
            rate = learning_rate(config.optimizer, run.step, config.steps)
            set_learning_rate(run.optimizer, rate)
            run.optimizer.step()
            if run.ema:
                run.ema.update(model, run.step)
            run.means.add({**terms, "grad_norm": norm})
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
    return TrainingResult(run.weights(), run.history)


class _Run:
    """What a run consists of between two steps, and how it is saved and taken up again."""

    def __init__(self, model: nn.Module, config: LoopConfig, identity: Mapping[str, Any], work: Path) -> None:
        self.model, self.work = model, work
        self.optimizer = make_optimizer(model, config.optimizer)
        self.ema = ExponentialMovingAverage(model, config.ema_decay) if config.ema_decay else None
        self.step = 0
        self.saved_at: int | None = None
        self.history: History = []
        self.means = Means()
        shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
        loop = config.model_dump(mode="json", exclude={"checkpoint_every"})  # the only knob that changes no result
        self.identity = {**identity, "training": loop, "parameters": sha256_json(shapes)}

    def resume(self, name: str) -> None:
        """Take over the newest checkpoint; say loudly when there is one that is not this run's, and remove it."""
        try:
            found = checkpoint.load(self.work, self.identity)
        except checkpoint.IdentityError as error:
            warning(f"{name}: starting afresh, checkpoints discarded: {error}")
            checkpoint.discard(self.work)
            return
        if found is None:
            return
        self.model.load_state_dict(found.parts["model"])
        restore_optimizer(self.optimizer, found.parts["optimizer"], found.state["optimizer"])
        if self.ema:
            self.ema.load_state_dict(found.parts["ema"])
        self.step = self.saved_at = found.step
        self.history = found.state["history"]
        self.means.load_state(found.state["means"])
        info(f"{name}: resumed at step {self.step}")

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        tensors, scalars = optimizer_state(self.optimizer)
        parts: dict[str, Mapping[str, Tensor]] = {"model": self.model.state_dict(), "optimizer": tensors}
        if self.ema:
            parts["ema"] = self.ema.state_dict()
        state = {"optimizer": scalars, "history": self.history, "means": self.means.state()}
        checkpoint.save(self.work, self.step, self.identity, parts, state)
        self.saved_at = self.step

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights where there are some, else the current ones: a copy on the CPU."""
        state = self.ema.state_dict() if self.ema else self.model.state_dict()
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}

    def last_good(self) -> str:
        """For a message."""
        return "no checkpoint yet" if self.saved_at is None else f"the checkpoint of step {self.saved_at} is kept"


@dataclass
class Means:
    """Means of named scalars, summed where they lie: the device is asked for numbers only in ``take``."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count one more value of each name."""
        for name, value in values.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name].to(value.device) + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means

    def state(self) -> dict[str, Any]:
        """For a checkpoint: exact, since JSON keeps every bit of a float."""
        return {"sums": {name: float(total) for name, total in self.sums.items()}, "counts": self.counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self.sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in state["sums"].items()}
        self.counts = dict(state["counts"])


def _describe(terms: Mapping[str, Tensor], norm: Tensor) -> str:
    values = {**{name: float(value.detach()) for name, value in terms.items()}, "grad_norm": float(norm)}
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


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
