"""What the seeds of a table say, against scipy's intervals and against hand-made cases."""

from __future__ import annotations

import pytest
from scipy.stats import ttest_rel

from walt.commands.table.directions import Measured, compare, over_seeds, verdicts
from walt.commands.table.table_file import Metric, Paper, Row

DISTANCE = Metric(name="frechet_distance/random_network", title="distance", better="lower")
SHARE = Metric(name="adherence/both", title="share", better="higher")
PAPER = Paper(metrics={"FVD": "lower"}, protocol="")
SMALL, LARGE = Row(name="small", paper={"FVD": 60.0}), Row(name="large", paper={"FVD": 130.0})


def measured(*values: float, **conditions: str) -> dict[int, Measured]:
    return {seed: Measured(value, conditions) for seed, value in enumerate(values)}


def test_the_interval_of_a_difference_is_that_of_a_paired_t_test() -> None:
    own, others = (5.0, 6.5, 5.8), (4.0, 5.9, 4.1)
    found = compare(LARGE, SMALL, DISTANCE, PAPER, measured(*own), measured(*others)).difference
    assert found is not None
    expected = ttest_rel(own, others).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_seeds_that_only_one_row_has_are_left_out() -> None:
    found = compare(LARGE, SMALL, DISTANCE, PAPER, measured(5.0, 6.0, 9.0), measured(4.0, 5.5))
    assert found.difference is not None
    assert found.difference.values == {0: 1.0, 1: 0.5}


@pytest.mark.parametrize(
    ("own", "metric", "direction", "agreement"),
    [
        ((9.0, 9.1, 9.2), DISTANCE, "worse", "as in the paper"),
        ((1.0, 1.1, 1.2), DISTANCE, "better", "other than in the paper"),
        ((9.0, 9.1, 9.2), SHARE, "better", "other than in the paper"),
        ((3.0, 9.0, 5.0), DISTANCE, "not told apart", "open"),
    ],
)
def test_a_direction_is_stated_only_beyond_chance(
    own: tuple[float, ...], metric: Metric, direction: str, agreement: str
) -> None:
    found = compare(LARGE, SMALL, metric, PAPER, measured(*own), measured(5.0, 5.1, 5.3))
    assert (found.measured, found.paper, found.agreement) == (direction, "worse", agreement)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("metric", [DISTANCE, SHARE])
def test_what_is_no_number_is_neither_better_nor_worse(value: float, metric: Metric) -> None:
    found = compare(LARGE, SMALL, metric, PAPER, measured(5.0, value, 5.2), measured(5.0, 5.1, 5.3))
    assert (found.difference, found.because, found.measured) == (None, "no number with seed 1", None)
    assert found.agreement == ""


def test_one_seed_tells_nothing_apart() -> None:
    found = compare(LARGE, SMALL, DISTANCE, PAPER, measured(90.0), measured(5.0))
    assert found.measured == "not told apart"
    assert found.difference is not None
    assert found.difference.half_width is None


def test_what_was_measured_on_other_latents_with_a_later_seed_is_not_compared() -> None:
    own, others = measured(9.0, 9.1, latents="a"), measured(5.0, 5.1, latents="a")
    others[1] = Measured(5.1, {"latents": "b"})
    assert compare(LARGE, SMALL, DISTANCE, PAPER, own, others).because == "not comparable: other latents"


def test_what_was_measured_on_other_latents_is_not_compared() -> None:
    own, others = measured(9.0, 9.1, latents="a"), measured(5.0, 5.1, latents="b")
    found = compare(LARGE, SMALL, DISTANCE, PAPER, own, others)
    assert found.difference is None
    assert "latents" in found.because
    assert found.agreement == ""


def test_a_row_may_change_how_videos_are_sampled() -> None:
    own, others = measured(9.0, 9.1, sampling="a"), measured(5.0, 5.1, sampling="b")
    assert compare(LARGE, SMALL, DISTANCE, PAPER, own, others).measured == "worse"


def test_without_the_papers_values_there_is_no_agreement() -> None:
    found = compare(Row(name="new"), SMALL, DISTANCE, PAPER, measured(9.0, 9.1), measured(5.0, 5.1))
    assert (found.paper, found.agreement) == (None, "")


def test_nothing_measured_is_said() -> None:
    assert compare(LARGE, SMALL, DISTANCE, PAPER, {}, measured(5.0)).because == "not measured yet"
    assert compare(LARGE, SMALL, DISTANCE, PAPER, measured(5.0), {}).because == "'small' is not measured yet"
    other_seed = {7: Measured(5.0, {})}
    assert compare(LARGE, SMALL, DISTANCE, PAPER, measured(5.0), other_seed).because == "no seed in common with 'small'"


def test_a_mean_of_equal_values_has_an_interval_without_width() -> None:
    found = over_seeds({0: 2.0, 1: 2.0})
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_verdicts_are_counted() -> None:
    found = [
        compare(LARGE, SMALL, DISTANCE, PAPER, measured(9.0, 9.1), measured(5.0, 5.1)),
        compare(SMALL, LARGE, DISTANCE, PAPER, measured(9.0, 9.1), measured(5.0, 5.1)),
        compare(SMALL, LARGE, DISTANCE, PAPER, measured(9.0, 1.1), measured(5.0, 5.1)),
    ]
    assert verdicts(found) == {"as in the paper": 1, "other than in the paper": 1, "open": 1}
