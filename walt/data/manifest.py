"""The tables that say what ingest made: the manifest, ``rejects.parquet``, ``clip_rejects.parquet`` and
``clips.parquet``.

The manifest, which may be large, is a folder of parts (walt/data/partitions.py), and most readers take it part by part.
Rows are dataclasses; the Parquet schema follows from their fields, and from the measures that ingest takes of each
clip. Names of sources stand as given; bytes in them that are not UTF-8 are written as ``\\xff``, so that every reader
of Parquet can show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import atomic_write
from walt.data.partitions import (
    PARTS_INDEX,
    check_columns,
    read_part,
    read_parts,
    row_schema,
    with_measures,
    write_groups,
    write_parts,
)

Value = float | str | None
"""What was measured of a clip; None: it means nothing for this one."""
MeasureColumns = Mapping[str, type[float] | type[str]]
NO_MEASURES: MeasureColumns = {}


@dataclass(frozen=True)
class ManifestRow:
    """One clip."""

    key: str
    kind: str
    """``video`` or ``image``."""
    split: str
    """``train`` or ``held_out``."""
    source: str
    """Path as the dataset gives it."""
    source_sha256: str
    start_seconds: float
    """After the source's first frame."""
    end_seconds: float
    num_frames: int
    caption: str | None
    """None: unconditional."""
    caption_truncated: bool
    label: int | None
    shard: int
    """Number of the tar, in each size's folder."""
    sha256: str
    """Of the picture member of the largest size."""
    sizes: str | None = None
    """Folders that hold it, joined by commas: ``128x128,128x224``; None: every one."""
    source_height: int | None = None
    """Of the source as it is shown: upright, in square pixels."""
    source_width: int | None = None
    source_fps: float | None = None
    """By its header; None: a still, or the header does not say. So is the next one."""
    source_seconds: float | None = None
    measures: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """What was measured of the clip, a column each; which ones there are is for ``walt.ingest.clip_filters`` to say."""


@dataclass(frozen=True)
class RejectRow:
    """One input that was refused."""

    source: str
    sha256: str | None
    """Of its bytes; None where they were not read."""
    stage: str
    code: str
    """Short and stable: ``missing``, ``no_caption``, ``duplicate``, ``truncated`` ..."""
    cause: str
    """One line for people."""


@dataclass(frozen=True)
class ClipRejectRow:
    """One clip that was refused, of a source that was accepted for its other clips or rejected for want of any.

    What was measured stands in the columns of the same names in the manifest.
    """

    key: str
    source: str
    source_sha256: str
    start_seconds: float
    stage: str
    code: str
    """That of the rule which refused it (``walt.ingest.clip_filters``), or ``near_duplicate``."""
    cause: str
    duplicate_of: str | None
    """Key of the clip that stayed, for a near-duplicate."""
    measures: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """As in the manifest."""


_MEASURES = "measures"
MANIFEST_SCHEMA, CLIP_REJECTS_SCHEMA = (row_schema(row_type, _MEASURES) for row_type in (ManifestRow, ClipRejectRow))
"""The columns that every such table has; those of the measures follow."""
REJECTS_SCHEMA = row_schema(RejectRow)

_ROWS_AT_A_TIME = 1 << 12
"""That are Python objects together, where rows are looked at one after the other."""

RowT = TypeVar("RowT", ManifestRow, RejectRow, ClipRejectRow)


def write_manifest(
    folder: Path, parts: Iterable[tuple[int, Iterable[ManifestRow]]], measures: MeasureColumns = NO_MEASURES
) -> None:
    """Bring the manifest up to date: number and rows of each part. The same rows give the same bytes, and what is right
    stays untouched.

    Args:
        measures: names and types of the columns that every row's ``measures`` fill.

    Raises:
        StorageError: the disk is full or read-only.
    """
    schema = with_measures(MANIFEST_SCHEMA, measures)
    write_parts(folder, ((number, _flat(rows, MANIFEST_SCHEMA, measures)) for number, rows in parts), schema)


def write_rejects(path: Path, rows: Iterable[RejectRow]) -> None:
    """Write the rejects table, sorted by source, code and cause. Raises StorageError."""
    ordered = sorted(rows, key=lambda row: (row.source, row.code, row.cause))
    _write(path, (asdict(row) for row in ordered), REJECTS_SCHEMA)


def write_clip_rejects(path: Path, rows: Iterable[ClipRejectRow], measures: MeasureColumns = NO_MEASURES) -> None:
    """Write the table of refused clips, sorted by source, start and key; ``measures`` as for ``write_manifest``.

    Raises StorageError.
    """
    ordered = sorted(rows, key=lambda row: (row.source, row.start_seconds, row.key))
    _write(path, _flat(ordered, CLIP_REJECTS_SCHEMA, measures), with_measures(CLIP_REJECTS_SCHEMA, measures))


