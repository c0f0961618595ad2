"""KID, MMD, precision, recall and the inception score: against closed forms and torchmetrics, in any order."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from walt.core.figures import Figure
from walt.evaluation.coverage import covered
from walt.evaluation.kernels import KID, MMD
from walt.evaluation.resampling import inception_score_figure, kernel_figure, share_figure

Features = NDArray[np.float64]


def drawn(seed: int, items: int, features: int, shift: float = 0.0) -> Features:
    return np.random.default_rng(seed).normal(shift, 1.0, (items, features))


class AsTheyAre(nn.Module):
    """Takes the place of torchmetrics' network."""

    num_features = 12

    def forward(self, features: Tensor) -> Tensor:
        return features


REAL, GENERATED = drawn(0, 60, 12), drawn(1, 50, 12, 0.4)


def test_kid_is_torchmetrics() -> None:
    metric = KernelInceptionDistance(feature=AsTheyAre(), subsets=1, subset_size=50, normalize=False)
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(REAL[:50]), real=True)
    metric.update(torch.from_numpy(GENERATED), real=False)
    expected = float(metric.compute()[0])
    assert expected > 0.01
    assert kernel_figure(KID, REAL[:50], GENERATED, {}).value == pytest.approx(expected, rel=1e-6)


def test_mmd_is_its_closed_form() -> None:
    """With (x.y / D)^2 it is the squared distance of the mean outer products."""
    moments = [side.T @ side / len(side) for side in (REAL, GENERATED)]
    expected = 100.0 * ((moments[0] - moments[1]) ** 2).sum() / 12**2
    assert kernel_figure(MMD, REAL, GENERATED, {}).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_kid_of_one_distribution_is_zero_in_the_mean_and_mmd_is_not() -> None:
    pairs = [(drawn(2 * seed, 12, 6), drawn(2 * seed + 1, 12, 6)) for seed in range(200)]
    kid = np.array([kernel_figure(KID, *pair, {}).value for pair in pairs])
    assert abs(kid.mean()) < 3.0 * kid.std() / np.sqrt(len(kid))
    assert kid.min() < 0.0
    assert all(kernel_figure(MMD, *pair, {}).value > 0.0 for pair in pairs[:20])


def test_sums_over_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {kernel: kernel_figure(kernel, REAL, GENERATED, {}) for kernel in (KID, MMD)}
    monkeypatch.setattr("walt.evaluation.kernels._BLOCK", 7)
    for kernel, expected in whole.items():
        found = kernel_figure(kernel, REAL, GENERATED, {})
        assert found.value == pytest.approx(expected.value, rel=1e-9)
        assert found.replicates == pytest.approx(expected.replicates, rel=1e-9)


def test_precision_and_recall_of_sets_that_are_known() -> None:
    real = np.arange(10.0)[:, None]  # radii: 3 at the ends, 2 inside
    generated = np.array([[4.5], [-3.0], [-3.1], [30.0], [12.0]])
    assert covered(generated, real).tolist() == [True, True, False, False, True]
    assert covered(real, real).all()
    assert not covered(real, real + 100.0).any()


def _shares(real: Features, generated: Features) -> tuple[float, float]:
    return float(covered(generated, real).mean()), float(covered(real, generated).mean())


def _is_in_a_ball(items: Features, of: Features, neighbours: int) -> list[bool]:
    """Whether each is within the distance of any of the others to its k-th nearest neighbour there: the published
    formula (arXiv 1904.06991; arXiv 2002.09797), pair by pair."""
    radii = [sorted(float(np.linalg.norm(one - other)) for other in of)[neighbours] for one in of]
    return [
        any(float(np.linalg.norm(item - one)) <= radius for one, radius in zip(of, radii, strict=True))
        for item in items
    ]


def test_precision_and_recall_are_the_published_formula() -> None:
    """``docs/results/evaluation.md`` has the same against the package prdc."""
    for real, generated in ((REAL, GENERATED), (drawn(4, 70, 3), drawn(5, 40, 3, 0.8))):
        expected = [_is_in_a_ball(generated, real, 3), _is_in_a_ball(real, generated, 3)]
        assert [covered(generated, real).tolist(), covered(real, generated).tolist()] == expected
        assert all(0.5 < np.mean(one) < 1.0 for one in expected)
        assert _is_in_a_ball(real, generated, 4) != expected[1], "another number of neighbours is another figure"


