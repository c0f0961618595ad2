"""Parquet tables that hold the files themselves: a column of bytes, or of ``{bytes, path}`` as Hugging Face writes it.

Only the other columns are read here. A worker reads the bytes of its row in place (``parquet_cells``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.core.suggestions import did_you_mean
from walt.data.captions import Caption
from walt.ingest.sources.classes import labels_by_name, unknown_class
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Refusal, leaves_folder
from walt.ingest.sources.kinds import ParquetBytes
from walt.ingest.sources.locations import cell_location
from walt.ingest.sources.named_splits import split_by_globs
from walt.ingest.sources.parquet_cells import open_table
from walt.ingest.tables.cells import BadValue, convert
from walt.ingest.tables.fields import getter, root
from walt.ingest.tables.parquet_table import is_text, why_unreadable

_BATCH = 4096
_LANCE = "is Lance, which is not read: export it to Parquet (`lance.dataset(PATH).to_batches()` into a ParquetWriter)"


@dataclass(frozen=True)
class _Columns:
    """Where a table's values are, by their paths in its schema."""

    data: str
    """The bytes."""
    path: str | None
    """The name of the file; None: it has none."""
    beside: bool
    """Whether the path is that of a struct, and stands for a file where there are no bytes."""
    captions: tuple[str, ...]
    """Columns that captions are in."""


def entries(source: ParquetBytes, dataset: Dataset) -> Iterator[Entry]:
    """List the rows of all tables as ``TABLE::ROW``, followed by ``/NAME`` where the file has a name.

    Refusals: ``missing`` (neither bytes nor a file), ``outside``, ``unknown_class``, ``bad_caption``, ``bad_number``,
    and those of ``Rules.item``.

    Raises:
        ConfigurationError: a table is missing, is not Parquet, lacks a column or has one of another type; a table is
            in no split; labels without classes.
    """
    labels = None if source.label_column is None else labels_by_name(dataset.classes, source.kind)
    for pattern in source.tables:
        if ".lance" in PurePosixPath(pattern).suffixes:
            raise ConfigurationError(f"{dataset.folder.location(pattern)}: {_LANCE}")
        tables = dataset.folder.matching(pattern)
        if not tables:
            raise ConfigurationError(f"{dataset.folder.location(pattern)}: no such file (source.tables)")
        for table in tables:
            yield from _Table(table, source, dataset, labels).entries()


class _Table:
    """One table."""

    def __init__(self, table: str, source: ParquetBytes, dataset: Dataset, labels: dict[str, int] | None) -> None:
        self._table, self._source, self._dataset, self._labels = table, source, dataset, labels
        self._where = dataset.folder.location(table)
        self._split = split_by_globs(table, source.split)

    def entries(self) -> Iterator[Entry]:
        try:
            with self._dataset.folder.open(self._table) as stream:
                file = open_table(stream)
                columns = find_columns(self._where, file.schema_arrow, self._source)
                number = 0
                for group in range(file.num_row_groups):
                    empty = _empty_rows(file, group, columns.data)
                    for row, cells in enumerate(self._rows(file, group, columns)):
                        yield self._entry(cells, columns, (group, row, number), row in empty)
                        number += 1
        except (pa.ArrowException, OSError) as error:
            raise ConfigurationError(f"{self._where}: {why_unreadable(error)}") from None

    def _rows(self, file: pq.ParquetFile, group: int, columns: _Columns) -> Iterator[dict[str, object]]:
        """The values of a group's rows, by column, the bytes left out."""
        source = self._source
        names = dict.fromkeys((columns.path, *columns.captions, source.label_column, *source.number_columns), "")
        wanted = [name for name in names if name is not None]
        num_rows = file.metadata.row_group(group).num_rows
        if not wanted:
            yield from ({} for _ in range(num_rows))
            return
        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=wanted, use_threads=False):
            found = {name: _values(_leaf(batch, name)) for name in wanted}
            yield from (dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True))

    def _entry(self, cells: dict[str, object], columns: _Columns, at: tuple[int, int, int], is_empty: bool) -> Entry:
        source, (group, row, number) = self._source, at
        path = cells.get(columns.path) if columns.path else None
        path = path if isinstance(path, str) else None
        name = f"{self._table}::{number}" + (f"/{PurePosixPath(path).name}" if path else "")
        location = cell_location(self._where, group, row, columns.data)
        if is_empty:
            if not path or not columns.beside:
                return Refusal(name, "missing", "the row holds no bytes")
            if leaves_folder(path):
                return Refusal(name, "outside", "the row holds no bytes, and its path leaves the dataset's folder")
            if not self._dataset.folder.has(path):
                return Refusal(name, "missing", "the row holds no bytes, and its path is that of no file")
            location = self._dataset.folder.location(path)
        label = self._label(cells.get(source.label_column)) if source.label_column else None
        if isinstance(label, str):
            return Refusal(name, "unknown_class", label)
        captions = []
        for column in source.caption_columns:
            texts = convert(getter(column)(cells), "texts")
            if isinstance(texts, BadValue):
                return Refusal(name, "bad_caption", f"'{column}' holds something that is not a text: {texts.cause}")
            captions += [Caption(column, text) for text in texts or ()]
        numbers = {column: _number(cells[column]) for column in source.number_columns}
        for column, value in numbers.items():
            if value is not None and not math.isfinite(value):
                return Refusal(name, "bad_number", f"'{column}' is not a finite number")
        nameless = "x.png" if source.media == "image" else "x.mp4"
        return self._dataset.rules.item(
            name, location, captions, label=label, split=self._split,
            name=path if path and PurePosixPath(path).suffix else nameless, numbers=numbers or None,
        )  # fmt: skip

    def _label(self, value: object) -> int | str | None:
        """A class, or why it is none."""
        assert self._labels is not None
        if value is None or value == "":
            return None
        label = value if isinstance(value, int) else self._labels.get(str(value), -1)
        return label if 0 <= label < len(self._labels) else unknown_class(str(value), self._labels)


