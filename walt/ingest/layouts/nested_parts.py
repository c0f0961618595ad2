"""Recognises captions of parts in lists that are inside of other lists, as Ego4D and tools for annotation write them:
videos, each with its clips, each with its annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.caption_fields import is_prose
from walt.ingest.layouts.paths_of_tables import Paths, find_paths
from walt.ingest.layouts.peek import Peek, columns_of
from walt.ingest.layouts.spans_of_tables import beyond, spans_inside
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.file_list import split_of
from walt.ingest.tables.cells import BadValue, Record
from walt.ingest.tables.fields import FILE, KEY, getter
from walt.ingest.tables.read import exploded
from walt.ingest.tables.spans import span_of_cells

_DEPTH = 6
_MOST_CHAINS, _MOST_PARTS = 16, 256
_OF_WHAT = re.compile(r"(clip|video)", re.IGNORECASE)
_RECORDINGS = ("video_uid", "video_id", "videoID", *usual_names.GROUPS)


@dataclass
class _Chain:
    """Lists inside of each other, and what the elements of the innermost one say."""

    lists: tuple[str, ...]
    flat: Peek
    """A record for each element, with what is around it."""
    captions: tuple[str, ...]
    spans: tuple[str, ...]
    paths: Paths | None


def nested_parts(
    survey: Survey, seen: Peek, wanted: tuple[str, ...] = ()
) -> tuple[dict[str, Any], int, list[str]] | str | None:
    """How to read a JSON table whose captions are in lists inside of its records: settings of ``FileList``, how many of
    the parts have a file, and notes; a text: why it must not be read; None: there are none that are about files here.

    Args:
        wanted: the columns of captions that the user named.
    """
    if not seen.table.lower().endswith((".json", ".jsonl", ".ndjson")):
        return None
    chains = _chains(survey, seen, lambda column: column in wanted if wanted else usual_names.is_caption(_last(column)))
    if not chains:
        return None
    if not any(chain.spans for chain in chains):
        return _without_spans(survey, seen, chains)
    if len(chains) > 1:
        names = " and in ".join(chain.captions[0] for chain in chains)
        return f"captions in {names}, of which one can be read: name it with --caption-column"
    [chain] = chains
    paths = chain.paths
    assert paths is not None, "only chains whose files were found are left"
    spans = ((record, [span_of_cells([getter(name)(record) for name in chain.spans])]) for record in chain.flat.records)
    shown = " and ".join(chain.spans)
    if example := beyond(survey, paths, spans):
        return f"{shown} are not seconds of these files: {example}"
    found: dict[str, Any] = {"explode": chain.lists, "caption_columns": chain.captions, "span_columns": chain.spans}
    found |= {"path_column": paths.column} | ({} if seen.place is None else {"records": seen.place})
    found |= {name: getattr(paths, name) for name in ("suffixes", "videos", "prefix") if getattr(paths, name)}
    found |= {"relative_to": "table"} if paths.relative_to == "table" else {}
    found |= {"split_column": split} if (split := _split(seen, chain.flat)) else {}
    own = [name for name in _RECORDINGS if name in chain.flat.columns and name != paths.column]
    found |= {"group_column": own[0]} if own and "." in paths.column else {}
    return found, paths.hits, [f"captions from {' and '.join(chain.captions)}", f"spans from {shown}"]


def _chains(survey: Survey, seen: Peek, fits: Callable[[str], bool]) -> list[_Chain]:
    """Those that have captions, of files that are here; ``fits`` says whether a column may be one of captions."""
    chains = [chain for lists in _lists(seen.records) if (chain := _chain(survey, seen, lists, fits))]
    return [chain for chain in chains if chain.paths and chain.paths.hits]


def _without_spans(survey: Survey, seen: Peek, chains: Sequence[_Chain]) -> str:
    """Why captions of parts are not read of which nothing says when they begin and end; and what can be, if there are
    other texts that have spans."""
    names = ", ".join(column for chain in chains for column in chain.captions)
    inside = {_last(column) for chain in chains for column in chain.flat.columns if column.startswith(chain.lists[-1])}
    moments = ", ".join(sorted(filter(usual_names.is_moment, inside)))
    said = f"{names}: of no part a start and an end in seconds{f', only {moments}' if moments else ''}"
    others = [
        column
        for chain in _chains(survey, seen, lambda column: not usual_names.is_caption(_last(column)))
        for column in chain.captions
        if chain.spans and any(is_prose(getter(column)(record), 3) for record in chain.flat.records)
    ]
    if others:
        return f"{said}; --caption-column reads {' or '.join(others)}, which have them"
    return f"{said}: write a table of them"


def _last(column: str) -> str:
    return column.rpartition(".")[2]


def _lists(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """The lists of records that are inside of records, each with those that it is inside of, from the outermost."""
    found: dict[tuple[str, ...], None] = {}
    for record in records:
        plain = {name: value for name, value in record.items() if not name.startswith("$")}
        found.update(dict.fromkeys(_inside(plain, "", (), _DEPTH)))
    return list(found)[:_MOST_CHAINS]


def _inside(value: Any, before: str, around: tuple[str, ...], depth: int) -> Iterator[tuple[str, ...]]:
    if not isinstance(value, dict) or not depth:
        return
    for name, inner in value.items():
        path = f"{before}{name}"
        if "." in name or usual_names.is_of_form(name):
            continue
        if isinstance(inner, dict):
            yield from _inside(inner, f"{path}.", around, depth - 1)
        elif isinstance(inner, list) and inner and all(isinstance(part, dict) for part in inner):
            yield (*around, path)
            for part in inner[:_MOST_CHAINS]:
                yield from _inside(part, f"{path}.", (*around, path), depth - 1)


def _chain(survey: Survey, seen: Peek, lists: tuple[str, ...], fits: Callable[[str], bool]) -> _Chain | None:
    """What a list holds; None: no captions."""
    rows = exploded(enumerate(seen.records, 1), lists)
    records = list(islice((record for _, record in rows if not isinstance(record, BadValue)), _MOST_PARTS))
    parts = [part for record in records if isinstance(part := getter(lists[-1])(record), dict)]
    fields = dict.fromkeys(field for part in parts for field in part)
    texts = [field for field in fields if any(isinstance(part.get(field), str) for part in parts)]
    texts = [field for field in texts if fits(f"{lists[-1]}.{field}")]
    if not texts or not any(
        isinstance(part.get(field), str) and part[field].strip() for part in parts for field in texts
    ):
        return None
    names = columns_of(records)
    flat = Peek(seen.table, (KEY, *names) if any(KEY in record for record in records) else names, records, seen.place)
    paths = find_paths(survey, flat)
    spans = spans_inside(parts, tuple(field for field in fields if _is_of(field, paths)))
    captions = tuple(f"{lists[-1]}.{field}" for field in texts)
    return _Chain(lists, flat, captions, tuple(f"{lists[-1]}.{field}" for field in spans), paths)


def _is_of(field: str, paths: Paths | None) -> bool:
    """Whether a moment may be one of the files that are named: not of the clip where these are videos, or the other way
    round."""
    what, named = _OF_WHAT.match(field), _OF_WHAT.findall(paths.column.rpartition(".")[2]) if paths else []
    return what is None or not named or what[1].lower() in map(str.lower, named)


def _split(seen: Peek, flat: Peek) -> str | None:
    """The field that says the split: of a part, of what is around it, or of the whole file."""
    whole = next((record.get(FILE) for record in seen.records), None)
    of_file = [f"{FILE}.{name}" for name in usual_names.SPLITS if isinstance(whole, dict) and name in whole]
    for name in (*(name for name in usual_names.SPLITS if name in flat.columns), *of_file):
        if all(split_of(str(getter(name)(record))) for record in flat.records):
            return name
    return None
