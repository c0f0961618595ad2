"""A table as a person reads it: ``table.md``, ``table.html``, ``table.png``, and ``table.json`` for programs.

Also of a table of which some cells are not there yet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from walt.commands.table.directions import NOT_MEASURED, Compared, Interval, Measured, compare, over_seeds, verdicts
from walt.commands.table.table_file import Metric, Row, RowScale, ScaleName, TableFile
from walt.core.figures import PROTOCOL, significant
from walt.core.storage import write_bytes, write_json
from walt.pages.charts import IntervalRow, Intervals, distribution_svg, distributions_png
from walt.pages.template import render

_TEMPLATE = Path(__file__).with_name("table_page.html.jinja")
_DIGITS, _MOST_DIGITS = 4, 8
"""Significant ones of a mean."""
_INSIDE_NUMBERS = re.compile(r"(?<=\d) (?=±)|(?<=±) (?=\d)|(?<=\d,) (?=[+-]?\d)")  # where no line may end


@dataclass(frozen=True)
class Results:
    """What is known of a table."""

    name: str
    scale: ScaleName
    table: TableFile
    about_scale: str
    metrics: tuple[Metric, ...]
    cells: dict[str, dict[int, dict[str, Measured]]]
    """Row -> seed -> metric -> figure."""

    @property
    def title(self) -> str:
        """Of the page."""
        return f"Table {self.name}: {self.table.title}"

    def of(self, row: Row, metric: Metric) -> dict[int, Measured]:
        """A row's figures by seed."""
        by_seed = self.cells.get(row.name, {})
        return {seed: found[metric.name] for seed, found in by_seed.items() if metric.name in found}

    def interval(self, row: Row, metric: Metric) -> Interval | None:
        """Over the seeds; None where nothing is measured."""
        found = self.of(row, metric)
        return over_seeds({seed: figure.value for seed, figure in found.items()}) if found else None

    def compared(self, row: Row, metric: Metric) -> Compared | None:
        """Against the row that it is compared with; None: with none."""
        name = self.table.row_against(row)
        if name is None:
            return None
        other = next(other for other in self.table.rows if other.name == name)
        return compare(row, other, metric, self.table.paper, self.of(row, metric), self.of(other, metric))

    def measured_metrics(self) -> list[Metric]:
        """Those that any run has a figure of."""
        return [metric for metric in self.metrics if any(self.of(row, metric) for row in self.table.rows)]


def write_numbers(out: Path, results: Results) -> None:
    """``table.md`` and ``table.json``."""
    write_bytes(out / "table.md", _markdown(results).encode())
    write_json(out / "table.json", _as_json(results))


def write_page(out: Path, results: Results) -> None:
    """All four files."""
    write_numbers(out, results)
    header, *rows = _rows(results)
    charts = [chart for metric in results.measured_metrics() for chart in _charts(results, metric)]
    values = {
        "title": results.title, "about": results.table.about, "about_scale": results.about_scale,
        "scale": results.scale, "protocol": results.table.paper.protocol, "header": header,
        "rows": [[_INSIDE_NUMBERS.sub("\u00a0", cell) for cell in row] for row in rows],
        "notes": _notes(results), "charts": [(chart.title, Markup(_svg(chart))) for chart in charts],
    }  # fmt: skip
    write_bytes(out / "table.html", render(_TEMPLATE, values).encode())
    if charts:
        write_bytes(out / "table.png", distributions_png(f"{results.title} ({results.scale})", charts, columns=2))


def _rows(results: Results) -> list[list[str]]:
    """The table as texts, the header first."""
    found, paper = results.measured_metrics(), results.table.paper
    header = ["row", *(f"paper: {name}" for name in paper.metrics)]
    for metric in found:
        header += [f"{metric.title} ({'less' if metric.better == 'lower' else 'more'} is better)", "difference"]
    header += ["direction here", "direction in the paper", "together"]
    lines = [header]
    for row in results.table.rows:
        line = [row.name, *(f"{row.paper[name]:g}" if name in row.paper else "" for name in paper.metrics)]
        for metric in found:
            interval, compared = results.interval(row, metric), results.compared(row, metric)
            if interval is None:
                line += ["" if _left_out(results, row) else NOT_MEASURED, ""]
            else:
                line += [_text(interval), _difference(compared)]
        lines.append([*line, *_said(results, row)])
    return lines


def _said(results: Results, row: Row) -> list[str]:
    """The direction by the metric that decides, the paper's, and whether they agree."""
    if reason := _left_out(results, row):
        return [f"not run: {reason}", "", ""]
    compared = _deciding(results, row)
    if compared is None or compared.measured is None:
        return ["", "", ""]
    return [compared.measured, compared.paper or "no value", compared.agreement]


def _deciding(results: Results, row: Row) -> Compared | None:
    """The comparison by the first metric that is measured; None: the row is compared with none."""
    found = results.measured_metrics()
    return results.compared(row, found[0]) if found else None


