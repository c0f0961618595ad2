"""Figures: kept and read back, and compared only where that says something."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from walt.core.figures import Figure, difference, differing, half_width, significant

FIGURE = Figure(0.5, 0.25, 0.75, 64, (0.4, 0.5, 0.6), {"clips": "a", "settings": "b"})


def test_a_figure_is_read_back() -> None:
    assert Figure.from_json(json.loads(json.dumps(FIGURE.as_json()))) == FIGURE
    unknown = replace(FIGURE, low=-math.inf, high=math.inf)
    text = json.dumps(unknown.as_json(), allow_nan=False)
    assert Figure.from_json(json.loads(text)) == unknown


def test_a_figure_is_shown_with_its_interval() -> None:
    assert str(FIGURE) == "0.5 [0.25, 0.75]"
    large = replace(FIGURE, value=3224.4, low=2809.6, high=3639.5, deviation=1234.5, parts="3 sets")
    assert str(large) == "3224 [2810, 3640], deviation 1234 over 3 sets"
    assert str(replace(FIGURE, low=-math.inf, high=math.inf, items=1)) == "0.5 (of one: no interval)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (999.7, "1000"),
        (-3224.4, "-3224"),
        (1234567.0, "1234567"),
        (2.5e-7, "2.5e-07"),
    ],
)
def test_a_number_has_no_exponent_where_it_is_large(value: float, text: str) -> None:
    assert significant(value) == text
    assert significant(value, sign="+") == (text if value < 0 else f"+{text}")


def test_what_differs_is_named() -> None:
    assert differing(FIGURE, FIGURE) == []
    assert differing(FIGURE, replace(FIGURE, conditions={"clips": "c", "extractor": "d"})) == [
        "clips", "settings", "extractor",
    ]  # fmt: skip


def test_the_difference_is_of_pairs() -> None:
    found = difference(replace(FIGURE, value=0.7, replicates=(0.6, 0.7, 0.8)), FIGURE)
    assert found.value == pytest.approx(0.2)
    assert found.half_width == pytest.approx(0.0, abs=1e-12)


def test_where_no_resample_differs_the_difference_has_the_figures_own_intervals() -> None:
    """Newcombe's interval for two proportions; of 3 of 3 and 0 of 3 videos it reaches nearly to no difference."""
    every = replace(FIGURE, value=1.0, low=0.6, high=1.0, replicates=(1.0, 1.0))
    none = replace(FIGURE, value=0.0, low=0.0, high=0.3, replicates=(0.0, 0.0))
    assert difference(every, none).half_width == pytest.approx(0.5)
    assert difference(none, every).half_width == pytest.approx(0.5)
    assert difference(none, every).value == -1.0


@pytest.mark.parametrize(
    "other",
    [
        replace(FIGURE, conditions={"clips": "other", "settings": "b"}),
        replace(FIGURE, items=63),
        replace(FIGURE, replicates=(0.4, 0.5)),
    ],
)
def test_what_was_not_measured_on_the_same_has_no_difference(other: Figure) -> None:
    with pytest.raises(ValueError, match="not measured on the same"):
        difference(FIGURE, other)
    bare = replace(FIGURE, replicates=())
    with pytest.raises(ValueError, match="no replicates"):
        difference(bare, bare)


@pytest.mark.parametrize(("items", "quantile"), [(3, 4.303), (4, 3.182), (6, 2.571), (11, 2.228), (10**6, 1.960)])
def test_few_items_make_a_wide_interval(items: int, quantile: float) -> None:
    """Student's t, from its tables."""
    assert half_width([-1.0, 0.0, 1.0], items) == pytest.approx(quantile, rel=0.04 if items == 3 else 0.01)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_leaves_no_interval(value: float) -> None:
    assert half_width([1.0, value, 2.0], 3) == math.inf
    assert str(replace(FIGURE, value=value, low=math.nan, high=math.nan)) == f"{value} (no interval)"
