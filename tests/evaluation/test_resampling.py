"""Intervals: that they hold what they should, and that two models' replicates are paired."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from walt.core.figures import difference
from walt.evaluation import resampling
from walt.evaluation.draws import RESAMPLES, resamples
from walt.evaluation.frechet import frechet_distance
from walt.evaluation.resampling import (
    FEWER_RESAMPLES,
    frechet_figure,
    mean_figure,
    over_sets,
    share_figure,
)

ON = {"clips": "a"}


def test_resamples_are_a_function_of_the_number_of_items() -> None:
    found = resamples(10)
    assert found.shape == (RESAMPLES, 10)
    assert np.array_equal(found, resamples(10))
    assert not np.array_equal(found, resamples(10, stream=1))
    assert found.min() == 0
    assert found.max() == 9
    assert found[0].tolist() == FIRST


FIRST = [9, 3, 9, 7, 7, 9, 2, 5, 3, 4]
"""As they were when figures were first kept: those that are stored are compared with new ones by these numbers."""


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_mean_with_what_is_not_a_number_is_none_and_has_no_interval(value: float) -> None:
    """As of a model that diverged: no promotion goes by it, and what else was measured is kept."""
    figure = mean_figure([1.0, value, 2.0], ON, least=0.0)
    assert not math.isfinite(figure.value)
    assert not figure.has_interval
    assert "NaN" not in json.dumps({name: end for name, end in figure.as_json().items() if name in ("low", "high")})


def test_the_interval_of_a_mean_is_the_known_one() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    figure = mean_figure(values.tolist(), ON)
    half = 1.96 * values.std(ddof=1) / 20
    assert figure.value == pytest.approx(values.mean(), abs=1e-12)
    assert figure.high - figure.value == pytest.approx(half, rel=0.15)
    assert figure.value - figure.low == pytest.approx(half, rel=0.15)
    assert figure.items == 400
    assert not mean_figure([1.0, 2.0], ON, keep=False).replicates


def test_the_interval_of_a_loss_of_few_clips_does_not_go_below_nothing() -> None:
    losses = [0.1, 0.1, 0.2, 1.5]
    free, loss = mean_figure(losses, ON), mean_figure(losses, ON, least=0.0)
    assert free.low < 0.0
    assert loss.low == 0.0
    assert (loss.value, loss.high, loss.replicates) == (free.value, free.high, free.replicates)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 20, 100])
def test_intervals_hold_the_truth_about_95_times_of_100(count: int) -> None:
    rng = np.random.default_rng(count)
    figures = [mean_figure(rng.standard_normal(count).tolist(), ON) for _ in range(300)]
    held = sum(figure.low <= 0 <= figure.high for figure in figures) / 300
    assert 0.9 <= held <= 0.985


def test_a_single_item_says_nothing_about_its_spread() -> None:
    figure = mean_figure([2.0], ON)
    assert (figure.value, figure.low, figure.high) == (2.0, -np.inf, np.inf)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_a_share_has_wilsons_interval_also_where_all_match(count: int) -> None:
    for matches in range(count + 1):
        figure = share_figure([place < matches for place in range(count)], ON)
        expected = binomtest(matches, count).proportion_ci(0.95, method="wilson")
        assert (figure.low, figure.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert 0 < figure.low < figure.high == 1


def test_the_order_of_the_items_does_not_change_the_value() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(1000)
    assert {mean_figure(rng.permutation(values).tolist(), ON).value for _ in range(5)} == {
        mean_figure(values.tolist(), ON).value
    }


def test_two_models_are_compared_item_by_item() -> None:
    """Hard prompts are hard for both: a model that is a little better on each is better beyond chance."""
    prompts = np.random.default_rng(0).standard_normal(64)
    old, new = mean_figure(prompts.tolist(), ON), mean_figure((prompts + 0.05).tolist(), ON)
    assert new.low < old.value, "their own intervals do not say so"
    found = difference(new, old)
    assert found.value == pytest.approx(0.05)
    assert found.half_width < 1e-6


@pytest.mark.slow
def test_the_interval_of_a_distance_is_that_of_its_draws() -> None:
    rng = np.random.default_rng(0)

    def draw(count: int) -> np.ndarray:
        return rng.standard_normal((count, 8)) * np.linspace(0.2, 1.0, 8)

    for mean, widest in ((1.0, 1.4), (0.0, 2.5)):  # at no distance resamples differ more than draws do
        figures = [frechet_figure(draw(128), draw(64) + mean, ON) for _ in range(24)]
        reach = np.mean([min(figure.high - figure.value, figure.value - figure.low) for figure in figures])
        assert 0.7 < reach / (2.0 * np.std([figure.value for figure in figures], ddof=1)) < widest
        assert all(figure.low >= 0.0 for figure in figures)


def test_the_value_of_a_distance_does_not_depend_on_resampling() -> None:
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((20, 6)), rng.standard_normal((10, 6))
    figure = frechet_figure(real, made, ON)
    assert figure.value == frechet_distance(real, made)
    assert figure.items == 10
    assert len(figure.replicates) == RESAMPLES


def test_a_large_distance_has_fewer_resamples_and_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((40, 6)), rng.standard_normal((30, 6)) + 1.0
    whole = frechet_figure(real, made, ON)
    monkeypatch.setattr(resampling, "_LARGE", 5)
    found = frechet_figure(real, made, ON)
    assert found.replicates == whole.replicates[:FEWER_RESAMPLES]
    assert found.value == whole.value
    assert found.high - found.low == pytest.approx(whole.high - whole.low, rel=0.3)


def test_several_seeds_give_their_mean_and_deviation_and_the_interval_of_one() -> None:
    rng = np.random.default_rng(0)
    sets = [mean_figure(rng.standard_normal(50).tolist(), ON) for _ in range(4)]
    found = over_sets(sets)
    values = [figure.value for figure in sets]
    assert (found.value, found.deviation) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert (found.parts, found.items, len(found.replicates)) == ("4 sets", 50, RESAMPLES)
    assert found.high - found.low == pytest.approx(np.mean([figure.high - figure.low for figure in sets]))
    assert over_sets(sets[:1]) is sets[0]