def _left_out(results: Results, row: Row) -> str | None:
    return row.at.get(results.scale, RowScale()).left_out


def _text(interval: Interval) -> str:
    """The value to the last digit of its interval, where that is finer than four digits: ``24.9963 ± 0.0034``."""
    half = interval.half_width
    if half is None:
        return significant(interval.value, _DIGITS)
    digits = _DIGITS
    if half > 0 and interval.value != 0:
        finer = math.floor(math.log10(abs(interval.value))) - math.floor(math.log10(half)) + 2
        digits = min(max(digits, finer), _MOST_DIGITS)
    return f"{significant(interval.value, digits)} ± {significant(half, 2)}"


def _difference(compared: Compared | None) -> str:
    if compared is None:
        return ""
    if compared.difference is None:
        return compared.because
    difference = compared.difference
    if difference.half_width is None:
        return significant(difference.value, sign="+")
    value, low, high = (significant(each, sign="+") for each in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def _notes(results: Results) -> list[str]:
    """What a reader needs to know about the numbers."""
    seeds = sorted({seed for by_seed in results.cells.values() for seed in by_seed})
    against = results.table.against
    notes = [
        f"Seeds {', '.join(map(str, seeds))}; ± and brackets: intervals of 95 % over the seeds (Student's t)."
        if len(seeds) > 1
        else "One seed: no intervals, and nothing is told apart.",
    ]
    if against is not None:
        notes.append(f"Differences are to '{against}', seed by seed: with the same prompts and noise.")
    if protocols := _protocols(results):
        notes.append(f"Ours are of the protocol {'; '.join(protocols)}.")
    pairs = [_deciding(results, row) for row in results.table.rows]
    counts = verdicts([pair for pair in pairs if pair is not None])
    said = ", ".join(f"{count} {agreement}" for agreement, count in counts.items())
    notes.append(f"Of the comparisons by the first metric: {said}.")
    if len(seeds) > 1 and len(pairs) > 1:
        notes.append("Each interval holds by itself: of 20 rows that differ in nothing, one is told apart by chance.")
    notes += [f"{row.name} is not run: {reason}" for row in results.table.rows if (reason := _left_out(results, row))]
    return notes


def _protocols(results: Results) -> list[str]:
    """By which our values were measured, each once."""
    figures = [
        figure
        for by_seed in results.cells.values()
        for found in by_seed.values()
        for name, figure in found.items()
        if name in {metric.name for metric in results.metrics}
    ]
    return [*dict.fromkeys(filter(None, (figure.conditions.get(PROTOCOL) for figure in figures)))]


def _charts(results: Results, metric: Metric) -> list[Intervals]:
    """The figures, and the differences where rows are compared."""
    figures, differences = [], []
    for row in results.table.rows:
        if (interval := results.interval(row, metric)) is not None:
            figures.append(IntervalRow(row.name, list(interval.values.values()), interval.low, interval.high))
        compared = results.compared(row, metric)
        if compared is not None and (change := compared.difference) is not None:
            differences.append(IntervalRow(row.name, list(change.values.values()), change.low, change.high))
    better = "less is better" if metric.better == "lower" else "more is better"
    charts = [Intervals(metric.title, figures, better)]
    if differences:
        unit = f"minus that of '{results.table.against}'; {better}"
        charts.append(Intervals(f"{metric.title}: difference", differences, unit, line=0.0))
    return charts


def _svg(chart: Intervals) -> str:
    return distribution_svg(chart, width=4.2, height=0.8 + 0.3 * len(chart.rows))  # legible on a phone


def _markdown(results: Results) -> str:
    header, *rows = ([cell.replace("|", "/") for cell in row] for row in _rows(results))
    lines = [f"# {results.title}", "", results.table.about, "", f"The paper: {results.table.paper.protocol}."]
    lines += ["", f"Here ({results.scale}): {results.about_scale}", ""]
    lines += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([*lines, "", *(f"- {note}" for note in _notes(results)), ""])


def _as_json(results: Results) -> dict[str, Any]:
    """All figures, for programs."""
    return {
        "table": results.name,
        "scale": results.scale,
        "rows": {
            row.name: {
                "paper": row.paper,
                "seeds": {
                    str(seed): {name: figure.value for name, figure in found.items()}
                    for seed, found in results.cells.get(row.name, {}).items()
                },
                "compared": {
                    metric.name: _compared_json(compared)
                    for metric in results.measured_metrics()
                    if (compared := results.compared(row, metric)) is not None
                },
            }
            for row in results.table.rows
        },
    }


def _compared_json(compared: Compared) -> Mapping[str, Any]:
    difference = compared.difference
    return {
        "difference": None if difference is None else difference.value,
        "half_width": None if difference is None else difference.half_width,
        "measured": compared.measured,
        "paper": compared.paper,
        "agreement": compared.agreement,
        "because": compared.because,
    }
