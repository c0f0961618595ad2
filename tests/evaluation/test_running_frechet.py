"""The Frechet distance of sets that come batch by batch is that of the whole sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from walt.evaluation.extractors import Extractor
from walt.evaluation.frechet import Features, frechet_distance
from walt.evaluation.running_frechet import RunningFrechetDistance


class FirstValues(Extractor):
    """Clips' first values are their features."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, clips: Tensor) -> Tensor:
        return clips.flatten(1)[:, : self.num_features]


def features(count: int, seed: int, size: int, mean: float = 0.0, scale: float = 1.0) -> Features:
    rng = np.random.default_rng(seed)
    return mean + scale * rng.standard_normal((count, size)) @ (np.eye(size) + 0.3 * rng.standard_normal((size, size)))


@pytest.mark.parametrize(("counts", "size"), [((60, 50), 8), ((300, 200), 48), ((20, 400), 30)])
def test_the_distance_of_whole_sets_is_torchmetrics(counts: tuple[int, int], size: int) -> None:
    a, b = features(counts[0], 0, size), features(counts[1], 1, size, mean=0.2, scale=1.3)
    running = RunningFrechetDistance(FirstValues(size))
    running.update(torch.from_numpy(a), real=True)
    running.update(torch.from_numpy(b), real=False)
    assert frechet_distance(a, b) == pytest.approx(running.compute(), rel=1e-6)


def test_the_running_distance_is_the_distance_of_the_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    real, made = (torch.randn(20, 3, 2, 4, 4, generator=generator) for _ in range(2))
    running = RunningFrechetDistance(FirstValues(3))
    for clips, other in zip(real.split(3), made.split(3), strict=True):
        running.update(clips, real=True)
        running.update(other, real=False)
    sides = [FirstValues(3)(clips).double().numpy() for clips in (real, made)]
    assert running.compute() == pytest.approx(frechet_distance(*sides), rel=1e-6)


def test_a_copy_leaves_no_trace() -> None:
    running = RunningFrechetDistance(FirstValues(3))
    clips = torch.rand(4, 3, 2, 4, 4)
    running.update(clips, real=True)
    running.update(clips, real=False)
    before = running.compute()
    other = running.copy()
    other.update(clips + 5.0, real=False)
    other.update(clips, real=True)
    assert running.num_clips == 4
    assert running.compute() == before
    assert other.num_clips == 8
    assert other.compute() > before + 1.0
