"""Parquet as records, a batch of rows at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError
from walt.ingest.tables.cells import BadValue, ColumnKind, Columns, Record
from walt.ingest.tables.csv_table import no_column
from walt.ingest.tables.fields import root

_BATCH = 4096
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def parquet_records(where: str, stream: IO[bytes], columns: Columns, optional: Columns) -> Iterator[tuple[int, Record]]:
    """The rows as (number from 1, record).

    Raises:
        ConfigurationError: not Parquet; a required column is missing, or one has a type that does not fit its kind.
    """
    try:
        file = pq.ParquetFile(stream)
        names = file.schema_arrow.names
        roots: set[str] = set()
        for name, kind in {**optional, **columns}.items():
            column = name if name in names else root(name)
            if column not in names:
                if name in columns:
                    raise no_column(where, names, name)
                continue
            if names.count(column) > 1:
                raise ConfigurationError(f"{where}: column '{column}' is there {names.count(column)} times")
            if column == name:
                _check_type(where, name, kind, file.schema_arrow.field(name).type)
            roots.add(column)
        numbers = itertools.count(1)
        for batch in file.iter_batches(_BATCH, columns=sorted(roots)):
            found = [_column(batch.column(name)) for name in sorted(roots)]
            for values in zip(*found, strict=True):
                yield next(numbers), dict(zip(sorted(roots), values, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{where}: {why_unreadable(error)}") from None


def parquet_schema(where: str, stream: IO[bytes]) -> pa.Schema:
    """The columns and their types. Raises ConfigurationError."""
    try:
        return pq.ParquetFile(stream).schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{where}: {why_unreadable(error)}") from None


def is_vector(found: pa.DataType) -> bool:
    """Whether a column holds embeddings or the like: more than two numbers, always as many. One that is empty makes
    the whole column unreadable (pyarrow 25), so that it is not looked at where it is not needed."""
    return bool(pa.types.is_fixed_size_list(found)) and found.list_size > 2 and not is_text(found.value_type)


def is_text(found: pa.DataType) -> bool:
    """Whether a column holds text."""
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(found) for check in checks)


def decimals(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Numbers of 32 bits as the decimals that they stand for: 0.9, not 0.8999999762, which a bound of 0.9 refuses."""
    return column.cast(pa.string()).cast(pa.float64()) if pa.types.is_float32(column.type) else column


def why_unreadable(error: Exception) -> str:
    """What keeps pyarrow from reading a file, in a line."""
    said = str(error).splitlines()[0]
    if said.startswith("Expected all lists to be of size"):
        return (
            "pyarrow reads no column of fixed-size lists in which one is empty; write it as lists of any length, as "
            "pyarrow does with store_schema=False"
        )
    return f"not valid Parquet: {said}"


def _is_list(found: pa.DataType) -> bool:
    return any(
        check(found)
        for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    )


def _is_time(found: pa.DataType) -> bool:
    """Whether a column holds lengths of time, or times of day, which are the same since midnight."""
    return bool(pa.types.is_duration(found) or pa.types.is_time(found))


def _seconds(column: pa.Array) -> pa.Array:
    """A column of times as seconds."""
    whole = column.cast(pa.int32() if pa.types.is_time32(column.type) else pa.int64()).cast(pa.int64())
    return pc.divide(whole.cast(pa.float64(), safe=False), _PER_SECOND[column.type.unit])


def _check_type(where: str, name: str, kind: ColumnKind, found: pa.DataType) -> None:
    if pa.types.is_dictionary(found):
        found = found.value_type
    empty, whole = pa.types.is_null(found), pa.types.is_integer(found)
    text = whole or empty or is_text(found)
    number = whole or empty or pa.types.is_floating(found) or pa.types.is_decimal(found)
    fits = {
        "text": text,
        "texts": text or _is_list(found),
        "number": number,
        "moment": number or text or _is_time(found),
        "any": True,
        "list": empty or _is_list(found) or is_text(found),
    }
    if not fits[kind]:
        expected = "text, or a list of texts" if kind == "texts" else kind
        raise ConfigurationError(f"{where}: column '{name}' is of type {found}, expected {expected}")


def _column(column: pa.Array) -> list[Any]:
    """A column's values; text is decoded like that of a CSV, so that undecodable bytes affect one row only."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if _is_time(column.type):
        column = _seconds(column)
    if is_text(column.type):
        raw = column.cast(pa.large_binary()).to_pylist()
        return [value if value is None else value.decode("utf-8", "surrogateescape") for value in raw]
    if pa.types.is_decimal(column.type):
        return [None if value is None else float(value) for value in column.to_pylist()]
    try:
        values = decimals(column).to_pylist()
    except UnicodeDecodeError:  # inside a list or a record
        return [_one(column, number) for number in range(len(column))]
    if pa.types.is_floating(column.type):
        return [None if value is None or math.isnan(value) else value for value in values]
    return list(values)


def _one(column: pa.Array, number: int) -> Any:
    try:
        return column[number].as_py()
    except UnicodeDecodeError:
        return BadValue("bytes that are not UTF-8 text")