def test_a_set_without_variety_has_precision_and_no_recall() -> None:
    real = drawn(0, 200, 4)
    precision, recall = _shares(real, 0.05 * drawn(1, 200, 4))
    assert precision == 1.0
    assert recall < 0.2
    precision, recall = _shares(real, 4.0 * drawn(1, 200, 4))
    assert precision < 0.5 < recall


def test_the_inception_score_is_torchmetrics() -> None:
    logits = 3.0 * drawn(3, 40, 12)
    metric = InceptionScore(feature=AsTheyAre(), splits=1)
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(logits))
    figure = inception_score_figure(logits, {})
    assert figure.value == pytest.approx(float(metric.compute()[0]), rel=1e-6)
    assert 1.0 <= figure.low < figure.value < figure.high


@pytest.mark.parametrize("splits", [1, 5])
def test_the_inception_score_of_splits_is_the_mean_of_theirs(splits: int) -> None:
    logits = np.random.default_rng(0).standard_normal((103, 10)) * 3
    found = inception_score_figure(logits, {}, splits)
    bounds = [103 * place // splits for place in range(splits + 1)]
    parts = [inception_score_figure(logits[a:b], {}).value for a, b in itertools.pairwise(bounds)]
    assert found.value == pytest.approx(np.mean(parts), rel=1e-12)
    assert (found.deviation, found.parts) == ((pytest.approx(np.std(parts)), "5 splits") if splits > 1 else (None, ""))
    assert found.low < found.value < found.high


def test_a_resample_of_few_items_has_a_score_too() -> None:
    """Whole groups are drawn, of one item or of many: a resample may have fewer items than there are parts."""
    logits = np.random.default_rng(0).standard_normal((20, 5))
    figure = inception_score_figure(logits, {}, 10, groups=["a"] * 17 + ["b", "c", "d"])
    assert np.isfinite(figure.replicates).all()
    assert min(figure.replicates) >= 1.0


def test_there_are_no_more_splits_than_pairs_of_items() -> None:
    found = inception_score_figure(np.random.default_rng(0).standard_normal((7, 4)), {}, 10)
    assert found.parts == "3 splits"


def test_the_inception_score_of_sure_and_even_answers_is_the_number_of_classes() -> None:
    sure = np.where(np.eye(5).repeat(3, axis=0) > 0, 0.0, -np.inf)
    assert inception_score_figure(sure, {}).value == pytest.approx(5.0)
    assert inception_score_figure(np.zeros((6, 5)), {}).value == pytest.approx(1.0)
    with_one_that_none_has = np.concatenate([sure, np.full((15, 1), -np.inf)], axis=1)
    assert inception_score_figure(with_one_that_none_has, {}).value == pytest.approx(5.0)


OF_SETS: dict[str, Callable[[Features, Features], Figure]] = {
    "kid": lambda real, generated: kernel_figure(KID, real, generated, {}),
    "mmd": lambda real, generated: kernel_figure(MMD, real, generated, {}),
    "inception score": lambda _, generated: inception_score_figure(generated, {}),
    "precision": lambda real, generated: share_figure(covered(generated, real).tolist(), {}),
    "recall": lambda real, generated: share_figure(covered(real, generated).tolist(), {}),
}


@pytest.mark.parametrize("name", OF_SETS)
def test_any_order_gives_the_same_bits(name: str) -> None:
    measure, rng = OF_SETS[name], np.random.default_rng(0)
    first = measure(REAL, GENERATED)
    for _ in range(5):
        assert measure(rng.permutation(REAL), rng.permutation(GENERATED)).value == first.value


@pytest.mark.parametrize("name", ["kid", "mmd"])
def test_a_shift_is_seen_beyond_the_interval_and_more_the_larger_it_is(name: str) -> None:
    figures = [OF_SETS[name](drawn(0, 100, 6), drawn(1, 100, 6, shift)) for shift in (0.0, 0.5, 1.0, 2.0)]
    values = [figure.value for figure in figures]
    assert values == sorted(values)
    assert figures[2].low > figures[0].high
    assert len(figures[0].replicates) == 200
