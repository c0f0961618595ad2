"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


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
