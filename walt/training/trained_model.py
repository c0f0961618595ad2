"""A model with its loss and its optimizer: the gradient of a step, the step itself, and the average of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from walt.nn.device import arithmetic
from walt.training import parallel
from walt.training.config import LoopConfig
from walt.training.optimizers import make_optimizer, set_learning_rate
from walt.training.termination import TerminationSignal
from walt.training.terms import Average, Terms, add_terms

Losses = Callable[[int], Terms | Iterator[Terms]]


@dataclass(frozen=True)
class SecondModel:
    """A second model, updated with the model in every step, with an optimizer of the same configuration."""

    name: str
    """Names its terms in the log and its files in checkpoints."""
    model: nn.Module
    """Its buffers may change in ``losses``: they are part of checkpoints, and are as before after a skipped step."""
    losses: Losses
    """As the model's; called once per step, after the model's own and before either model is updated."""


class TrainedModel:
    """A model with its loss and its optimizer. The first has no name; a second model's name is put before its terms."""

    def __init__(self, model: nn.Module, losses: Losses, config: LoopConfig, name: str = "") -> None:
        self.model, self.losses, self.config = model.train(), losses, config
        self.optimizer = make_optimizer(model, config.optimizer)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.prefix = f"{name}/" if name else ""
        self.part, self.optimizer_part = (name, f"{name}_optimizer") if name else ("model", "optimizer")

    def gradient(self, step: int, stop: TerminationSignal) -> dict[str, Tensor | Average] | None:
        """The terms of a step, with the gradient's norm; the gradient is left, clipped, on this model's parameters.

        None where ``stop`` came before the last part: the step is given up.
        """
        terms: dict[str, Tensor | Average] = {}
        for done, part in enumerate(self._parts(step, stop), start=1):
            if not part:
                return None
            if not terms:
                self.optimizer.zero_grad(set_to_none=True)
            scalar(part, "loss").backward()
            add_terms(terms, part)
            if done < self.config.accumulation and stop:  # in this order: all ranks are asked
                return None
        parallel.sum_gradients(self.parameters)
        check_gradients(self.parameters)
        terms = parallel.sum_terms(terms)
        terms["grad_norm"] = parallel.clip_gradients(self.parameters, self.config.optimizer.gradient_clip)
        return {f"{self.prefix}{term}": value for term, value in terms.items()}

    def _parts(self, step: int, stop: TerminationSignal) -> Iterator[Terms]:
        """The parts of a step, each computed when it is asked for: under autocast, which backward passes are not.

        An empty one comes only when ``stop`` has come. Else what is around it is computed in one go: autocast keeps a
        weight's copy for as long as that lasts, and the gradients of one copy are added up in its precision. Of sharded
        weights it keeps none: it would go on with copies from a pass without gradient, and those of the pass with
        gradient would be missing (torch 2.13).
        """
        device, parts = self.parameters[0].device, None
        keep = not parallel.is_sharded(self.parameters[0])
        while True:
            with arithmetic(device.type, self.config.precision, copies=keep):
                if parts is None:
                    found = self.losses(step)
                    parts = iter([found]) if isinstance(found, Mapping) else found
                part = next(parts, None)
                while part is not None and not part and not stop:
                    part = next(parts, None)
            if part is None:
                return
            yield part

    def update(self, rate: float) -> None:
        """One step of the optimizer along the gradient."""
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()


class ExponentialMovingAverage:
    """Averaged weights, kept in the model's own precision and on its device.

    The decay warms up as ``min(decay, (1 + step) / (10 + step))``, so that the random first weights soon lose their
    influence. Buffers and integer entries are copied, not averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._shadow = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._averaged = [name for name, value in model.named_parameters() if value.is_floating_point()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Add the weights after the optimizer's step number ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        averaged = set(self._averaged)
        torch._foreach_lerp_(
            [self._shadow[name] for name in self._averaged], [current[name] for name in self._averaged], 1.0 - decay
        )
        for name, value in current.items():
            if name not in averaged:
                self._shadow[name].copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights under the model's names."""
        return self._shadow

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load saved averages. Raises KeyError when a name is missing."""
        for name, value in self._shadow.items():
            value.copy_(state[name])


@contextmanager
def frozen(models: Iterable[TrainedModel]) -> Iterator[None]:
    """These models' parameters collect no gradients in the block: a loss may run through models that it does not train.

    Freezing is the one way that sharded parameters (FSDP2) take as well: ``backward(inputs=...)`` leaves them all
    without gradients, and says nothing.
    """
    parameters = [parameter for trained in models for parameter in trained.parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def check_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Raise RuntimeError where none of them has a gradient: the training would go on and learn nothing."""
    if all(parameter.grad is None for parameter in parameters):
        raise RuntimeError(f"none of the {len(parameters)} trained parameters got a gradient of the loss")


def scalar(terms: Terms, name: str) -> Tensor:
    """A term that every step has."""
    term = terms[name]
    assert isinstance(term, Tensor), f"{name} is a mean over some samples only"
    return term
