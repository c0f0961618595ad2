"""Kinetics' lists: each row is ten seconds of a YouTube video with its class; the test list has no classes."""

from __future__ import annotations

from collections.abc import Iterator

from walt.data.clip_table import Split
from walt.ingest.sources.classes import labels_by_name, unknown_class
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Refusal
from walt.ingest.sources.kinds import Kinetics
from walt.ingest.sources.rows import Found, RowFiles
from walt.ingest.tables.cells import Columns, Row
from walt.ingest.tables.read import find_tables, read_rows

_COLUMNS: Columns = {"youtube_id": "text", "time_start": "number", "time_end": "number", "split": "text"}
_SPLITS: dict[str, Split] = {"train": "train", "val": "held_out", "validate": "held_out", "test": "held_out"}


def entries(source: Kinetics, dataset: Dataset) -> Iterator[Entry]:
    """List the rows of all tables. The caption is the class's name; a row without a class has no caption and no label.

    Refusals: ``bad_row``, ``unknown_class``, and those of ``RowFiles.find`` and of ``Rules.item``.

    Raises:
        ConfigurationError: a table is missing, cannot be read, or lacks a column; the descriptor has no classes.
    """
    labels = labels_by_name(dataset.classes, source.kind)
    files = RowFiles(dataset.folder, source.videos, source.absent)
    for table in find_tables(dataset.folder, source.tables):
        for row in read_rows(dataset.folder, table, _COLUMNS, optional={"label": "text"}):
            entry = _entry(dataset, files, labels, row)
            if entry:
                yield entry
    files.report()


def _entry(dataset: Dataset, files: RowFiles, labels: dict[str, int], row: Row) -> Entry | None:
    youtube_id, start, end, split, name = row.values
    if row.problem or not youtube_id or start is None or end is None or split not in _SPLITS:
        cause = row.problem or f"{youtube_id!r}, {start}, {end}, {split!r} are not an id, start, end and split"
        return Refusal(youtube_id if isinstance(youtube_id, str) else row.name, "bad_row", f"line {row.line}: {cause}")
    file = f"{youtube_id}_{int(start):06d}_{int(end):06d}.mp4"
    if name and name not in labels:
        return Refusal(file, "unknown_class", unknown_class(name, labels))
    folders = [f"{split}/{name}/", f"{name}/", f"{split}/", ""] if name else [f"{split}/", ""]
    found = files.find(row, [f"{folder}{file}" for folder in folders])
    if not isinstance(found, Found):
        return Refusal(file, found.code, found.cause) if found else None
    label = labels[name] if name else None
    return dataset.rules.item(found.name, found.location, name or "", label=label, split=_SPLITS[split])
