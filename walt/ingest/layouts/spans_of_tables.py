"""Finds which columns of a table say what part of a file a row is about, and whether that can be read.

A caption of a part must not become one of the whole file. So where columns by their names or their values are a begin
and an end, and no span in seconds can be made of them, the table is not read until the user says what is meant.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.headers_of_files import seconds_of
from walt.ingest.layouts.paths_of_tables import Paths
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.templates import recording_of, value_of
from walt.ingest.sources.items import Span
from walt.ingest.tables.cells import Record, literal_list, short
from walt.ingest.tables.fields import getter, holes
from walt.ingest.tables.spans import make_span, seconds, span_of_cells

_LOOKED_AT = 5
"""Files whose length is compared with their spans."""
_ROUNDED, _EXACT = 0.5, 0.05
"""Seconds by which a span may end after its file; and those by which it may where the file is as long as the span."""
_MOMENT = r"\d+(?:[:.,]\d+)*(?: ?(?:%|s|ms|sec|secs|seconds|min))?"
_RANGE = re.compile(rf"\s*\[?\(?\s*{_MOMENT}\s*(?:-->|->|[-~,;/\u2013\u2014]|to)\s*{_MOMENT}\s*\)?\]?\s*")
_OF_RANGES = re.compile(
    r"time|span|segment|interval|range|window|period|moment|event|frames|(^|_)ts(_|$)", re.IGNORECASE
)
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?$")
_BEGIN = re.compile(r"(^|[_ .])(start|begin|onset|from)([_ ]|$)", re.IGNORECASE)
_END = re.compile(r"(^|[_ .])(end|stop|offset|to|duration|length|until)([_ ]|$)", re.IGNORECASE)
_PAIRS = (
    ("in", "out"), ("first", "last"), ("t0", "t1"), ("st", "ed"), ("st", "et"), ("ss", "to"), ("tin", "tout"),
    ("begin", "finish"), ("start", "finish"),
)  # fmt: skip
"""Words of which one alone says little: the two columns have the same name else."""
_HOW = "write start and end in seconds, or say --caption-column to take the captions for those of the whole files"


@dataclass
class Spans:
    """What was found."""

    columns: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    problem: str | None = None
    """Why the table must not be read before the user has said more."""


def find_spans(survey: Survey, seen: Peek, wanted: tuple[str, ...], paths: Paths, captions: Sequence[str]) -> Spans:
    """Spans, if columns hold some and the files are long enough: else the files are the spans already.

    Args:
        wanted: the columns that the user named; empty: those with the usual names.
    """
    notes: list[str] = []
    if not wanted and (recording := recording_of(paths.column)):
        named = " and ".join(name for name in holes(paths.column) if usual_names.is_end(name))
        return Spans((), [f"the files are parts of {recording} already, with {named} in their names"])
    for names, ends, spans in _candidates(seen, (wanted,) if wanted else usual_names.SPANS, captions):
        shown = " and ".join(names)
        if not _are_spans(ends, spans):
            odd = next((pair for pair, span in zip(ends, spans, strict=True) if span is None), [])
            if len(odd) == 2 and None not in odd:
                notes.append(f"{shown} not used: {_shown(odd)} is not a span of seconds or h:mm:ss")
            continue
        if wanted or not any(spans):
            return Spans(names if wanted else (), notes)
        latest: dict[str, Span] = {}
        of_file: dict[str, set[Span]] = defaultdict(set)
        for record, span in zip(seen.records, spans, strict=True):
            file = paths.found.get(value_of(record, paths.column))
            _keep_latest(latest, file, span)
            if file and span:
                of_file[file].add(span)
        longer = _longer(survey, latest)
        if longer is None:
            return Spans(names, [*notes, f"spans from {shown}"])
        if longer:
            return Spans((), notes, f"{shown} are not seconds: {longer}; {_HOW}")
        if several := next((file for file, parts in of_file.items() if len(parts) > 1), None):
            return Spans((), notes, f"{shown} say several parts of {several}, which is shorter than they are; {_HOW}")
        notes.append(f"{shown} not used: the files are shorter than the spans there, so they are the spans already")
        return Spans((), notes)
    if wanted:
        return Spans((), notes)
    return Spans((), notes, why_no_spans(seen, paths, captions))


def span_columns(seen: Peek, captions: Sequence[str]) -> tuple[str, ...]:
    """The columns with the usual names that hold spans in seconds; empty if there are none."""
    found = _candidates(seen, usual_names.SPANS, captions)
    plain = next((names for names, ends, spans in found if _are_spans(ends, spans)), ())
    records = [dict(record) for record in seen.records]
    return plain or spans_inside(records, tuple(name for name in seen.columns if "." not in name))


def spans_inside(parts: list[dict[str, Any]], fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that hold the spans of all parts, also inside of one (``timestamps.start``); empty if there are
    none."""
    inside = {f"{name}.{field}" for part in parts for name in fields for field in _fields_of(part.get(name))}
    for before in ("", *dict.fromkeys(f"{name.partition('.')[0]}." for name in sorted(inside))):
        own = [name.removeprefix(before) for name in sorted(inside) if name.startswith(before)] if before else fields
        for names in usual_names.SPANS:
            same = tuple(f"{before}{found}" for name in names if (found := usual_names.same_name(name, own)))
            if len(same) == len(names) and all(span_of_cells([getter(name)(part) for name in same]) for part in parts):
                return same
    return ()


