"""Reads tables that name inputs, by column name and row by row, whatever their size; ``READERS`` lists the formats.

Text stays text. Bytes in it that are not UTF-8 become surrogates, as in file names. Integers in a Parquet file become
their digits, so that an id column may have either type. Lists become tuples: list columns in Parquet, Python literals
in CSV, as in Panda-70M.
"""

from __future__ import annotations

import ast
import csv
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError
from walt.core.paths import printable
from walt.core.suggestions import did_you_mean
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Span

_LONGEST_FIELD = 1 << 24
_LONGEST_LITERAL = 1 << 20
_LONGEST_LIST = 10_000
_PARQUET_BATCH = 4096

ColumnKind = Literal["text", "number", "list"]
"""``text``: strings, and whole numbers as their digits. ``number``: a float. ``list``: of anything."""
Columns = Mapping[str, ColumnKind]
Cell = Any
"""str, float or tuple by the column's kind; None: the cell is empty; BadValue: it holds something else."""


@dataclass(frozen=True, slots=True)
class BadValue:
    """A cell that cannot be read as its column's kind."""

    cause: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its position, and its values in the order of the requested columns."""

    table: str
    line: int
    """In a CSV the line at which it ends; in Parquet its number, counted from 1."""
    values: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The name of an input of which only the row is known."""
        return f"{self.table} line {self.line}"

    @property
    def texts(self) -> tuple[str, ...]:
        """The values if all columns are text; an empty cell becomes an empty string."""
        return tuple("" if value is None else value for value in self.values)

    @property
    def problem(self) -> str | None:
        """The cause of the first bad value."""
        return next((value.cause for value in self.values if isinstance(value, BadValue)), None)


def find_tables(folder: Folder, patterns: tuple[str, ...]) -> list[str]:
    """Names of the tables that the descriptor's patterns match, sorted, each once. Raises ConfigurationError."""
    found: set[str] = set()
    for pattern in patterns:
        names = folder.matching(pattern)
        if not names:
            raise ConfigurationError(f"{folder.location(pattern)}: no such file (a table of the dataset's descriptor)")
        found |= set(names)
    return sorted(found)


def read_rows(folder: Folder, table: str, columns: Columns, optional: Columns | None = None) -> Iterator[Row]:
    """The rows of one table; all values of a missing optional column are None.

    Raises:
        ConfigurationError: the table is missing or damaged, lacks a column (the most similar name is suggested) or has
            one of the wrong type. Columns are checked before the first row is yielded.
    """
    if not folder.has(table):
        raise ConfigurationError(f"{folder.location(table)}: no such file (the dataset's descriptor names it)")
    with folder.open(table) as stream:
        reader = READERS.get(PurePosixPath(table).suffix.lower(), _csv_rows)
        yield from reader(folder.location(table), table, stream, columns, optional or {})


def is_table(path: str) -> bool:
    """Whether a path or URL has the suffix of a table."""
    return path.lower().endswith(tuple(READERS))


# ----------------------------------------------------------------------------------------------------------------- CSV


def _csv_rows(where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_FIELD)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter="\t" if table.lower().endswith(".tsv") else ",")
    kinds = {**columns, **optional}
    try:
        header = [name.strip() for name in next(reader, [])]
        indices = {name: _column_index(where, header, name, name in columns) for name in kinds}
        for fields in reader:
            if fields:  # blank lines are skipped
                yield Row(table, reader.line_num, tuple(_cell(fields, indices[name], kinds[name]) for name in kinds))
    except csv.Error as error:
        raise ConfigurationError(f"{where}, line {reader.line_num}: not valid CSV: {error}") from None


def _column_index(where: str, header: list[str], wanted: str, required: bool) -> int | None:
    if header.count(wanted) == 1:
        return header.index(wanted)
    if wanted in header:
        raise ConfigurationError(f"{where}: column '{wanted}' is there {header.count(wanted)} times")
    if not required:
        return None
    raise _no_column(where, header, wanted)


def _no_column(where: str, header: list[str], wanted: str) -> ConfigurationError:
    hint = did_you_mean(wanted, header)
    return ConfigurationError(f"{where}: no column '{wanted}'{hint} (columns: {printable(', '.join(header))})")


