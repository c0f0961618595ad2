"""A table as a folder of Parquet files, its parts, so that a small change writes only a small part of the table.

``part-000000.parquet`` ... contain the rows; ``_index.json``, written last, names the parts in their order, with rows,
bytes and SHA-256 of each. Readers here trust the index, not the folder: a part that it does not name is ignored, and
one that differs from it is an error. pyarrow, pandas and others read the folder as one table, since they ignore names
that begin with ``_``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import parquet_writer
from walt.core.storage import atomic_write, keep_only, storage_errors, verify_file, write_bytes

PARTS_INDEX = "_index.json"

_ROWS_PER_GROUP = 1 << 15


@dataclass(frozen=True)
class Part:
    """What the index says about one file."""

    part: str
    """File name inside the folder."""
    rows: int
    bytes: int
    sha256: str


def part_name(number: int) -> str:
    """``part-000000.parquet``."""
    return f"part-{number:06d}.parquet"


def write_parts(folder: Path, parts: Iterable[tuple[int, Iterable[dict[str, Any]]]], schema: pa.Schema) -> None:
    """Bring a folder up to date: parts that are correct stay untouched, the others are written or removed.

    The index is removed before the first change and written again last, so that it never names outdated parts. One part
    at a time is in memory, compressed.

    Args:
        parts: number and rows of each. The same rows in the same order give the same bytes.

    Raises:
        StorageError: the disk is full or read-only; a rerun continues.
    """
    before = _known_parts(folder)
    known, written = set(before), list[Part]()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, rows in parts:
            part, data = _encoded(number, rows, schema)
            if part not in known:
                (folder / PARTS_INDEX).unlink(missing_ok=True)
            if not _is_there(folder, part):
                write_bytes(folder / part.part, data)
            written.append(part)
        if tuple(written) != before:
            (folder / PARTS_INDEX).unlink(missing_ok=True)
        keep_only(folder, {PARTS_INDEX, *(part.part for part in written)})
        with atomic_write(folder / PARTS_INDEX, keep_equal=True) as stream:
            stream.write(_index_bytes(tuple(written)))


def read_parts(folder: Path) -> tuple[Part, ...]:
    """The parts that the index names, in its order.

    Raises:
        StorageError: there is no index: nothing was finished.
        CorruptArtifactError: it cannot be read, or differs from its own digest.
    """
    path = folder / PARTS_INDEX
    if not path.is_file():
        raise StorageError(f"{path}: no such file")
    data = path.read_bytes()
    try:
        parts = tuple(Part(**entry) for entry in json.loads(data)["parts"])
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error
    if data != _index_bytes(parts):
        raise CorruptArtifactError(f"{path}: differs from its own digest")
    return parts


def read_part(
    folder: Path, part: Part, schema: pa.Schema, columns: Sequence[str] | None = None, *, measures: bool = False
) -> Iterator[pa.Table]:
    """The rows of one part, or some of their columns, one row group at a time.

    Args:
        measures: whether more columns may follow those of the schema, see ``check_columns``.

    Raises:
        CorruptArtifactError: the part is not what the index says.
    """
    path = verify_file(folder / part.part, part.bytes, part.sha256)
    try:
        with pq.ParquetFile(path) as file:
            check_columns(path, file.schema_arrow, schema, measures=measures)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error


def part_columns(folder: Path, part: Part) -> list[str]:
    """The names of a part's columns. Raises as ``read_part``."""
    path = verify_file(folder / part.part, part.bytes, part.sha256)
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error
    return names


def check_columns(path: Path, found: pa.Schema, expected: pa.Schema, *, measures: bool = False) -> None:
    """Raise CorruptArtifactError if a file's columns are not those of its kind of table.

    Args:
        measures: whether columns of numbers or text with any names may follow the expected ones.
    """
    first, further = list(found)[: len(expected)], list(found)[len(expected) :]
    are_measures = measures and all(field.nullable and field.type in _MEASURE_TYPES for field in further)
    if first != list(expected) or (further and not are_measures):
        raise CorruptArtifactError(f"{path}: columns {found.names}, expected {expected.names}")


_ARROW_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(),
    str | None: pa.string(), int | None: pa.int64(), float | None: pa.float64(),
}  # fmt: skip


_MEASURE_TYPES = (pa.float64(), pa.string())


def row_schema(
    row_type: type, without: str | None = None, types: Mapping[str, pa.DataType] = MappingProxyType({})
) -> pa.Schema:
    """The columns of a table whose rows are dataclasses of this type; a field that may be None is nullable.

    Args:
        without: a field that is not a column.
        types: of fields that are neither numbers nor text.
    """
    hints = [(name, hint) for name, hint in get_type_hints(row_type).items() if name != without]
    return pa.schema(
        [
            pa.field(name, types.get(name) or _ARROW_TYPES[hint], nullable=type(None) in get_args(hint))
            for name, hint in hints
        ]
    )


def with_measures(schema: pa.Schema, measures: Mapping[str, type[float | str]]) -> pa.Schema:
    """A schema with nullable columns for these measures after its own."""
    columns = [pa.field(name, _ARROW_TYPES[kind], nullable=True) for name, kind in measures.items()]
    return pa.schema([*schema, *columns])


def write_table(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    """Write a table as one file that holds its own digest (``walt.core.own_digest``), atomically, with one row group in
    memory at a time; a file that is equal stays untouched. Raises StorageError."""
    with parquet_writer(path, schema, keep_equal=True, compression="zstd") as writer:
        _write_groups(writer, rows, schema)


def _write_groups(writer: pq.ParquetWriter, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write rows, with one row group in memory at a time. Returns their number."""
    rows, count = iter(rows), 0
    while group := list(islice(rows, _ROWS_PER_GROUP)):
        writer.write_table(pa.Table.from_pylist(group, schema=schema))
        count += len(group)
    return count


def _encoded(number: int, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> tuple[Part, memoryview]:
    """A part's entry in the index, and its file's bytes."""
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        count = _write_groups(writer, rows, schema)
    data = stream.getbuffer()
    return Part(part_name(number), count, len(data), hashlib.sha256(data).hexdigest()), data


def _known_parts(folder: Path) -> tuple[Part, ...]:
    """The parts in the folder's index; none if the index is missing or damaged."""
    try:
        return read_parts(folder)
    except (StorageError, CorruptArtifactError):
        return ()


def _is_there(folder: Path, part: Part) -> bool:
    try:
        verify_file(folder / part.part, part.bytes, part.sha256)
    except CorruptArtifactError:
        return False
    return True


def _index_bytes(parts: tuple[Part, ...]) -> bytes:
    """The bytes of the index: the same parts always give the same bytes."""
    entries = [asdict(part) for part in parts]
    return (json.dumps({"parts": entries, "sha256": sha256_json(entries)}, indent=1) + "\n").encode()
