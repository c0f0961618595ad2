"""The tables that list what ingest made: the manifest, ``rejects.parquet`` and ``clip_rejects.parquet``.

The manifest, which may be large, is a folder of parts (walt/data/partitions.py), and most readers read it part by part.
Rows are dataclasses; the Parquet schema follows from their fields, and from the measures that ingest computes for each
clip. Names of sources are stored as given, but bytes that are not UTF-8 are written as ``\\xff``, so that every reader
of Parquet can show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet
from walt.data.captions import Caption
from walt.data.partitions import (
    PARTS_INDEX,
    Part,
    check_columns,
    part_columns,
    read_part,
    read_parts,
    row_schema,
    with_measures,
    write_parts,
    write_table,
)
from walt.data.written_captions import CAPTIONS_TYPE, WrittenCaptions, with_written

Value = float | str | None
"""A measure of a clip; None: it does not apply to this clip."""
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
    """Its name in the dataset."""
    source_sha256: str
    start_seconds: float
    """After the source's first frame."""
    end_seconds: float
    num_frames: int
    captions: tuple[Caption, ...]
    """In the order of the dataset's own lists, none of them empty; no captions: unconditional."""
    caption_truncated: bool
    """Whether one of them was longer than allowed."""
    label: int | None
    shard: int
    """Number of the tar, in each size's folder."""
    sha256: str
    """Hash of its picture file in the largest size."""
    sizes: str | None = None
    """Folders of the sizes in which it is stored, joined by commas: ``128x128,128x224``; None: every size."""
    source_height: int | None = None
    """Height of the source as it is shown: upright, in square pixels."""
    source_width: int | None = None
    source_fps: float | None = None
    """Average rate by its header; None: a still, or the header does not say."""
    source_seconds: float | None = None
    """Length by its header; None as above."""
    group: str | None = None
    """The recording that its source was cut from, which is on one side of the split; None: nothing says it."""
    measures: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """Measures of the clip, one column each (``walt.ingest.clip_filters``), then the columns that the user brings
    (``walt.ingest.user_columns``)."""

    @property
    def caption(self) -> str | None:
        """The text of its first caption; None: unconditional."""
        return self.captions[0].text if self.captions else None


@dataclass(frozen=True)
class RejectRow:
    """One input that was refused."""

    source: str
    sha256: str | None
    """Hash of its bytes; None if they were not read."""
    stage: str
    code: str
    """Short and stable: ``missing``, ``no_caption``, ``duplicate``, ``truncated`` ..."""
    cause: str
    """One line for people."""


@dataclass(frozen=True)
class ClipRejectRow:
    """One clip that was refused; its source was accepted for its other clips, or rejected if it had no others.

    Its measures are in columns with the same names as in the manifest.
    """

    key: str
    source: str
    source_sha256: str
    start_seconds: float
    stage: str
    code: str
    """Code of the rule that refused it (``walt.ingest.clip_filters``), or ``near_duplicate``."""
    cause: str
    duplicate_of: str | None
    """For a near-duplicate, the key of the clip that was kept."""
    measures: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """As in the manifest."""


MEMBER = "member"
"""A further column, which only the manifest of a union has: the member that each clip's source is of."""
_MEASURES = "measures"
_CAPTIONS = "captions"
MANIFEST_SCHEMA = row_schema(ManifestRow, _MEASURES, {_CAPTIONS: CAPTIONS_TYPE})
"""The columns that every such table has; the columns of the measures follow them. So does the next one."""
CLIP_REJECTS_SCHEMA = row_schema(ClipRejectRow, _MEASURES)
REJECTS_SCHEMA = row_schema(RejectRow)

_ROWS_AT_A_TIME = 1 << 12
"""Rows that exist as Python objects at the same time, where rows are read one by one."""

RowT = TypeVar("RowT", ManifestRow, RejectRow, ClipRejectRow)


def write_manifest(
    folder: Path, parts: Iterable[tuple[int, Iterable[ManifestRow]]], measures: MeasureColumns = NO_MEASURES
) -> None:
    """Bring the manifest up to date. The same rows give the same bytes, and parts that are correct stay untouched.

    Args:
        parts: number and rows of each part.
        measures: names and types of the measures that every row has.

    Raises:
        StorageError: the disk is full or read-only.
    """
    schema = with_measures(MANIFEST_SCHEMA, measures)
    write_parts(folder, ((number, _flat(rows, MANIFEST_SCHEMA, measures)) for number, rows in parts), schema)


def write_rejects(path: Path, rows: Iterable[RejectRow]) -> None:
    """Write the rejects table, sorted by source, code and cause. Raises StorageError."""
    ordered = sorted(rows, key=lambda row: (row.source, row.code, row.cause))
    write_table(path, (asdict(row) for row in ordered), REJECTS_SCHEMA)


def write_clip_rejects(path: Path, rows: Iterable[ClipRejectRow], measures: MeasureColumns = NO_MEASURES) -> None:
    """Write the table of refused clips, sorted by source, start and key; ``measures`` as for ``write_manifest``.

    Raises StorageError.
    """
    ordered = sorted(rows, key=lambda row: (row.source, row.start_seconds, row.key))
    write_table(path, _flat(ordered, CLIP_REJECTS_SCHEMA, measures), with_measures(CLIP_REJECTS_SCHEMA, measures))


def has_manifest(folder: Path) -> bool:
    """Whether the folder contains a finished manifest."""
    return (folder / PARTS_INDEX).is_file()


def count_manifest(folder: Path) -> int:
    """Number of rows, by the manifest's index. Raises StorageError (missing) or CorruptArtifactError (damaged)."""
    return sum(part.rows for part in read_parts(folder))


