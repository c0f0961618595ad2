"""Charts as inline SVG that take their colours from the page: they follow its light and dark scheme.

matplotlib draws with stand-in colours, which are replaced by CSS variables (``--series-1`` ..., ``currentColor``). The
same figures give the same text: no dates, fixed salt for the ids.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

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


def loss_curves(name: str, curves: Mapping[str, Series], width: float = 3.7, height: float = 2.3) -> str:
    """Losses over steps on a logarithmic axis; ``name`` only salts the ids."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = _axes(width, height)
        for number, (label, (steps, values)) in enumerate(curves.items()):
            axes.plot(steps, values, color=_SERIES[number % len(_SERIES)], linewidth=1.4, label=label)
        if all(value > 0 for _, values in curves.values() for value in values):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.margins(x=0.01)
        _legend(axes, len(curves))
        return _svg(figure, f"loss of {name} over training steps")


def bands(name: str, groups: Mapping[str, Sequence[float]], width: float = 10.6, height: float = 2.4) -> str:
    """A value for each band of diffusion steps, one line of dots a group."""
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
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=count)  # above the axes: over no line


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
