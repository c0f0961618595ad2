"""The columns and first records of a table, whatever its format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from walt.core.errors import ConfigurationError
from walt.core.pointers import pointer_at
from walt.ingest.layouts import usual_names
from walt.ingest.sources.folders import Folder
from walt.ingest.tables.cells import BadValue, Record, short, spelled
from walt.ingest.tables.csv_table import csv_columns, csv_records
from walt.ingest.tables.fields import EVERY, KEY, VALUE, getter
from walt.ingest.tables.json_table import json_lines, json_records
from walt.ingest.tables.parquet_table import is_vector, parquet_records, parquet_schema
from walt.ingest.tables.text_table import CAPTION, COLUMNS, holds_json, text_records

_RECORDS = 64
_MOST_JSON = 1 << 31
_MOST_BARE = 1 << 24
_MOMENTS = re.compile(r"[\d:]+(?:\.\d+)?[\s,;|]+[\d:]+(?:\.\d+)?(?:\s|\W|$)")
_AS_CSV = "write a CSV with the columns path, start, end and caption"
_DEPTH = 3
_VIA = "_via_img_metadata"
"""Where projects of the VGG Image Annotator have their files; all else is settings, some in the form of records."""
_DEEPEST = 5


@dataclass
class Peek:
    """A look at a table."""

    table: str
    columns: tuple[str, ...] = ()
    """Also of what is inside of others, in JSON and Parquet: ``scene.caption``."""
    records: list[Record] = field(default_factory=list)
    """The first ones that can be read."""
    place: str | None = None
    """Of a JSON file: where its records are."""
    unread: tuple[str, ...] = ()
    """Of a JSON file: other places, whose records have captions too."""
    problem: str | None = None
    """Why it cannot be read as a table."""
    bare: tuple[str, ...] = ()
    """Of a JSON file that is a list of texts, with no file that they are about: the first."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Of a Parquet file: its columns' types."""


def peek(folder: Folder, table: str) -> Peek:
    """Look at a table; one that cannot be read has a ``problem``."""
    try:
        with folder.open(table) as stream:
            where, lower = table, table.lower()
            if pointer := pointer_at(stream):
                return Peek(table, problem=pointer)
            if lower.endswith(".parquet"):
                schema = parquet_schema(where, stream)
                stream.seek(0)
                plain = [one.name for one in schema if not (_is_bytes(str(one.type)) or is_vector(one.type))]
                found = parquet_records(where, stream, {}, dict.fromkeys(plain, "any"))
                records, _ = _first(found)
                types = {name: str(schema.field(name).type) for name in schema.names}
                return Peek(table, columns_of(records) or tuple(schema.names), records, types=types)
            if lower.endswith((".jsonl", ".ndjson")):
                records, problem = _first(json_lines(where, stream))
                return Peek(table, columns_of(records), records, problem=problem or _nothing(records))
            if lower.endswith(".json"):
                return _peek_json(folder, table)
            if lower.endswith(".txt") and (text := _peek_text(table, stream)):
                return text
            names = csv_columns(table, stream)
            if not names:
                return Peek(table, problem="it is empty")
            stream.seek(0)
            records, problem = _first(csv_records(where, table, stream, dict.fromkeys(names, True)))
            inside = [name for name in columns_of(records) if name not in names]
            return Peek(table, (*names, *inside), records, problem=problem)
    except (ConfigurationError, OSError, ValueError) as error:
        return Peek(table, problem=str(error).splitlines()[0].removeprefix(f"{table}: "))


def records(folder: Folder, seen: Peek) -> Iterator[Record]:
    """All records of a table that can be read, in its order. Raises ConfigurationError."""
    with folder.open(seen.table) as stream:
        lower = seen.table.lower()
        if lower.endswith(".parquet"):
            found: Iterator[tuple[int, Record | BadValue]] = parquet_records(
                seen.table, stream, {}, dict.fromkeys(seen.columns, "any")
            )
        elif lower.endswith((".jsonl", ".ndjson")):
            found = json_lines(seen.table, stream)
        elif lower.endswith(".json"):
            found = json_records(seen.table, stream, seen.place)
        else:
            found = csv_records(seen.table, seen.table, stream, dict.fromkeys(seen.columns, True))
        yield from (record for _, record in found if not isinstance(record, BadValue))


def _peek_text(table: str, stream: IO[bytes]) -> Peek | None:
    """A text of JSON lines, or of names and captions without a header; None: it has a header."""
    if holds_json(stream):
        records, problem = _first(json_lines(table, stream))
        return Peek(table, columns_of(records), records, problem=problem)
    header = csv_columns(table, stream)
    stream.seek(0)
    if len(header) > 1 and any(map(usual_names.is_path, header)):
        return None
    records, problem = _first(text_records(stream))
    if not problem and all(record[CAPTION].isdecimal() for record in records):
        problem = "a number behind each name, which may be a class, and is not a caption" if records else "it is empty"
    elif not problem and all(_MOMENTS.match(record[CAPTION]) for record in records):
        problem = f"two numbers behind each name, which may be a span ({short(records[0][CAPTION])}): {_AS_CSV}"
    return Peek(table, tuple(records[0]) if records else COLUMNS, records, problem=problem)