def find_columns(where: str, schema: pa.Schema, source: ParquetBytes) -> _Columns:
    """Where the table's values are.

    Raises:
        ConfigurationError: a column is missing (the most similar is suggested), or has another type.
    """
    captions = tuple(dict.fromkeys(name if name in schema.names else root(name) for name in source.caption_columns))
    others = (source.name_column, *captions, source.label_column, *source.number_columns)
    for name in (source.column, *(name for name in others if name is not None)):
        if schema.names.count(name) != 1:
            known = printable(", ".join(schema.names))
            hint = did_you_mean(name, schema.names)
            raise ConfigurationError(f"{where}: no column '{name}'{hint} (columns: {known})")
    for name in source.number_columns:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            raise ConfigurationError(f"{where}: column '{name}' is of type {kind}, expected a number")
    kind = schema.field(source.column).type
    if is_bytes(kind):
        return _Columns(source.column, source.name_column, False, captions)
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and is_bytes(kind.field("bytes").type):
        has_path = kind.get_field_index("path") >= 0 and is_text(kind.field("path").type)
        path = f"{source.column}.path" if has_path else None
        return _Columns(
            f"{source.column}.bytes", source.name_column or path, has_path and source.name_column is None, captions
        )
    said = "bytes, or a struct of bytes and path" + ("; a table of paths is of kind list" if is_text(kind) else "")
    raise ConfigurationError(f"{where}: column '{source.column}' is of type {kind}, expected {said}")


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column's values are bytes."""
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _empty_rows(file: pq.ParquetFile, group: int, column: str) -> frozenset[int]:
    """The rows of a group without bytes, read only where the footer does not say that there are none."""
    found = file.metadata.row_group(group)
    chunk = next(found.column(i) for i in range(found.num_columns) if found.column(i).path_in_schema == column)
    if chunk.statistics is not None and chunk.statistics.has_null_count and not chunk.statistics.null_count:
        return frozenset()
    batches = file.iter_batches(1, row_groups=[group], columns=[column], use_threads=False)
    return frozenset(row for row, batch in enumerate(batches) if _leaf(batch, column)[0].as_py() is None)


def _leaf(batch: pa.RecordBatch, column: str) -> pa.Array:
    """A column, or the field of a struct: ``video.path``."""
    if column in batch.schema.names:
        return batch.column(column)
    name, _, field = column.rpartition(".")
    return batch.column(name).field(field)


def _values(column: pa.Array) -> list[object]:
    """A column's values; bytes of texts that are not UTF-8 become surrogates: they affect one row, not the table."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):
        return [value if value is None else value.decode("utf-8", "surrogateescape") for value in _raw(column)]
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        texts = _values(column.values)
        offsets = column.offsets.to_pylist()
        lists = [texts[begin:end] for begin, end in itertools.pairwise(offsets)]
        return [part if valid else None for part, valid in zip(lists, column.is_valid().to_pylist(), strict=True)]
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # inside of records
        return [_one(column, number) for number in range(len(column))]


def _one(column: pa.Array, number: int) -> object:
    try:
        return column[number].as_py()
    except UnicodeDecodeError:
        return BadValue("bytes that are not UTF-8 text")


def _raw(column: pa.Array) -> list[bytes | None]:
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.binary_view())
    return list(column.cast(pa.large_binary()).to_pylist())


def _number(value: object) -> float | None:
    assert value is None or isinstance(value, int | float)
    return None if value is None or math.isnan(value) else float(value)
