"""Panda-70M's lists: one row per source video, with lists of spans, captions and scores that have equal lengths.

Each span is an input of its own, with its own caption; all spans of a video are in one split, which its bytes decide.
"""

from __future__ import annotations

from collections.abc import Iterator

from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Refusal, span_name
from walt.ingest.sources.kinds import Panda70M
from walt.ingest.sources.rows import Found, RowFiles
from walt.ingest.tables.cells import Columns, Row
from walt.ingest.tables.read import find_tables, read_rows
from walt.ingest.tables.spans import make_span

_COLUMNS: Columns = {"videoID": "text", "timestamp": "list", "caption": "list", "matching_score": "list"}


def entries(source: Panda70M, dataset: Dataset) -> Iterator[Entry]:
    """List the spans of all rows.

    Refusals: ``bad_row`` (a list cannot be read, or the lists differ in length: the row is one input), ``bad_span``,
    and for each span those of ``RowFiles.find`` and of ``Rules.item``.

    Raises:
        ConfigurationError: a table is missing, cannot be read, or lacks a column.
    """
    files = RowFiles(dataset.folder, source.videos, source.absent)
    for table in find_tables(dataset.folder, source.tables):
        for row in read_rows(dataset.folder, table, _COLUMNS):
            yield from _spans(source, dataset, files, row)
    files.report()


def _spans(source: Panda70M, dataset: Dataset, files: RowFiles, row: Row) -> Iterator[Entry]:
    video, *lists = row.values
    name = f"{video}.mp4" if isinstance(video, str) else row.name
    if row.problem:
        yield Refusal(name, "bad_row", f"line {row.line}: {row.problem}")
        return
    spans, captions, scores = ([] if values is None else values for values in lists)
    if not spans or not len(spans) == len(captions) == len(scores):
        lengths = f"{len(spans)} timestamps, {len(captions)} captions, {len(scores)} scores"
        yield Refusal(name, "bad_row", f"line {row.line}: {lengths}")
        return
    for number, (moments, caption, score) in enumerate(zip(spans, captions, scores, strict=True)):
        if not isinstance(score, int | float) or not isinstance(caption, str | None):
            yield Refusal(f"{name}#{number}", "bad_row", f"line {row.line}: span {number} has no text or no score")
            continue
        if score < source.min_matching_score:
            continue
        span = make_span(*moments) if isinstance(moments, list | tuple) and len(moments) == 2 else None
        if span is None:
            yield Refusal(f"{name}#{number}", "bad_span", f"line {row.line}: {str(moments)[:40]} is not a span")
            continue
        found = files.find(row, [name if video else ""], span)
        if isinstance(found, Found):
            yield dataset.rules.item(name, found.location, caption or "", span=span)
        elif found:
            yield Refusal(span_name(name, span), found.code, found.cause)
