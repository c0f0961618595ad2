"""Spans of time as tables write them."""

from __future__ import annotations

import math

from walt.ingest.sources.items import Span
from walt.ingest.tables.cells import BadValue, literal_list


def seconds(value: object) -> float | None:
    """A moment in seconds: a number, or text like ``16.3`` or ``0:00:16.300``; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        parts = [float(part) for part in value.split(":")] if isinstance(value, str) else [float(value)]
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
    first, last = seconds(start), seconds(end)
    return None if first is None or last is None or last <= first else (first, last)


def span_of_cell(value: object) -> Span | None:
    """A span that stands in one cell: a list of its two ends, also as a literal ``['0:00:01.0', '0:00:05.0']``."""
    ends = literal_list(value) if isinstance(value, str) else value
    if isinstance(ends, BadValue) or not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    return make_span(*ends)
