"""Writes ``clips.parquet``, which ``walt.data.clip_table`` describes and reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from walt.data.clip_table import CLIPS_TABLE, ClipRow
from walt.data.partitions import row_schema, write_table

_SCHEMA = row_schema(ClipRow)


def write_clip_rows(directory: Path, rows: Iterable[ClipRow]) -> None:
    """Write ``directory/clips.parquet`` atomically, with one row group in memory at a time. Raises StorageError."""
    write_table(directory / CLIPS_TABLE, (asdict(row) for row in rows), _SCHEMA)
