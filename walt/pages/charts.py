"""Charts as inline SVG that take their colours from the page: they follow its light and dark scheme. Distributions also
as a PNG file, all on one sheet.

matplotlib draws with placeholder colours, which are replaced by CSS variables (``--series-1`` ..., ``currentColor``).
The same figures give the same text: no dates, fixed salt for the ids.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

Array = NDArray[np.float64]
Series = tuple[Sequence[float], Sequence[float]]
"""(x, y)."""

_INK = "#010203"
_SERIES = ("#010204", "#010205", "#010206", "#010207")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9.0, "text.color": _INK, "axes.edgecolor": _INK, "axes.labelcolor": _INK,
    "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.spines.left": False, "axes.linewidth": 0.6, "xtick.major.size": 0, "ytick.major.size": 0,
    "ytick.minor.size": 0, "axes.grid": True, "axes.grid.axis": "y", "grid.color": _INK, "grid.alpha": 0.12,
    "grid.linewidth": 0.8, "legend.frameon": False,
}  # fmt: skip

_PRINTED = {_INK: "#3a3835", _SERIES[0]: "#3563a8", "page": "#faf9f7"}
"""The colours of the placeholders in a PNG file."""
_BINS, _MOST_BARS, _LABEL = 24, 12, 24
_LOGARITHMIC = 10.0
"""Largest by smallest loss from which on the axis is logarithmic: of less, it would have hardly a number beside it."""


@dataclass(frozen=True)
class Histogram:
    """How often which values occur; logarithmic where they are positive and span several orders of magnitude."""

    title: str
    values: Sequence[float]
    unit: str
    """Beneath the axis; may be empty."""


@dataclass(frozen=True)
class Bars:
    """How often which names occur. Those after the twelve most frequent are drawn as one."""

    title: str
    counts: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Intervals:
    """A value with its interval for each name, and the single values that it is the mean of."""

    title: str
    rows: Sequence[IntervalRow]
    unit: str
    """Beneath the axis; may be empty."""
    line: float | None = None
    """Where a line is drawn: what a row that differs in nothing would have."""


@dataclass(frozen=True)
class IntervalRow:
    """One name of ``Intervals``."""

    name: str
    values: Sequence[float]
    """May be empty: then there is the name alone."""
    low: float
    high: float
    """Ends of the interval around the mean of the values; equal where there is none."""


Distribution = Histogram | Bars | Intervals


def distribution_svg(chart: Distribution, width: float = 3.9, height: float = 2.3) -> str:
    """One distribution for a page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": chart.title, "text.parse_math": False}):
        figure, axes = _axes(width, height)
        _draw(axes, chart, _SERIES[0])
        kind = "means and intervals" if isinstance(chart, Intervals) else "distribution"
        return _svg(figure, f"{kind}: {html.escape(chart.title)}")


