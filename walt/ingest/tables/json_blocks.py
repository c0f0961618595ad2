"""JSON lines by column: what ``json_table`` reads line by line, from blocks of lines that pyarrow reads alike.

pyarrow reads a line in a tenth of the time, but knows types of columns and no rows that are wrong. A block in which any
line is not plainly a record, any value is not of its column's type, or any number may be another one in Python, is left
to ``json_table``.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.json

from walt.ingest.tables.cells import BadValue, ColumnKind, Columns, Record
from walt.ingest.tables.json_table import LONGEST_LINE, numbered_lines

_BLOCK = 1 << 16
"""Bytes. What is made of larger ones is so much at once that the garbage collector takes half of the time."""
_MOST_OPENED = 100
"""Brackets of a line: so deep a value is safe in any reader. Python's says of a deeper one that it is too deep."""
_OTHERS = bytes(set(range(256)) - set(b"[{\n"))
_INFINITE = re.compile(rb"Inf(?=[\s,}\]])")
"""Like ``-NaN``, what pyarrow takes for a number and Python does not. In a column that is read, it is not the same in
Python anyway; in a text, no harm is done if it is found."""
_Types = dict[frozenset[type], pa.DataType]
_ARE_TEXT: _Types = {frozenset({str}): pa.string()}
_ARE_NUMBERS: _Types = dict.fromkeys([frozenset({float}), frozenset({int}), frozenset({float, int})], pa.float64())
_ARE_TEXT_OR_DIGITS: _Types = {**_ARE_TEXT, frozenset({int}): pa.int64()}
_TYPES: dict[ColumnKind, _Types] = {
    "text": _ARE_TEXT_OR_DIGITS,
    "texts": _ARE_TEXT_OR_DIGITS,
    "number": _ARE_NUMBERS,
    "moment": {**_ARE_TEXT, **_ARE_NUMBERS},
}
"""The type that a column is read as, by the kind asked for and the types seen in its first records. Only types by which
a cell of the kind is the same as by Python's."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that follow each other, by column; None where a record has no such value."""

    lines: range
    columns: Mapping[str, list[Any]]


def schema_of(records: list[Record], columns: Columns) -> pa.Schema | None:
    """The types of columns by their first records; None: this table must be read line by line, since a column is inside
    of another, or its values are not of one simple type."""
    fields = []
    for name, kind in columns.items():
        types = frozenset(type(record[name]) for record in records if record.get(name) is not None)
        found = _TYPES.get(kind, {}).get(types) if types else pa.null()
        if found is None or "." in name or name.startswith("$"):
            return None
        fields.append(pa.field(name, found))
    return pa.schema(fields)


def json_line_batches(
    where: str, stream: IO[bytes], line: int, schema: pa.Schema
) -> Iterator[Batch | tuple[int, Record | BadValue]]:
    """The same as ``json_table.json_lines`` from where the stream is, batches where possible.

    Args:
        line: the number of the next line.
    """
    while block := stream.read(_BLOCK):
        block += b"" if block.endswith(b"\n") else stream.readline(LONGEST_LINE + 1)
        num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        columns = _read(block, num_lines, schema)
        if columns is None:
            yield from numbered_lines(where, io.BytesIO(block), line)
        else:
            yield Batch(range(line, line + num_lines), columns)
        line += num_lines


def _read(block: bytes, num_lines: int, schema: pa.Schema) -> dict[str, list[Any]] | None:
    """The columns of a block of lines; None: it must be read line by line."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if not block.endswith(b"\n"):
        block += b"\n"
    if len(block) > LONGEST_LINE or not _is_record_per_line(block, num_lines):
        return None
    options = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
    typed = pa.json.ParseOptions(explicit_schema=schema)  # other columns are read too: a key may be twice in them
    try:
        table = pa.json.read_json(pa.BufferReader(block), read_options=options, parse_options=typed)
        further = table.num_columns > len(schema)
        if table.num_rows != num_lines or (further and (b"-NaN" in block or _INFINITE.search(block))):
            return None
        columns = {name: table.column(name).to_pylist() for name in schema.names}
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    numbers = [columns[field.name] for field in schema if pa.types.is_floating(field.type)]
    return columns if all(map(_same_in_python, numbers)) else None


def _is_record_per_line(block: bytes, num_lines: int) -> bool:
    """Whether each line begins and ends as a record does. Valid JSON has no line's end between ``}`` and ``{`` but
    between two records, so as many records as lines are then a record a line."""
    if not (block.startswith(b"{") and block.endswith(b"}\n") and block.count(b"}\n{") == num_lines - 1):
        return False
    if block.count(b"{") + block.count(b"[") <= num_lines + _MOST_OPENED - 1:
        return True
    return max(map(len, block.translate(None, _OTHERS).split(b"\n"))) <= _MOST_OPENED


def _same_in_python(numbers: list[float | None]) -> bool:
    """Whether none is infinite, not a number, or a zero with a sign: ``-0`` is a whole number without one in Python."""
    found = [number for number in numbers if number is not None] if None in numbers else numbers
    if not all(map(math.isfinite, found)):  # type: ignore[arg-type]
        return False
    return 0.0 not in found or all(math.copysign(1.0, number) > 0 for number in found if number == 0.0)
