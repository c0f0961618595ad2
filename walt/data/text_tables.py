"""The two tables beside the text embeddings: the names of each clip's captions, and the class of each clip.

``captions.parquet`` has the names in the order of the embeddings; clips without a caption are not in it.
``labels.parquet`` has the clips that have a class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import atomic_write

if TYPE_CHECKING:
    from walt.data.captions import Caption

CAPTIONS_TABLE = "captions.parquet"
LABELS_TABLE = "labels.parquet"

_NAMES_PER_GROUP = 1 << 17
_NAMES = pa.list_(pa.field("element", pa.string(), nullable=False))
_NAMES_SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("names", _NAMES, nullable=False)])

_LABELS_PER_GROUP = 1 << 20  # pyarrow's default; so many rows are in memory at a time
_LABELS_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.int64())])


def write_caption_names(directory: Path, clips: Iterable[tuple[str, Sequence[Caption]]]) -> None:
    """Write the names of the captions of each clip, except clips without a caption, atomically.

    Args:
        clips: (key, captions).
    """
    captioned = ((key, [caption.name for caption in captions]) for key, captions in clips if captions)
    with (
        atomic_write(directory / CAPTIONS_TABLE, keep_equal=True) as stream,
        pq.ParquetWriter(stream, _NAMES_SCHEMA, compression="zstd") as writer,
    ):
        while group := list(islice(captioned, _NAMES_PER_GROUP)):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=_NAMES_SCHEMA))


def read_caption_names(directory: Path) -> dict[str, tuple[str, ...]]:
    """Names by key; a clip that is not in it has no caption.

    Raises StorageError (missing) or CorruptArtifactError (damaged).
    """
    table = directory / CAPTIONS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file; run encode-text first")
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    try:
        with pq.ParquetFile(table) as file:
            for batch in file.iter_batches(columns=_NAMES_SCHEMA.names):
                for key, names in zip(*(batch.column(name).to_pylist() for name in _NAMES_SCHEMA.names), strict=True):
                    kinds = tuple(names)
                    found[key] = seen.setdefault(kinds, kinds)  # few different ones, of many clips
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    return found


def write_labels(directory: Path, labels: Iterable[tuple[str, int | None]]) -> int:
    """Write (key, label) pairs atomically, except those without a label. Returns how many were written."""
    there, count = (pair for pair in labels if pair[1] is not None), 0
    with atomic_write(directory / LABELS_TABLE) as stream, pq.ParquetWriter(stream, _LABELS_SCHEMA) as writer:
        while group := list(islice(there, _LABELS_PER_GROUP)):
            keys, numbers = zip(*group, strict=True)
            writer.write_table(pa.table([keys, numbers], schema=_LABELS_SCHEMA), row_group_size=_LABELS_PER_GROUP)
            count += len(group)
        if not count:
            # an empty row group, as pyarrow writes a table without rows
            writer.write_table(_LABELS_SCHEMA.empty_table())
    return count


def read_labels(directory: Path) -> dict[str, int]:
    """Label by key. Raises StorageError (missing) or CorruptArtifactError (damaged)."""
    table = directory / LABELS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file")
    try:
        columns = pq.read_table(table, columns=_LABELS_SCHEMA.names, partitioning=None).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    return dict(zip(columns["key"], columns["label"], strict=True))