def _fields_of(value: Any) -> Iterable[str]:
    return value if isinstance(value, dict) else ()


def _candidates(
    seen: Peek, usual: Sequence[tuple[str, ...]], captions: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], list[list[Any]], list[Span | None]]]:
    """Columns by these names: (names, their values in each record, the span of each record)."""
    for wanted in usual:
        names = tuple(found for name in wanted if (found := _column(name, seen)))
        if len(names) < len(wanted) or set(names) & set(captions):
            continue
        getters = [getter(name) for name in names]
        ends = [[find(record) for find in getters] for record in seen.records]
        yield names, ends, [*map(span_of_cells, ends)]


def _column(name: str, seen: Peek) -> str | None:
    """The column with a name, which may also be a place in lists (``messages.0.start``) that no column is called."""
    inside = "." in name and any(getter(name)(record) is not None for record in seen.records)
    return usual_names.same_name(name, seen.columns) or (name if inside else None)


def _are_spans(ends: list[list[Any]], spans: list[Span | None]) -> bool:
    """Whether columns hold spans: one or more, and all others are of moments in a wrong order. Those are refused one by
    one."""
    return any(spans) and all(
        span is not None or (len(pair) == 2 and all(map(_is_number, pair)))
        for pair, span in zip(ends, spans, strict=True)
    )


def _is_number(value: Any) -> bool:
    """Whether a value is a moment, also one before 0."""
    return seconds(value.strip().removeprefix("-") if isinstance(value, str) else value) is not None or (
        isinstance(value, int | float) and value < 0
    )


def beyond(survey: Survey, paths: Paths, spans: Iterable[tuple[Record, Iterable[Span | None]]]) -> str | None:
    """An example of a file that ends before the spans that its record lists; None: most files do not.

    Args:
        spans: of each record.
    """
    latest: dict[str, Span] = {}
    for record, of_record in spans:
        for span in of_record:
            _keep_latest(latest, paths.found.get(value_of(record, paths.column)), span)
    short_ones = _shorter(survey, latest)
    if not short_ones:
        return None
    name, length = short_ones[0]
    return f"{_shown(latest[name])} in {short(name)}, which lasts {length:.1f} s; {_HOW}"


def _keep_latest(latest: dict[str, Span], name: str | None, span: Span | None) -> None:
    """Keep of each file the span that ends last."""
    if span and name and span[1] > latest.get(name, (0.0, 0.0))[1]:
        latest[name] = span


def _longer(survey: Survey, latest: dict[str, Span]) -> str | None:
    """Whether files end before their last spans do. None: most do not; empty: they are as long as the spans, from which
    they were cut; else an example of a file that is neither."""
    short_ones = _shorter(survey, latest)
    for name, length in short_ones:
        begin, end = latest[name]
        if length < (end - begin) / 2:
            return f"{_shown((begin, end))} in {short(name)}, which lasts {length:.1f} s"
    return "" if short_ones else None