def distributions_png(title: str, charts: Sequence[Distribution], columns: int = 3) -> bytes:
    """All distributions on one sheet, as a PNG file's bytes."""
    style = {key: _PRINTED.get(value, value) if isinstance(value, str) else value for key, value in _STYLE.items()}
    columns = max(1, min(columns, len(charts)))
    rows = max(1, -(-len(charts) // columns))
    with mpl.rc_context({**style, "text.parse_math": False}):
        figure = Figure(figsize=(4.6 * columns, 2.7 * rows + 0.5), layout=_spaced(), facecolor=_PRINTED["page"])
        figure.suptitle(title, x=0.01, ha="left", fontsize=14.0, fontweight="bold")
        for number, chart in enumerate(charts, start=1):
            axes = figure.add_subplot(rows, columns, number, facecolor=_PRINTED["page"])
            axes.set_title(chart.title, loc="left", fontsize=10.0, fontweight="bold")
            _draw(axes, chart, _PRINTED[_SERIES[0]])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()


def _spaced() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12)


def _draw(axes: Axes, chart: Distribution, colour: str) -> None:
    if isinstance(chart, Bars):
        _draw_bars(axes, chart.counts, colour)
    elif isinstance(chart, Intervals):
        _draw_intervals(axes, chart, colour)
    else:
        _draw_histogram(axes, np.asarray(chart.values, dtype=np.float64), chart.unit, colour)


def _draw_bars(axes: Axes, counts: Sequence[tuple[str, int]], colour: str) -> None:
    """Horizontal bars with their numbers, the most frequent on top."""
    shown = leading(counts, _MOST_BARS)
    places = range(len(shown))
    axes.barh(places, [count for _, count in shown], height=min(0.7, 0.16 * len(shown)), color=colour)
    labels = [label if len(label) <= _LABEL else label[: _LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}" for label, _ in shown]
    axes.set_yticks(places, labels)
    for place, (_, count) in enumerate(shown):
        axes.annotate(f"{count:,}", (count, place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1.15 * max((count for _, count in shown), default=1))
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False)


def _draw_intervals(axes: Axes, chart: Intervals, colour: str) -> None:
    """A line of dots for each name, the first on top, above its mean and interval."""
    for place, row in enumerate(chart.rows):
        if row.values:
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.6)
            axes.plot(row.values, [place] * len(row.values), "o", color=colour, markersize=3.5, alpha=0.45)
            axes.plot([float(np.mean(row.values))], [place], "|", color=colour, markersize=11.0, markeredgewidth=2.2)
    if chart.line is not None:
        axes.axvline(chart.line, linewidth=0.8, linestyle=(0, (4, 3)), color=mpl.rcParams["text.color"], alpha=0.6)
    axes.set_yticks(range(len(chart.rows)), [row.name for row in chart.rows])
    axes.set_ylim(len(chart.rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(x=0.06)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(chart.unit)


def leading(counts: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """The first ``most`` of a ranking, and the rest together where it is more than one."""
    if len(counts) <= most + 1:
        return list(counts)
    return [*counts[:most], (f"{len(counts) - most} others", sum(count for _, count in counts[most:]))]


def _draw_histogram(axes: Axes, values: Array, unit: str, colour: str) -> None:
    """Whole numbers of a small range get a bar each."""
    low, high = float(values.min()), float(values.max())
    edges: Array
    if bool(np.all(values == np.round(values))) and high - low < _BINS:
        edges = np.arange(low - 0.5, high + 1.0)
        ticks = MaxNLocator(nbins=8, integer=True, min_n_ticks=1).tick_values(low, high)
        axes.set_xticks([tick for tick in ticks if low <= tick <= high])  # beside the bars there may be no such values
        axes.set_xlim(low - 1.0, high + 1.0)
    elif low > 0 and high / low > 100:
        edges = np.geomspace(low, high, _BINS + 1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif low == high:
        edges = np.array([low - 0.5, low + 0.5])
        axes.set_xticks([low], [f"{low:g}"])
        axes.set_xlim(low - 3.0, low + 3.0)
    else:
        edges = np.linspace(low, high, _BINS + 1)
    axes.set_axisbelow(True)
    axes.hist(values, bins=edges.tolist(), color=colour, rwidth=0.9 if len(edges) > 2 else 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel(unit)


def loss_curves(name: str, curves: Mapping[str, Series], width: float = 3.7, height: float = 2.3) -> str:
    """Losses over steps, on a logarithmic axis where they fall by so much; ``name`` only salts the ids."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = _axes(width, height)
        for number, (label, (steps, values)) in enumerate(curves.items()):
            axes.plot(steps, values, color=_SERIES[number % len(_SERIES)], linewidth=1.4, label=label)
        found = [value for _, values in curves.values() for value in values]
        if min(found, default=0.0) > 0 and max(found) / min(found) > _LOGARITHMIC:
            axes.set_yscale("log")
            between = (1.0, 2.0, 5.0) if max(found) / min(found) < _LOGARITHMIC**2 else (1.0,)
            axes.yaxis.set_major_locator(LogLocator(subs=between, numticks=6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.margins(x=0.01)
        _legend(axes, len(curves))
        return _svg(figure, f"loss of {name} over training steps")


def bands(name: str, groups: Mapping[str, Sequence[float]], width: float = 10.6, height: float = 2.4) -> str:
    """A value for each band of diffusion steps, one line of dots per group."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = _axes(width, height)
        for number, (label, values) in enumerate(groups.items()):
            places = [(band + 0.5) / len(values) for band in range(len(values))]
            axes.plot(
                places, values, "o-", color=_SERIES[number % len(_SERIES)], linewidth=1.4, markersize=4, label=label
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("diffusion time, from little noise to pure noise")
        _legend(axes, len(groups))
        return _svg(figure, f"{name} by band of diffusion steps")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _legend(axes: Axes, count: int) -> None:
    if count > 1:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=count
        )  # above the axes, where it covers no line


def _svg(figure: Figure, label: str) -> str:
    """The figure as an ``<svg>`` element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]  # no XML declaration inside HTML
    text = re.sub(
        r'width="[\d.]+pt" height="[\d.]+pt"', f'class="chart" role="img" aria-label="{label}"', text, count=1
    )
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: (?:\d+ )?([\d.]+)px [^;\"]*", r"font-size: \1px", text)  # the page's own font
    for number, colour in enumerate(_SERIES, start=1):
        text = text.replace(colour, f"var(--series-{number})")
    return text.replace(_INK, "currentColor")