def read_manifest(folder: Path) -> list[ManifestRow]:
    """All rows, in stored order: more than 1 kB of memory per row. Raises as ``iterate_manifest``."""
    return list(iterate_manifest(folder))


def iterate_manifest(folder: Path) -> Iterator[ManifestRow]:
    """All rows, in stored order, with one row group in memory at a time.

    Raises StorageError (missing) or CorruptArtifactError (damaged, other columns).
    """
    for groups in manifest_parts(folder):
        yield from rows_of(groups)


def rows_of(tables: Iterable[pa.Table]) -> Iterator[ManifestRow]:
    """The rows of row groups with all columns."""
    for table in tables:
        for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
            yield from _rows(batch, MANIFEST_SCHEMA, ManifestRow)


def iterate_columns(folder: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The values of all rows in these columns. Otherwise as ``iterate_manifest``."""
    for groups in manifest_parts(folder, columns):
        yield from values_of(groups, columns)


def manifest_parts(folder: Path, columns: Sequence[str] | None = None) -> Iterator[Iterator[pa.Table]]:
    """The row groups of each part, with these columns, or with all. Raises as ``iterate_manifest``.

    Captions that were written after ingest are in the place of the manifest's own (``walt/data/written_captions.py``).
    """
    written = WrittenCaptions(folder)
    return (_described(folder, part, written, columns) for part in read_parts(folder))


def manifest_parts_as_ingested(folder: Path) -> Iterator[tuple[Part, Iterator[pa.Table]]]:
    """Each part with its row groups, with the captions that ingest found. Raises as ``iterate_manifest``."""
    return ((part, read_part(folder, part, MANIFEST_SCHEMA, measures=True)) for part in read_parts(folder))


def _described(
    folder: Path, part: Part, written: WrittenCaptions, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    rows = written.of(part.part) if columns is None or _CAPTIONS in columns else {}
    wanted = columns if columns is None or not rows else [*dict.fromkeys([*columns, "key"])]
    for table in read_part(folder, part, MANIFEST_SCHEMA, wanted, measures=True):
        described = with_written(table, rows)
        yield described if columns is None else described.select(columns)


def values_of(tables: Iterable[pa.Table], columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values in these columns, row by row; captions as in ``ManifestRow``."""
    for table in tables:
        for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
            yield from zip(*(_values(batch, name) for name in columns), strict=True)


def manifest_columns(folder: Path) -> list[str]:
    """The names of its columns; none where it has no clips. Raises as ``iterate_manifest``."""
    parts = read_parts(folder)
    return part_columns(folder, parts[0]) if parts else []


def caption_names(folder: Path) -> set[str]:
    """The names of all captions. Raises as ``iterate_manifest``."""
    found: set[str] = set()
    for groups in manifest_parts(folder, (_CAPTIONS,)):
        for table in groups:
            found.update(pc.struct_field(pc.list_flatten(table[_CAPTIONS]), "name").unique().to_pylist())
    return found


def read_manifest_rows(folder: Path, places: Iterable[int]) -> list[ManifestRow]:
    """The rows at these positions in stored order, from 0. Only parts that contain one are read.

    Raises as ``iterate_manifest``; KeyError: there is no such position.
    """
    places = list(places)
    found: dict[int, ManifestRow] = {}
    written = WrittenCaptions(folder)
    start = 0
    for part in read_parts(folder):
        if any(start <= place < start + part.rows for place in places):
            begin = start
            for table in _described(folder, part, written):
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
    check_parquet(path)
    try:
        return set(pq.read_table(path, columns=["source"], partitioning=None).column("source").to_pylist())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error


def _flat(
    rows: Iterable[ManifestRow] | Iterable[ClipRejectRow], schema: pa.Schema, measures: MeasureColumns
) -> Iterator[dict[str, Any]]:
    """Rows with their measures as further columns."""
    for row in rows:
        assert row.measures.keys() == measures.keys(), f"measures {[*row.measures]}, expected {[*measures]}"
        values = {name: getattr(row, name) for name in schema.names} | dict(row.measures)
        if _CAPTIONS in values:
            values[_CAPTIONS] = [caption._asdict() for caption in values[_CAPTIONS]]
        yield values


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    column = batch.column(name)
    if name != _CAPTIONS:
        values: list[Any] = column.to_pylist()
        return values
    flat = pc.list_flatten(column)  # a fraction of the time that to_pylist takes for lists of structs
    captions = map(Caption, *(pc.struct_field(flat, field).to_pylist() for field in Caption._fields))
    return [tuple(islice(captions, count)) for count in pc.list_value_length(column).to_pylist()]


def _captions(stored: Iterable[Mapping[str, str]]) -> tuple[Caption, ...]:
    return tuple(Caption(**caption) for caption in stored)


def _rows(table: pa.Table | pa.RecordBatch, schema: pa.Schema, row_type: type[RowT]) -> Iterator[RowT]:
    """The rows of a table; the columns after those of the schema are measures."""
    further = table.schema.names[len(schema) :]
    for values in table.to_pylist():
        if further:
            values[_MEASURES] = {name: values.pop(name) for name in further}
        if _CAPTIONS in values:
            values[_CAPTIONS] = _captions(values[_CAPTIONS])
        yield row_type(**values)


def _read(path: Path, schema: pa.Schema, row_type: type[RowT], *, measures: bool = False) -> list[RowT]:
    if not path.is_file():
        raise StorageError(f"{path}: no such file")
    check_parquet(path)
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error
    check_columns(path, table.schema, schema, measures=measures)
    return list(_rows(table, schema, row_type))
