"""The Frechet distance of ``walt.evaluation.frechet``, of two sets that come batch by batch.

A module of its own, since torchmetrics loads all of scipy, matplotlib and transformers: no stage needs it.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from walt.evaluation.extractors import Extractor


class RunningFrechetDistance:
    """The Frechet distance between two sets that come side by side, batch by batch. Memory does not grow.

    Only sums over the features are kept, in float64 on the processor, by torchmetrics.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        features = _Features(extractor.num_features)
        # torchmetrics would add up the sums of all ranks, each of which has those of all clips already
        self._metric = FrechetInceptionDistance(feature=features, normalize=False, sync_on_compute=False)

    def update(self, clips: Tensor, real: bool) -> None:
        """Add clips (B, 3, T, H, W) in [-1, 1], on any device, to one of the sets. Order and batches count for the last
        bits."""
        self._metric.update(self._features(clips), real=real)

    @torch.no_grad()
    def _features(self, clips: Tensor) -> Tensor:
        device = next((weight.device for weight in self.extractor.parameters()), clips.device)
        features: Tensor = self.extractor(clips.to(device))
        return features.cpu()

    def copy(self) -> RunningFrechetDistance:
        """An independent copy of the sums; the extractor is shared."""
        other = RunningFrechetDistance(self.extractor)
        other._metric = copy.deepcopy(self._metric)
        return other

    @property
    def num_clips(self) -> int:
        """Of the smaller set."""
        return int(min(self._metric.real_features_num_samples, self._metric.fake_features_num_samples))

    def compute(self) -> float:
        """The distance; ``num_clips`` must be two or more."""
        return max(float(self._metric.compute()), 0.0)  # equal sets may give -1e-16


class _Features(nn.Module):
    """Takes the place of torchmetrics' network: the features are computed before."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
