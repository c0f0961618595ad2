"""Mean and standard deviation of the latents per channel: what makes them unit-variance for the transformer.

The paper normalises latents and leaves open how; here it is per channel, over the training set, in one pass (Welford's
method, Chan's update for batches). Applied and undone only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentStatistics:
    """``mean`` and ``std`` are (c,) float32; ``count`` is the number of latent cells seen."""

    mean: Tensor
    std: Tensor
    count: int

    def normalize(self, latents: Tensor) -> Tensor:
        """(B, c, t, h, w) as encoded -> about zero mean, unit variance."""
        return (latents - _per_channel(self.mean)) / _per_channel(self.std)

    def denormalize(self, latents: Tensor) -> Tensor:
        """The inverse of ``normalize``."""
        return latents * _per_channel(self.std) + _per_channel(self.mean)

    @classmethod
    def identity(cls, channels: int) -> LatentStatistics:
        """Statistics that change nothing: latents without normalisation (paper, Table 3c)."""
        return cls(torch.zeros(channels), torch.ones(channels), 0)

    def to(self, device: str) -> LatentStatistics:
        """The same on another device."""
        return LatentStatistics(self.mean.to(device), self.std.to(device), self.count)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; ``from_json`` reads them back exactly."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "count": self.count}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LatentStatistics:
        return cls(torch.tensor(value["mean"]), torch.tensor(value["std"]), int(value["count"]))


Moments = tuple[int, list[float], list[float]]
"""Of a batch: the number of latent cells; per channel their mean, and the sum of their squared distances to it. JSON
keeps every bit."""


def moments(latents: Tensor) -> Moments:
    """Of a batch (B, c, t, h, w), in float64."""
    values = latents.detach().double().cpu().transpose(0, 1).flatten(1)  # (c, cells)
    mean = values.mean(1)
    return values.shape[1], mean.tolist(), (values - mean[:, None]).square().sum(1).tolist()


class RunningStatistics:
    """Collects ``LatentStatistics`` batch by batch, in float64. Their order counts for the last bits."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._mean = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)

    def update(self, latents: Tensor) -> None:
        """Add a batch (B, c, t, h, w)."""
        self.add(moments(latents))

    def add(self, batch: Moments) -> None:
        """Add a batch of which these are the moments."""
        count, mean, squares = batch[0], *(torch.tensor(values, dtype=torch.float64) for values in batch[1:])
        delta, total = mean - self._mean, self._count + count
        self._squares += squares + delta.square() * self._count * count / total
        self._mean += delta * count / total
        self._count = total

    def result(self) -> LatentStatistics:
        """Raises ValueError when nothing was added."""
        if self._count < 2:
            raise ValueError("no latents were seen")
        std = (self._squares / self._count).sqrt().clamp_min(1e-6)
        return LatentStatistics(self._mean.float(), std.float(), self._count)


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1, 1)
