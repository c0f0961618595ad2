"""Writes ``clips.parquet``, which ``walt.data.clip_table`` describes and reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from walt.core.storage import atomic_write
from walt.data.clip_table import CLIPS_TABLE, ClipRow
from walt.data.partitions import row_schema, write_groups

_SCHEMA = row_schema(ClipRow)


def write_clip_rows(directory: Path, rows: Iterable[ClipRow]) -> None:
    """Write ``directory/clips.parquet`` atomically, with one row group in memory at a time. Raises StorageError."""
    with atomic_write(directory / CLIPS_TABLE, keep_equal=True) as stream:
        write_groups(stream, (asdict(row) for row in rows), _SCHEMA)
