"""Distributions as SVG and PNG."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from walt.pages.charts import (
    Bars,
    Distribution,
    Histogram,
    IntervalRow,
    Intervals,
    distribution_svg,
    distributions_png,
    leading,
    loss_curves,
)

BARS = Bars("Rejected <inputs>", [("no_caption", 1234), ("<b>$x^2$", 3)])
CHARTS: list[Distribution] = [
    BARS,
    Histogram("whole", [1, 2, 2, 3], "clips"),
    Histogram("one value", [1.125] * 9, "seconds"),
    Histogram("several orders", [0.01, 0.5, 3.0, 900.0], "seconds"),
    Histogram("fractions", [0.1, 0.11, 0.3], "share"),
    Histogram("negative", [-3.5, 0.0, 2.25], "score"),
    Intervals("rows", [IntervalRow("<one>", [1.0, 1.2], 0.4, 1.8), IntervalRow("none", [], 0.0, 0.0)], "", line=0.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.title)
def test_svg_takes_its_colours_from_the_page(chart: Distribution) -> None:
    svg = distribution_svg(chart)
    assert svg == distribution_svg(chart), "the same figures, the same text"
    assert svg.count("var(--series-1)") >= 1
    assert not re.search(r"#0102\d\d", svg), "no placeholder colour is left"


def test_names_are_text() -> None:
    svg = distribution_svg(BARS)
    assert "&lt;b&gt;$x^2$" in svg
    assert "1,234" in svg
    assert "<b>" not in svg
    assert 'aria-label="distribution: Rejected &lt;inputs&gt;"' in svg


@pytest.mark.parametrize("last", [0.99, 0.9, 0.5, 0.2, 0.05, 1e-4])
def test_a_curve_of_losses_has_numbers_beside_it(last: float) -> None:
    svg = loss_curves("base", {"loss": ([1.0, 2.0, 3.0], [1.01, (1.01 + last) / 2, last])})
    beside = re.findall(r"text-anchor: end[^>]*>([^<]+)</text>", svg)
    assert 3 <= len(beside) <= 7, beside
    assert len(set(beside)) == len(beside)


def bars(svg: str) -> int:
    """Bars of a histogram that are higher than nothing."""
    heights = []
    for path in re.findall(r'<path d="(M [^"]*?z)\s*"[^>]*fill: var\(--series-1\)', svg):
        ordinates = [float(y) for _, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]
        heights.append(max(ordinates) - min(ordinates))
    return sum(height > 0 for height in heights)


@pytest.mark.parametrize(("values", "expected"), [([1, 2, 2, 3], 3), ([1.125] * 9, 1), ([0.01, 0.5, 3.0, 900.0], 4)])
def test_values_fall_into_bars(values: list[float], expected: int) -> None:
    assert bars(distribution_svg(Histogram("values", values, "unit"))) == expected


@pytest.mark.parametrize(("values", "numbers"), [([0.0] * 9, ["0"]), ([7, 7], ["7"]), ([1, 2, 2, 3], ["1", "2", "3"])])
def test_whole_numbers_that_are_not_there_are_not_on_the_axis(values: list[float], numbers: list[str]) -> None:
    svg = distribution_svg(Histogram("values", values, "share of the frames"))
    assert re.findall(r"text-anchor: middle[^>]*>([^<]+)</text>", svg) == [*numbers, "share of the frames"]


@pytest.mark.slow
def test_png_holds_all_charts() -> None:
    sizes = []
    for charts in (CHARTS[:1], CHARTS[:3], CHARTS):
        with Image.open(io.BytesIO(distributions_png("title", charts))) as image:
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
            sizes.append(image.size)
    (one_wide, one_high), (three_wide, three_high), (six_wide, six_high) = sizes
    assert one_wide < three_wide == six_wide
    assert one_high == three_high < six_high


def test_the_rest_of_a_ranking_is_drawn_as_one() -> None:
    counts = [(str(number), 10 - number) for number in range(10)]
    assert leading(counts, 9) == counts, "one name more is no longer than 'others'"
    assert leading(counts, 3) == [*counts[:3], ("7 others", 7 + 6 + 5 + 4 + 3 + 2 + 1)]


@pytest.mark.slow
def test_an_interval_is_a_line_as_long_as_it_is() -> None:
    """Beside a row that keeps the axis the same."""

    def coloured(low: float, high: float) -> int:
        chart = Intervals("x", [IntervalRow("all", [0.0, 10.0], 0.0, 10.0), IntervalRow("b", [5.0], low, high)], "")
        picture = Image.open(io.BytesIO(distributions_png("t", [chart]))).convert("RGB")
        pixels = picture.load()
        assert pixels is not None
        return sum(pixels[x, y] == (0x35, 0x63, 0xA8) for x in range(picture.width) for y in range(picture.height))

    narrow, wide = coloured(4.9, 5.1), coloured(1.0, 9.0)
    assert wide - narrow > 100
    assert ">b<" in distribution_svg(Intervals("x", [IntervalRow("b", [], 0.0, 0.0)], "")), "a name without values"
