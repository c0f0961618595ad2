"""A table as a folder of Parquet files, its parts, so that what changes little by little is written little by little.

``part-000000.parquet`` ... hold the rows; ``_index.json``, written last, names the parts in their order, with rows,
bytes and SHA-256 of each. Readers here believe the index, not the folder: a part that it does not name does not exist,
and one that differs from it is an error. pyarrow, pandas and others read the folder as one table: to them a name that
begins with ``_`` is none of its files.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import atomic_write, keep_only, storage_errors, verify_file, write_bytes

PARTS_INDEX = "_index.json"

_ROWS_PER_GROUP = 1 << 15


@dataclass(frozen=True)
class Part:
    """What the index says of one file."""

    part: str
    """File name inside the folder."""
    rows: int
    bytes: int
    sha256: str


def part_name(number: int) -> str:
    """``part-000000.parquet``."""
    return f"part-{number:06d}.parquet"


def write_parts(folder: Path, parts: Iterable[tuple[int, Iterable[dict[str, Any]]]], schema: pa.Schema) -> None:
    """Bring a folder up to date: parts that are right stay untouched, the others are written or removed.

    The index goes before the first change and comes back last, so that none vouches for parts of another time. One
    part at a time is in memory, in its compressed form.

    Args:
        parts: number and rows of each. The same rows in the same order give the same bytes.

    Raises:
        StorageError: the disk is full or read-only; a rerun goes on.
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
    """What the index names, in its order.

    Raises:
        StorageError: there is none: nothing was finished.
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
    """The rows of one part, or some of their columns, a row group at a time.

    Args:
        measures: whether further columns may follow those of the schema, as ``check_columns`` has it.

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


def check_columns(path: Path, found: pa.Schema, expected: pa.Schema, *, measures: bool = False) -> None:
    """Raise CorruptArtifactError where a file's columns are not those of its kind of table.

    Args:
        measures: whether columns of numbers or text, whatever their names, may follow the expected ones.
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


def row_schema(row_type: type, without: str | None = None) -> pa.Schema:
    """The columns of a table whose rows are dataclasses of this type; a field that may be None is nullable.

    Args:
        without: a field that is not a column.
    """
    hints = [(name, hint) for name, hint in get_type_hints(row_type).items() if name != without]
    return pa.schema(
        [pa.field(name, _ARROW_TYPES[hint], nullable=type(None) in get_args(hint)) for name, hint in hints]
    )


def with_measures(schema: pa.Schema, measures: Mapping[str, type[float | str]]) -> pa.Schema:
    """A schema with nullable columns for these measures after its own."""
    columns = [pa.field(name, _ARROW_TYPES[kind], nullable=True) for name, kind in measures.items()]
    return pa.schema([*schema, *columns])


def write_groups(stream: IO[bytes], rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write one Parquet file, a row group at a time, so that rows need never be in memory together; their number."""
    rows, count = iter(rows), 0
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        while group := list(islice(rows, _ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _encoded(number: int, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> tuple[Part, memoryview]:
    """A part as the index will name it, and its file's bytes."""
    stream = io.BytesIO()
    count = write_groups(stream, rows, schema)
    data = stream.getbuffer()
    return Part(part_name(number), count, len(data), hashlib.sha256(data).hexdigest()), data


def _known_parts(folder: Path) -> tuple[Part, ...]:
    """What is there; nothing, where that cannot be said."""
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
    """The index as it is stored: of the same parts always the same bytes."""
    entries = [asdict(part) for part in parts]
    return (json.dumps({"parts": entries, "sha256": sha256_json(entries)}, indent=1) + "\n").encode()
