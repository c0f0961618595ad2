"""Mean and standard deviation of the latents per channel: what makes them unit-variance for the transformer.

The paper normalises latents and leaves open how; here it is per channel, over the training set or some clips of it, in
one pass (Welford's method, Chan's update for clips). Applied and undone only here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
"""Of a clip: the number of latent cells; per channel their mean, and the sum of their squared distances to it. JSON
keeps every bit."""


def moments(latents: Tensor) -> list[Moments]:
    """Of each clip of a batch (B, c, t, h, w), in float64."""
    values = latents.detach().double().cpu().flatten(2)  # (B, c, cells)
    means = values.mean(2)
    squares = (values - means[..., None]).square().sum(2)
    return [(values.shape[2], *of_clip) for of_clip in zip(means.tolist(), squares.tolist(), strict=True)]


class RunningStatistics:
    """Collects ``LatentStatistics`` clip by clip, in float64. Their order counts for the last bits."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._mean = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)

    def update(self, latents: Tensor) -> None:
        """Add a batch (B, c, t, h, w)."""
        for of_clip in moments(latents):
            self.add(of_clip)

    def add(self, clip: Moments) -> None:
        """Add a clip of which these are the moments."""
        count, mean, squares = clip[0], *(torch.tensor(values, dtype=torch.float64) for values in clip[1:])
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


def standard_errors(clips: Sequence[Moments], of: int, statistics: LatentStatistics) -> tuple[float, float]:
    """How far statistics of some clips, drawn from ``of``, may be from those of all: (of the mean, of the std), each in
    shares of the std, of the worst channel. 0 where all were seen.

    Standard errors of a mean of clips, which are drawn as a whole, with the correction for a finite number of them
    (Cochran 1977, Sampling Techniques, section 2.5); the std's is half its square's.
    """
    unseen = 1.0 - len(clips) / of
    if unseen <= 0.0 or len(clips) < 2:
        return (0.0, 0.0) if unseen <= 0.0 else (math.inf, math.inf)
    counts = torch.tensor([count for count, _, _ in clips], dtype=torch.float64)[:, None]
    distances = torch.tensor([mean for _, mean, _ in clips], dtype=torch.float64) - statistics.mean.double()
    squares = torch.tensor([squares for _, _, squares in clips], dtype=torch.float64) / counts + distances.square()
    variance = statistics.std.double().square()
    share = counts / counts.mean()  # a clip counts by its cells
    errors = [
        (values * share).std(0).square().mul(unseen / len(clips)).sqrt() for values in (distances, squares - variance)
    ]
    return float((errors[0] / variance.sqrt()).max()), float((errors[1] / variance / 2.0).max())


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1, 1)
