"""A table with one file or URL per row, its caption, and optionally its class and the span to use."""

from __future__ import annotations

from collections.abc import Iterator

from walt.core.errors import ConfigurationError
from walt.ingest.sources.classes import labels_by_name, unknown_class
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Refusal, Span
from walt.ingest.sources.kinds import FileList
from walt.ingest.sources.rows import Found, RowFiles
from walt.ingest.sources.tables import ColumnKind, Row, find_tables, make_span, read_rows


def entries(source: FileList, dataset: Dataset) -> Iterator[Entry]:
    """List the rows of all tables.

    Refusals: those of ``RowFiles.find`` and of ``Rules.item``, ``bad_span``, ``unknown_class``.

    Raises:
        ConfigurationError: a table is missing, cannot be read, or lacks a column; labels without classes.
    """
    labels = None if source.label_column is None else labels_by_name(dataset.classes, source.kind)
    columns: dict[str, ColumnKind] = {source.path_column: "text"}
    for name in (*source.caption_columns, source.label_column, *(source.span_columns or ())):
        if name in columns:
            raise ConfigurationError(f"source: the column '{name}' is named twice")
        if name is not None:
            columns[name] = "text"
    files = RowFiles(dataset.folder, source.videos, source.absent)
    for table in find_tables(dataset.folder, source.tables):
        for row in read_rows(dataset.folder, table, columns):
            entry = _entry(source, dataset, files, labels, row, dict(zip(columns, row.texts, strict=True)))
            if entry:
                yield entry
    files.report()


def _entry(
    source: FileList, dataset: Dataset, files: RowFiles, labels: dict[str, int] | None, row: Row, cells: dict[str, str]
) -> Entry | None:
    path = cells[source.path_column]
    span: Span | None = None
    if source.span_columns is not None:
        start, end = (cells[name] for name in source.span_columns)
        span = make_span(start, end)
        if span is None:
            return Refusal(path or row.name, "bad_span", f"line {row.line}: from {start!r} to {end!r} is not a span")
    label: int | None = None
    if labels is not None and source.label_column is not None and cells[source.label_column]:
        name = cells[source.label_column]
        label = labels.get(name, int(name) if name.isdecimal() and len(name) < 10 else len(labels))
        if label >= len(labels):
            return Refusal(path or row.name, "unknown_class", unknown_class(name, labels))
    found = files.find(row, [path], span)
    if not isinstance(found, Found):
        return found
    caption = next((cells[name] for name in source.caption_columns if cells[name].strip()), "")
    return dataset.rules.item(found.source, found.location, caption, label=label, span=span, name=found.name)