def _shorter(survey: Survey, latest: dict[str, Span]) -> list[tuple[str, float]]:
    """Files that end before their last spans do, with their seconds, the latest span first; none where most do not."""
    chosen = sorted(latest, key=lambda name: -latest[name][1])[:_LOOKED_AT]
    lengths = seconds_of(survey, chosen)
    found = [(name, length) for name, length in lengths.items() if _is_shorter(length, latest[name])]
    return found if len(found) * 2 > len(lengths) else []


def _is_shorter(length: float, span: Span) -> bool:
    """Whether a file ends before its span: by more than is rounded, or because it is as long as the span itself."""
    begin, end = span
    as_cut = length < end - _EXACT and abs(length - (end - begin)) < abs(length - end)
    return end > length + _ROUNDED or as_cut


def why_no_spans(seen: Peek, paths: Paths, captions: Sequence[str]) -> str | None:
    """Why rows seem to be of parts of files although no spans were found."""
    taken = {paths.column, *captions}
    if moments := _moments(seen, paths):
        return f"rows of one file differ in {moments}, of which no span in seconds (start and end) can be made"
    left = [name for name in seen.columns if name not in taken]
    words = {name: usual_names.in_words(name) for name in left if _holds_moments(seen, name)}
    begin, end = _begin_and_end(words)
    pairs = [[getter(name)(record) for name in (begin, end)] for record in seen.records] if begin and end else []
    differ = [pair for pair in pairs if pair[0] != pair[1]]  # of stills both are 0
    if values := next((pair for pair in differ if make_span(*pair) is None), differ[0] if differ else None):
        return f"of {begin} and {end} ({_shown(values)}) no span in seconds can be made: {_HOW}"
    for name in left:
        values = [value for record in seen.records if (value := getter(name)(record))]
        named = _OF_RANGES.search(name) or all("-->" in str(value) for value in values)
        if values and named and all(map(_is_range, values)):
            return f"{name} ({short(values[0])}) seems to be a span, which is not read so: {_HOW}"
    return None


def _begin_and_end(words: dict[str, str]) -> tuple[str | None, str | None]:
    """Two columns that are a begin and an end by their names.

    Args:
        words: name -> the name in words.
    """
    begin = next((name for name in words if _BEGIN.search(words[name])), None)
    end = next((name for name in words if _END.search(words[name]) and name != begin), None)
    if begin and end:
        return begin, end
    names = {said.lower(): name for name, said in words.items()}
    for first, last in _PAIRS:
        for said, name in names.items():
            other = re.sub(rf"(?<![a-z0-9]){first}(?![a-z0-9])", last, said)
            if other != said and other in names:
                return name, names[other]
    return None, None


def _is_range(value: Any) -> bool:
    """Whether a value is a begin and an end, in whatever unit, or a list of some."""
    ends = literal_list(value) if isinstance(value, str) and value.startswith(("[", "(")) else value
    if isinstance(ends, list | tuple):
        one = len(ends) == 2 and all(map(_is_number, ends))
        return one or (bool(ends) and all(isinstance(part, list | tuple) and _is_range(part) for part in ends))
    return isinstance(value, str) and bool(_RANGE.fullmatch(value)) and not _DATE.match(value.strip())


def _moments(seen: Peek, paths: Paths) -> str | None:
    """A column of moments, by its name, by which rows of one file differ; None: there is none."""
    for name in filter(usual_names.is_moment, seen.columns):
        find, of_file = getter(name), dict[str, Any]()
        for record in seen.records:
            value = find(record)
            if value is not None and of_file.setdefault(value_of(record, paths.column), value) != value:
                return name
    return None


def _holds_moments(seen: Peek, name: str) -> bool:
    """Whether a column holds numbers, or texts that begin with one and are not dates, or lists of them."""
    values = [value for record in seen.records if (value := getter(name)(record)) not in (None, "")]
    return bool(values) and all(map(_is_moment, values))


def _is_moment(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_moment, value))
    if isinstance(value, str):
        return not _DATE.match(value) and bool(re.match(r"-?(PT)?\d", value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(ends: Sequence[Any]) -> str:
    return f"{short(ends[0])} to {short(ends[-1])}"