def _cell(fields: list[str], index: int | None, kind: ColumnKind) -> Cell:
    if index is None or index >= len(fields):
        return None
    if kind == "number":
        return _number(fields[index])
    return literal_list(fields[index]) if kind == "list" else fields[index]


def _number(text: str) -> Cell:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        return BadValue(f"{_short(text)} is not a number")
    return value if math.isfinite(value) else BadValue(f"{_short(text)} is not a finite number")


def literal_list(text: str) -> tuple[Any, ...] | BadValue | None:
    """A list written as a Python literal that holds only values: names, calls and arithmetic are refused."""
    if not text.strip():
        return None
    if len(text) > _LONGEST_LITERAL:
        return BadValue(f"a list of {len(text)} characters, {_LONGEST_LITERAL} are allowed")
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return BadValue(f"{_short(text)} is not a list")
    if not isinstance(value, list | tuple):
        return BadValue(f"{_short(text)} is not a list")
    return _checked_list(value)


def _checked_list(value: list[Any] | tuple[Any, ...]) -> tuple[Any, ...] | BadValue:
    if len(value) > _LONGEST_LIST:
        return BadValue(f"a list of {len(value)} values, {_LONGEST_LIST} are allowed")
    return tuple(value)


def _short(text: str) -> str:
    return printable(repr(text if len(text) <= 40 else f"{text[:40]}..."))


# ------------------------------------------------------------------------------------------------------------- Parquet


def _parquet_rows(where: str, table: str, stream: IO[bytes], columns: Columns, optional: Columns) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(stream)
        names = file.schema_arrow.names
        kinds = {**columns, **{name: kind for name, kind in optional.items() if name in names}}
        for name, kind in kinds.items():
            if names.count(name) != 1:
                raise _no_column(where, names, name)
            _check_type(where, name, kind, file.schema_arrow.field(name).type)
        numbers = itertools.count(1)
        for batch in file.iter_batches(_PARQUET_BATCH, columns=list(kinds)):
            found = {name: _column(batch.column(name), kind) for name, kind in kinds.items()}
            empty = [None] * batch.num_rows
            ordered = [found.get(name, empty) for name in (*columns, *optional)]
            for values in zip(*ordered, strict=True):
                yield Row(table, next(numbers), values)
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{where}: not valid Parquet: {str(error).splitlines()[0]}") from None


def _check_type(where: str, name: str, kind: ColumnKind, found: pa.DataType) -> None:
    if pa.types.is_dictionary(found):
        found = found.value_type
    whole = pa.types.is_integer(found)
    fits = {
        "text": whole or pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_null(found),
        "number": whole or pa.types.is_floating(found) or pa.types.is_null(found),
        "list": pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_string(found),
    }
    if not fits[kind]:
        raise ConfigurationError(f"{where}: column '{name}' is of type {found}, expected {kind}")


def _column(column: pa.Array, kind: ColumnKind) -> list[Cell]:
    """A column's values, decoded like those of a CSV."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        raw = column.cast(pa.large_binary()).to_pylist()  # undecodable bytes affect one row, not the whole table
        texts = [value if value is None else value.decode("utf-8", "surrogateescape") for value in raw]
        return [text if text is None or kind == "text" else literal_list(text) for text in texts]
    values = column.to_pylist()
    if kind == "list":
        return [value if value is None else _checked_list(value) for value in values]
    if kind == "number":
        return [None if value is None or math.isnan(value) else float(value) for value in values]
    return [value if value is None else str(value) for value in values]


Reader = Callable[[str, str, IO[bytes], Columns, Columns], Iterator[Row]]
"""Yields the rows of a table that is open, as ``read_rows`` has it: where it is, for messages; its name; the stream;
the columns, and the optional ones. Raises ConfigurationError."""

READERS: dict[str, Reader] = {".csv": _csv_rows, ".tsv": _csv_rows, ".parquet": _parquet_rows}
"""By the end of the file's name. A table that a descriptor names and that ends otherwise is read as CSV."""


# --------------------------------------------------------------------------------------------------------------- spans


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
