"""Frechet distance between two sets of clips, of their features (``walt.evaluation.extractors``).

d^2 = |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), with mean and covariance of the clips' features.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from walt.evaluation.extractors import Extractor

Features = NDArray[np.float64]
"""(N, D): a row for each clip."""

_ROUNDING = 1e-12  # of the covariances' traces: less than that is no distance


def frechet_distance(real: Features, generated: Features) -> float:
    """The distance between two sets of features, 0 or more; both (N, D) with N of 2 or more.

    The same bits whatever the order of the rows: they are brought into one order first. tr (S_1 S_2)^(1/2) is the sum
    of the singular values of A B^T, where A and B are the centred rows divided by (N - 1)^(1/2), or the triangular
    factors of A and B: no product of covariances is made, whose roots would lose half of the digits, and fewer clips
    than features are cheap.
    """
    return distance_of(in_order(real), in_order(generated))


def in_order(features: Features) -> Features:
    """The rows, sorted by their bytes: one order for each set, whatever it is."""
    rows = np.ascontiguousarray(features, dtype=np.float64)
    return rows[np.argsort(rows.view(np.dtype((np.void, rows.strides[0]))).ravel(), kind="stable")]


def distance_of(real: Features, generated: Features) -> float:
    """As ``frechet_distance``, of rows in the order in which they are; it counts for the last bits."""
    means = [side.mean(axis=0) for side in (real, generated)]
    a, b = (_factor(side - mean) for side, mean in zip((real, generated), means, strict=True))
    return _distance(means[0] - means[1], a, b)


def _distance(shift: Features, a: Features, b: Features) -> float:
    """Of two distributions whose means differ by ``shift`` and whose covariances are A^T A and B^T B."""
    traces = float((a * a).sum() + (b * b).sum())
    roots = np.linalg.svd(a @ b.T, compute_uv=False)
    distance = float((shift**2).sum()) + traces - 2.0 * float(roots.sum())
    return distance if distance > _ROUNDING * traces else 0.0


def distance_to_statistics(mean: Features, covariance: Features, generated: Features) -> float:
    """The distance of features (N, D), N of 2 or more, to a mean (D,) and a covariance (D, D), which is symmetric.

    As ``distance_of``: a factor of the covariance takes the place of the centred rows.
    """
    own = generated.mean(axis=0)
    values, vectors = np.linalg.eigh(covariance)
    return _distance(mean - own, np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T, _factor(generated - own))


def _factor(centred: Features) -> Features:
    """A matrix A with A^T A the covariance, of D rows or fewer."""
    scaled = centred / np.sqrt(len(centred) - 1)
    return np.asarray(np.linalg.qr(scaled, mode="r")) if len(scaled) > scaled.shape[1] else scaled


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
