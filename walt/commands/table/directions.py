"""What the seeds of a table say: each row against the one it is compared with, and against what the paper says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import mean
from typing import Literal

from walt.commands.table.table_file import Metric, Paper, Row
from walt.core.figures import half_width

MAY_DIFFER = frozenset({"sampling"})
"""Conditions of a figure that a row may change, since it is what the row is about. Two rows of which another differs
(the latents of a held-out loss) are not compared."""

NOT_MEASURED = "not measured yet"
"""Of a row without figures."""

Direction = Literal["better", "worse", "the same", "not told apart"]


@dataclass(frozen=True)
class Measured:
    """A figure of one run."""

    value: float
    conditions: Mapping[str, str]
    """What it was measured on; see ``walt.core.figures``."""


@dataclass(frozen=True)
class Interval:
    """Mean over the seeds, and half of its interval of 95 % (Student's t); None with one seed."""

    values: Mapping[int, float]
    """By seed."""
    value: float
    half_width: float | None

    @property
    def low(self) -> float:
        """Lower end; the value itself where there is no interval."""
        return self.value - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + (self.half_width or 0.0)


@dataclass(frozen=True)
class Compared:
    """A row's figure minus that of the row it is compared with, seed by seed."""

    difference: Interval | None
    """None: they cannot be compared, or there are no common seeds."""
    because: str
    """Why it is None; else empty."""
    measured: Direction | None
    paper: Direction | None
    """By the paper's values; None: it has none for both rows."""

    @property
    def agreement(self) -> str:
        """Whether both say the same, for people."""
        if self.measured is None or self.paper is None:
            return ""
        if self.measured == "not told apart":
            return "open"
        return "as in the paper" if self.measured == self.paper else "other than in the paper"


def over_seeds(values: Mapping[int, float]) -> Interval:
    """The mean of one value or more and its interval."""
    found = list(values.values())
    if len(found) < 2:
        return Interval(dict(values), mean(found), None)
    return Interval(dict(values), mean(found), half_width(found, len(found)) / len(found) ** 0.5)


def compare(
    row: Row,
    against: Row,
    metric: Metric,
    paper: Paper,
    own: Mapping[int, Measured],
    others: Mapping[int, Measured],
) -> Compared:
    """One row against another, by the seeds that both have: pairs with the same noise and prompts."""
    of_paper = paper_direction(row, against, paper)
    seeds = sorted(own.keys() & others.keys())
    if not seeds:
        return Compared(None, _why_without(against.name, own, others), None, of_paper)
    pairs = [(own[seed].conditions, others[seed].conditions) for seed in seeds]
    names = {name for a, b in pairs for name in a.keys() | b.keys() if a.get(name) != b.get(name)}
    if different := sorted(names - MAY_DIFFER):
        return Compared(None, f"not comparable: other {', '.join(different)}", None, of_paper)
    if no_numbers := [seed for seed in seeds if not isfinite(own[seed].value - others[seed].value)]:
        return Compared(None, f"no number with seed {', '.join(map(str, no_numbers))}", None, of_paper)
    difference = over_seeds({seed: own[seed].value - others[seed].value for seed in seeds})
    return Compared(difference, "", _direction(difference, metric.better), of_paper)


def _why_without(against: str, own: Mapping[int, Measured], others: Mapping[int, Measured]) -> str:
    """Why there is no difference between rows of which no seed has both."""
    if not own:
        return NOT_MEASURED
    return f"no seed in common with '{against}'" if others else f"'{against}' is {NOT_MEASURED}"


def paper_direction(row: Row, against: Row, paper: Paper) -> Direction | None:
    """By the paper's first metric; None where it is not known of both rows."""
    name, better = next(iter(paper.metrics.items()))
    if name not in row.paper or name not in against.paper:
        return None
    change = row.paper[name] - against.paper[name]
    if change == 0:
        return "the same"
    return "better" if (change < 0) == (better == "lower") else "worse"


def _direction(difference: Interval, better: Literal["higher", "lower"]) -> Direction:
    """Beyond chance only where the interval leaves out 0; with one seed nothing is."""
    if difference.half_width is None or difference.low <= 0 <= difference.high:
        return "not told apart"
    return "better" if (difference.value < 0) == (better == "lower") else "worse"


def verdicts(found: Sequence[Compared]) -> dict[str, int]:
    """How many comparisons agree with the paper, do not, or are open."""
    said = [compared.agreement for compared in found if compared.agreement]
    return {name: said.count(name) for name in ("as in the paper", "other than in the paper", "open")}
