"""Reads tables that name inputs, by column name and row by row; ``FORMATS`` lists what they may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import IO, Any

from walt.core.errors import ConfigurationError
from walt.core.pointers import pointer_at
from walt.ingest.sources.folders import Folder
from walt.ingest.tables import text_table
from walt.ingest.tables.cells import BadValue, Block, Columns, Record, Row, convert, convert_column, literal_list
from walt.ingest.tables.csv_table import csv_columns, csv_records, no_column
from walt.ingest.tables.fields import TABLE, getter, root
from walt.ingest.tables.json_blocks import Batch, json_line_batches, schema_of
from walt.ingest.tables.json_table import Numbered, as_utf8, is_whole, json_lines, json_records, numbered_lines
from walt.ingest.tables.parquet_table import parquet_records
from walt.ingest.tables.text_table import holds_json

_LOOKED_AT = 100
"""Records of a JSON file in which a column must be at least once: there is no header that says which there are."""


@dataclass(frozen=True)
class Shape:
    """How a table's rows follow from what is stored; the default: each stored record is a row."""

    records: str | None = None
    """Field of a JSON file that holds the list or map of records."""
    explode: tuple[str, ...] = ()
    """Lists of equal length in each record, whose elements side by side make a row each."""
    join: tuple[str, str, str] | None = None
    """See ``walt.ingest.tables.json_table.json_records``."""


PLAIN = Shape()

Records = Iterator[tuple[int, Record | BadValue] | Batch]
Reader = Callable[[str, str, IO[bytes], Columns, Columns, Shape], Records]
"""Yields the records of a table that is open, one by one or (unless lists are exploded) in batches: where it is, for
messages; its name; the stream; the columns, and the optional ones; its shape. Raises ConfigurationError."""


def _read_csv(where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns, shape: Shape) -> Records:
    wanted = {name: name in columns for name in {**optional, **columns}}
    return csv_records(where, table, stream, wanted | dict.fromkeys(shape.explode, True))


def _read_parquet(
    where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns, shape: Shape
) -> Records:
    exploded = {name: columns[name] for name in columns if root(name) in shape.explode and "." not in name}
    plain = {name: kind for name, kind in columns.items() if name not in exploded}
    lists: Columns = dict.fromkeys(shape.explode, "list")
    return parquet_records(where, stream, {**plain, **lists}, optional)


def _read_json(where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns, shape: Shape) -> Records:
    return _with_columns(where, json_records(where, stream, shape.records, shape.join), columns, shape)


def _read_json_lines(
    where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns, shape: Shape
) -> Records:
    stream = as_utf8(stream)
    if is_whole(stream):
        return _with_columns(where, json_lines(where, stream), columns, shape)
    first = list(islice(json_lines(where, stream), _LOOKED_AT))
    _check_columns(where, first, columns, shape)
    records = [record for _, record in first if not isinstance(record, BadValue)]
    schema = None if shape.explode else schema_of(records, {**columns, **optional})
    line = first[-1][0] + 1 if first else 1
    if schema is None:
        return chain(first, numbered_lines(where, stream, line))
    return chain(first, json_line_batches(where, stream, line, schema))


def _read_text(where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns, shape: Shape) -> Records:
    """A ``.txt``: JSON lines, a CSV with a header that has the columns, or names and captions without a header."""
    if holds_json(stream):
        return _read_json_lines(where, table, stream, columns, optional, shape)
    in_header = set(columns) <= set(csv_columns(table, stream))
    stream.seek(0)
    if in_header or not set(columns) <= set(text_table.OF_PARTS):
        return _read_csv(where, table, stream, columns, optional, shape)
    return text_table.text_records(stream)


FORMATS: dict[str, Reader] = {
    ".csv": _read_csv, ".tsv": _read_csv, ".parquet": _read_parquet,
    ".json": _read_json, ".jsonl": _read_json_lines, ".ndjson": _read_json_lines,
}  # fmt: skip
"""By the end of the file's name. A table that a descriptor names and that ends otherwise is read as CSV."""
_TEXTS: dict[str, Reader] = {".txt": _read_text}
"""Further ones, of files that are mostly none."""


def find_tables(folder: Folder, patterns: tuple[str, ...]) -> list[str]:
    """Names of the tables that the descriptor's patterns match, sorted, each once. Raises ConfigurationError."""
    found: set[str] = set()
    for pattern in patterns:
        names = folder.matching(pattern)
        if not names:
            raise ConfigurationError(f"{folder.location(pattern)}: no such file (a table of the dataset's descriptor)")
        found |= set(names)
    return sorted(found)


def is_table(path: str) -> bool:
    """Whether a path or URL has the suffix of a table."""
    return path.lower().endswith(tuple(FORMATS))