def has_manifest(folder: Path) -> bool:
    """Whether a finished one is there."""
    return (folder / PARTS_INDEX).is_file()


def count_manifest(folder: Path) -> int:
    """How many rows it has, by its index. Raises StorageError (missing) or CorruptArtifactError (damaged)."""
    return sum(part.rows for part in read_parts(folder))


def read_manifest(folder: Path) -> list[ManifestRow]:
    """All rows, in stored order: more than a kB each. Raises as ``iterate_manifest``."""
    return list(iterate_manifest(folder))


def iterate_manifest(folder: Path) -> Iterator[ManifestRow]:
    """All rows, in stored order, with a row group in memory at a time.

    Raises StorageError (missing) or CorruptArtifactError (damaged, other columns).
    """
    for groups in manifest_parts(folder):
        for table in groups:
            for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
                yield from _rows(batch, MANIFEST_SCHEMA, ManifestRow)


def iterate_columns(folder: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Of all rows the values in these columns. Otherwise as ``iterate_manifest``."""
    for groups in manifest_parts(folder, columns):
        yield from values_of(groups, columns)


def manifest_parts(folder: Path, columns: Sequence[str] | None = None) -> Iterator[Iterator[pa.Table]]:
    """Of each part its row groups, with these columns, or with all. Raises as ``iterate_manifest``."""
    return (read_part(folder, part, MANIFEST_SCHEMA, columns, measures=True) for part in read_parts(folder))


def values_of(tables: Iterable[pa.Table], columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of tables, one after the other, as the values in these columns."""
    for table in tables:
        for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def read_manifest_rows(folder: Path, places: Iterable[int]) -> list[ManifestRow]:
    """The rows at these places in stored order, from 0. Only parts that hold one are read.

    Raises as ``iterate_manifest``; KeyError: there is no such place.
    """
    places = list(places)
    found: dict[int, ManifestRow] = {}
    start = 0
    for part in read_parts(folder):
        if any(start <= place < start + part.rows for place in places):
            begin = start
            for table in read_part(folder, part, MANIFEST_SCHEMA, measures=True):
                for place in places:
                    if begin <= place < begin + len(table):
                        (found[place],) = _rows(table.slice(place - begin, 1), MANIFEST_SCHEMA, ManifestRow)
                begin += len(table)
        start += part.rows
    return [found[place] for place in places]


def read_rejects(path: Path) -> list[RejectRow]:
    """All rows, in stored order. Raises StorageError (missing) or CorruptArtifactError (damaged, other columns)."""
    return _read(path, REJECTS_SCHEMA, RejectRow)


def read_clip_rejects(path: Path) -> list[ClipRejectRow]:
    """All rows, in stored order. Raises StorageError (missing) or CorruptArtifactError (damaged, other columns)."""
    return _read(path, CLIP_REJECTS_SCHEMA, ClipRejectRow, measures=True)


def read_sources(path: Path) -> set[str]:
    """The names in the column ``source`` of the manifest or of a table of rejects. Raises CorruptArtifactError."""
    if path.is_dir():
        return {source for (source,) in iterate_columns(path, "source")}
    try:
        return set(pq.read_table(path, columns=["source"], partitioning=None).column("source").to_pylist())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error


def _write(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    with atomic_write(path, keep_equal=True) as stream:
        write_groups(stream, rows, schema)


def _flat(
    rows: Iterable[ManifestRow] | Iterable[ClipRejectRow], schema: pa.Schema, measures: MeasureColumns
) -> Iterator[dict[str, Any]]:
    """Rows with their measures as further columns."""
    for row in rows:
        assert row.measures.keys() == measures.keys(), f"measures {[*row.measures]}, expected {[*measures]}"
        yield {name: getattr(row, name) for name in schema.names} | dict(row.measures)


def _rows(table: pa.Table | pa.RecordBatch, schema: pa.Schema, row_type: type[RowT]) -> Iterator[RowT]:
    """The rows of a table; what follows the schema's columns are measures."""
    further = table.schema.names[len(schema) :]
    for values in table.to_pylist():
        if further:
            values[_MEASURES] = {name: values.pop(name) for name in further}
        yield row_type(**values)


def _read(path: Path, schema: pa.Schema, row_type: type[RowT], *, measures: bool = False) -> list[RowT]:
    if not path.is_file():
        raise StorageError(f"{path}: no such file")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error
    check_columns(path, table.schema, schema, measures=measures)
    return list(_rows(table, schema, row_type))
