"""A measured number with its interval, and what it was measured on: what makes two numbers comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, inf, isfinite
from statistics import stdev
from typing import Any

CONFIDENCE = 0.95
"""Of all intervals, two-sided."""

PROTOCOL = "protocol"
"""The condition that is printed beside a number: name and digest of the protocol (``walt.evaluation.protocol``)."""


def significant(value: float, digits: int = 3, sign: str = "") -> str:
    """A number with so many significant digits, and never fewer than it has before the point: ``0.0123``, ``3224``.

    Args:
        sign: "+" for differences, which then always have one.
    """
    text = f"{value:{sign}.{digits}g}"
    return f"{value:{sign}.0f}" if "e+" in text else text


@dataclass(frozen=True)
class Figure:
    """A metric's value, and how sure it is."""

    value: float
    low: float
    """Lower end of the interval of ``CONFIDENCE``; -inf where one item is all there is."""
    high: float
    """Its upper end."""
    items: int
    """Videos, or clips, that the value was taken of."""
    replicates: tuple[float, ...]
    """The value of each bootstrap resample. Resample number i takes the same items for every model, so the differences
    of two models' replicates are those of a paired bootstrap. Empty where no promotion can ask for the metric."""
    conditions: Mapping[str, str]
    """What it was measured on -> a digest: all but the models under test. Numbers whose conditions differ are never
    compared."""
    deviation: float | None = None
    """Standard deviation over ``parts``; the value is their mean."""
    parts: str = ""
    """Of what the value is a mean besides its items: ``3 sets``, or ``10 splits``; empty: of nothing."""
    independent: int | None = None
    """Recordings, or prompts, that a resample draws, where several items are of one; None: each item is drawn by
    itself."""

    def as_json(self) -> dict[str, Any]:
        """For ``from_json``; replicates with nine digits, which is more than they are good for. What is drawn is left
        out where it is the items, as in figures that were kept before groups were known."""
        ends = {name: value if isfinite(value) else None for name, value in (("low", self.low), ("high", self.high))}
        replicates = [float(f"{value:.9g}") for value in self.replicates]
        found = {**asdict(self), **ends, "replicates": replicates, "conditions": dict(self.conditions)}
        return {name: value for name, value in found.items() if name != "independent" or value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Figure:
        """Of ``as_json``."""
        low, high = (-inf if value["low"] is None else value["low"]), (inf if value["high"] is None else value["high"])
        return cls(**{**value, "low": low, "high": high, "replicates": tuple(value["replicates"])})

    def __str__(self) -> str:
        over = "" if self.deviation is None else f", deviation {significant(self.deviation, 2)} over {self.parts}"
        return f"{significant(self.value, 4)} {self.interval}{over}"

    @property
    def is_constant(self) -> bool:
        """Whether all resamples have the same value."""
        return len({*self.replicates}) == 1

    @property
    def has_interval(self) -> bool:
        """False where one item is all there was."""
        return isfinite(self.low) and isfinite(self.high)

    @property
    def interval(self) -> str:
        """``[0.94, 1]``, or in words that there is none."""
        if not self.has_interval:
            return "(of one: no interval)" if (self.independent or self.items) == 1 else "(no interval)"
        return f"[{significant(self.low)}, {significant(self.high)}]"


def differing(first: Figure, second: Figure) -> list[str]:
    """The conditions in which two figures differ."""
    names = {**first.conditions, **second.conditions}
    return [name for name in names if first.conditions.get(name) != second.conditions.get(name)]


@dataclass(frozen=True)
class Difference:
    """Of two figures of the same metric and conditions: the new minus the old."""

    value: float
    half_width: float
    """Of the interval of ``CONFIDENCE`` around ``value``."""


def difference(new: Figure, old: Figure) -> Difference:
    """The new value minus the old one, with the interval of a paired bootstrap.

    Where no resample of either differs (all videos show it, or none), a bootstrap says that nothing is left to chance,
    of three videos as of three hundred: then the interval is of the two figures' own (Newcombe, Statistics in Medicine
    17, 1998, method 10).

    Raises:
        ValueError: the conditions, the number of items or what is drawn differ, or one has no replicates.
    """
    sizes = [(figure.items, figure.independent, len(figure.replicates)) for figure in (new, old)]
    if differing(new, old) or sizes[0] != sizes[1]:
        raise ValueError("the figures were not measured on the same")
    if len(new.replicates) < 2:
        raise ValueError("the figures have no replicates")
    if new.is_constant and old.is_constant:
        lower, upper = (old, new) if new.value >= old.value else (new, old)
        return Difference(new.value - old.value, hypot(upper.value - upper.low, lower.high - lower.value))
    of_replicates = [a - b for a, b in zip(new.replicates, old.replicates, strict=True)]
    return Difference(new.value - old.value, half_width(of_replicates, new.independent or new.items))


def half_width(replicates: Sequence[float], items: int) -> float:
    """Half the width of the interval of ``CONFIDENCE``: the replicates' standard deviation times Student's t of
    ``items`` (what is drawn) - 1 degrees of freedom, which for few items is more than the normal distribution's 1.96.

    Infinite where a replicate is no number.

    Their deviation and not their quantiles: of 200 replicates it is known to 5 %. And not their mean: a resample has
    items twice, which makes a Frechet distance larger.
    """
    if not all(map(isfinite, replicates)):  # a deviation cannot be had of them
        return inf
    from scipy.special import stdtrit  # here: the settings import this module, and most commands compute no interval

    return float(stdtrit(max(items - 1, 1), 0.5 + CONFIDENCE / 2)) * stdev(replicates)