def read_rows(
    folder: Folder, table: str, columns: Columns, optional: Columns | None = None, shape: Shape = PLAIN
) -> Iterator[Row]:
    """The rows of one table; all values of a missing optional column are None, those of a row that cannot be read are
    the same BadValue.

    Raises:
        ConfigurationError: the table is missing or damaged, lacks a column (the most similar name is suggested) or has
            one of the wrong type. Columns are checked before the first row is yielded.
    """
    for part in read_blocks(folder, table, columns, optional, shape):
        if isinstance(part, Row):
            yield part
        else:
            yield from map(part.row, range(len(part)))


def read_blocks(
    folder: Folder, table: str, columns: Columns, optional: Columns | None = None, shape: Shape = PLAIN
) -> Iterator[Row | Block]:
    """The same rows as ``read_rows``, in blocks where the format gives them so. Raises as ``read_rows``."""
    if not folder.has(table):
        raise ConfigurationError(f"{folder.location(table)}: no such file (the dataset's descriptor names it)")
    kinds = {**columns, **(optional or {})}
    of_table = {name: kind for name, kind in columns.items() if name != TABLE}
    cells = [(getter(name), kind) for name, kind in kinds.items()]
    with folder.open(table) as stream:
        if pointer := pointer_at(stream):
            raise ConfigurationError(f"{folder.location(table)}: {pointer}")
        read = (FORMATS | _TEXTS).get(PurePosixPath(table).suffix.lower(), _read_csv)
        found = read(folder.location(table), table, stream, of_table, optional or {}, shape)
        for part in exploded(found, shape.explode) if shape.explode else found:
            if isinstance(part, Batch):
                by_name = {TABLE: [table] * len(part.lines), **part.columns}
                yield Block(table, part.lines, tuple(convert_column(by_name[name], kinds[name]) for name in kinds))
                continue
            line, record = part
            if isinstance(record, BadValue):
                yield Row(table, line, (record,) * len(cells))
            else:
                named = {**record, TABLE: table} if TABLE in kinds else record
                yield Row(table, line, tuple([convert(find(named), kind) for find, kind in cells]))


def exploded(found: Iterable[tuple[int, Record | BadValue] | Batch], names: tuple[str, ...]) -> Numbered:
    """A record for each element of the lists at ``names``, side by side; then for each element of lists that are inside
    of those (``clips.annotations`` behind ``clips``). A record without such a list is a BadValue, and so is one whose
    lists side by side differ in length."""
    depths = [sum(name.startswith(f"{other}.") for other in names) for name in names]
    records = _one_by_one(found)
    for depth in sorted(set(depths)):
        records = _side_by_side(records, [name for name, own in zip(names, depths, strict=True) if own == depth])
    return records


def _one_by_one(found: Iterable[tuple[int, Record | BadValue] | Batch]) -> Numbered:
    for part in found:
        assert not isinstance(part, Batch), "readers give no batches where lists are exploded"
        yield part


def _side_by_side(found: Numbered, names: Sequence[str]) -> Numbered:
    finders = [getter(name) for name in names]
    for line, record in found:
        if isinstance(record, BadValue):
            yield line, record
            continue
        lists = [_as_list(find(record)) for find in finders]
        bad = next((name for name, value in zip(names, lists, strict=True) if value is None), None)
        if bad is not None:
            yield line, BadValue(f"there is no list at '{bad}'")
            continue
        lengths = {name: len(value or ()) for name, value in zip(names, lists, strict=True)}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} {length}" for name, length in lengths.items())
            yield line, BadValue(f"its lists differ in length: {said}")
            continue
        for elements in zip(*(value or () for value in lists), strict=True):
            whole = record
            for name, element in zip(names, elements, strict=True):
                whole = _replaced(whole, name, element)
            yield line, whole


def _replaced(record: Record, name: str, value: Any) -> Record:
    """A record with another value at a name, which may be inside of others."""
    first, _, rest = name.partition(".")
    inside = record.get(first)
    if name in record or not rest or not isinstance(inside, Mapping):
        return {**record, name: value}
    return {**record, first: _replaced(inside, rest, value)}


def _as_list(value: Any) -> list[Any] | tuple[Any, ...] | None:
    value = literal_list(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        value = [{**(inner if isinstance(inner, dict) else {}), "$key": key} for key, inner in value.items()]
    return value if isinstance(value, list | tuple) else None


def _with_columns(where: str, found: Numbered, columns: Columns, shape: Shape) -> Numbered:
    """The same records, after a look at the first of them for the columns. Raises ConfigurationError."""
    first = list(islice(found, _LOOKED_AT))
    _check_columns(where, first, columns, shape)
    return chain(first, found)


def _check_columns(where: str, first: Sequence[tuple[int, Record | BadValue]], columns: Columns, shape: Shape) -> None:
    """Raise ConfigurationError if none of the first records has a column."""
    records = [record for _, record in first if not isinstance(record, BadValue)]
    rows = exploded(first, shape.explode) if shape.explode else first
    seen = [record for _, record in rows if not isinstance(record, BadValue)]
    names = list(dict.fromkeys(name for record in records for name in record if not name.startswith("$")))
    for name in columns:
        find = getter(name)
        if records and not any(name in record or find(record) is not None for record in seen):
            raise no_column(where, names, name)
