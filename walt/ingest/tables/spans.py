"""Spans of time as tables write them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from walt.ingest.sources.items import Span
from walt.ingest.tables.cells import BadValue, literal_list


def seconds(value: object) -> float | None:
    """A moment in seconds: a number, or text like ``16.3``, ``0:00:16.300`` or (as subtitles and many tables write
    it) ``0:00:16,300``; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        texts = value.replace(",", ".", 1).split(":") if isinstance(value, str) else [value]
        parts = [float(text) for text in texts]
    except (ValueError, OverflowError):
        return None
    if len(parts) > 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
        return None
    total = 0.0
    for part in parts:
        total = total * 60 + part
    return round(total, 6)


def make_span(start: object, end: object) -> Span | None:
    """Both ends in seconds; None where one is not a moment, or the end is not after the start."""
    return _ordered(seconds(start), seconds(end))


def make_spans(starts: list[Any], ends: list[Any]) -> list[Span | None]:
    """The same as ``make_span`` of each."""
    first, last = _all_seconds(starts), _all_seconds(ends)
    if None not in first and None not in last and all(map(operator.lt, first, last)):  # type: ignore[arg-type]
        return list(zip(first, last, strict=True))  # type: ignore[arg-type]
    return list(map(_ordered, first, last))


def _all_seconds(values: list[Any]) -> list[float | None]:
    """The same as ``seconds`` of each; where all are numbers, at once."""
    if set(map(type, values)) == {float} and all(map(math.isfinite, values)) and min(values) >= 0:
        positive = list(map(abs, values))  # -0.0 is 0.0
        return positive if all(map(float.is_integer, positive)) else list(map(round, positive, repeat(6)))
    return list(map(seconds, values))


def _ordered(first: float | None, last: float | None) -> Span | None:
    return None if first is None or last is None or last <= first else (first, last)


def span_of_cell(value: object) -> Span | None:
    """A span that stands in one cell: a list of its two ends, also as a literal ``['0:00:01.0', '0:00:05.0']``."""
    ends = literal_list(value) if isinstance(value, str) else value
    if isinstance(ends, BadValue) or not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    return make_span(*ends)


def span_of_cells(cells: Sequence[object]) -> Span | None:
    """A span that stands in two cells, its start and its end, or in one; None where it is none."""
    return make_span(*cells) if len(cells) == 2 else span_of_cell(cells[0])