def _is_bytes(found: str) -> bool:
    return "binary" in found


def _peek_json(folder: Folder, table: str) -> Peek:
    """Where the records are: the content itself, or the longest list or map of records at one of its keys."""
    with folder.open(table) as stream:
        if stream.seek(0, 2) > _MOST_JSON:
            return Peek(table, problem="larger than 2 GB: JSON lines can be read bit by bit")
        stream.seek(0)
        records, problem = _first(json_records(table, stream, None))
    if not records and (bare := _bare_texts(folder, table)):
        return Peek(table, problem="a list of texts, which are not of files each", bare=bare)
    top = records[0] if records else {}
    is_map = KEY in top
    if not is_map:
        return Peek(table, columns_of(records), records, problem=problem or _nothing(records))
    whole = top["$file"]
    inside = {name: len(value) for name, value in whole.items() if _holds_records(value)}
    is_map_of_records = len(inside) == len(whole) and all(isinstance(value, dict) for value in whole.values())
    if (
        not inside
        or (_VIA not in inside and is_map_of_records and len(whole) > 2)
        or all(_is_text_or_list(value) for value in whole.values())
    ):
        return Peek(table, (KEY, *columns_of(records)), records)
    name = _VIA if _VIA in inside else max(inside, key=lambda name: (isinstance(whole[name], list), inside[name]))
    columns = {other: _columns_at(whole[other]) for other in inside}
    common = set[str].intersection(*map(set, columns.values()))
    alike = any(map(usual_names.is_caption, common)) and len(common) > 1
    of_file = len(inside) == 1 and not any(map(usual_names.is_path, common))  # the key is all that may name one
    lists = all(isinstance(value, list) and (not value or key in inside) for key, value in whole.items())
    if alike and lists and (of_file or len(inside) > 1):
        name = EVERY
    with folder.open(table) as stream:
        records, _ = _first(json_records(table, stream, name))
    others = [other for other in inside if name not in (other, EVERY, _VIA)]
    unread = tuple(other for other in others if any(map(usual_names.is_caption, columns[other])))
    names = columns_of(records)
    return Peek(table, (KEY, *names) if name == EVERY else names, records, name, unread)


def _bare_texts(folder: Folder, table: str) -> tuple[str, ...]:
    """The first texts of a JSON file that is a list of texts alone; empty: it is something else."""
    with folder.open(table) as stream:
        content = stream.read(_MOST_BARE + 1)
    try:
        found = json.loads(content) if len(content) <= _MOST_BARE else None
    except (ValueError, RecursionError):
        return ()
    texts = isinstance(found, list) and all(isinstance(part, str) for part in found)
    return tuple(found[:_RECORDS]) if texts and found else ()


def _columns_at(place: Any) -> tuple[str, ...]:
    """The columns of the first records of a list or a map."""
    return columns_of(list(islice(place.values() if isinstance(place, dict) else place, _RECORDS)))


def _holds_records(value: Any) -> bool:
    """Whether a value is a list or a map of records."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(value) and bool(inside) and all(isinstance(record, dict) for record in islice(inside, _RECORDS))


def _is_text_or_list(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


def _first(found: Iterator[tuple[int, Record | BadValue]]) -> tuple[list[Record], str | None]:
    """The first records that can be read; where none can, why not the first."""
    some = list(islice(found, _RECORDS))
    records = [record for _, record in some if not isinstance(record, BadValue)]
    bad = next((f"line {line}: {record.cause}" for line, record in some if isinstance(record, BadValue)), None)
    return records, None if records else bad


def _nothing(records: list[Record]) -> str | None:
    return None if records else "holds no JSON objects"


def columns_of(records: list[Record]) -> tuple[str, ...]:
    """The columns of records, also of what is inside of others."""
    names: dict[str, None] = {}
    for record in records:
        _add(names, "", record, _DEPTH)
    return tuple(names)


def names_inside(seen: Peek) -> set[str]:
    """The columns of a table, and the names of fields inside of them, however deep; none that hold records alone."""
    found = {name: [value for record in seen.records if (value := getter(name)(record))] for name in seen.columns}
    names = {name for name, values in found.items() if not values or not all(isinstance(part, dict) for part in values)}
    for record in seen.records:
        _gather(record, names, _DEEPEST)
    return names


def _gather(value: Any, names: set[str], depth: int) -> None:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        names.update(name for name, part in value.items() if isinstance(name, str) and not isinstance(part, dict))
    for part in islice(inside, _RECORDS) if depth else ():
        _gather(part, names, depth - 1)


def _add(names: dict[str, None], before: str, record: Record, depth: int) -> None:
    for name, value in record.items():
        if name.startswith("$") and name != VALUE:
            continue
        names[before + name] = None
        inside = spelled(value) if isinstance(value, str) and value.startswith("{") else value
        if isinstance(inside, dict) and depth > 1 and name != VALUE:
            _add(names, f"{before}{name}.", inside, depth - 1)
