"""The two tables beside the text embeddings: the captions of each clip, and the class of each clip.

``captions.parquet`` has all clips, with the names of their captions and the keys of their embeddings in the tars.
``labels.parquet`` has the clips that have a class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet, parquet_writer

if TYPE_CHECKING:
    from walt.data.captions import Caption

CAPTIONS_TABLE = "captions.parquet"
LABELS_TABLE = "labels.parquet"

TEXT_FORM = 3
"""Version of the stored form of text: of the tars and of ``captions.parquet``."""

ID_DIGITS = 32
_CLIPS_PER_GROUP = 1 << 17
_TEXTS = pa.list_(pa.field("element", pa.string(), nullable=False))
_CAPTIONS_SCHEMA = pa.schema([
    pa.field("key", pa.string(), nullable=False), pa.field("names", _TEXTS, nullable=False),
    pa.field("ids", _TEXTS, nullable=False),
])  # fmt: skip

_LABELS_PER_GROUP = 1 << 20  # pyarrow's default; so many rows are in memory at a time
_LABELS_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.int64())])


def caption_id(text: str) -> str:
    """32 hexadecimal digits, a hash, that name a caption, the same wherever it occurs."""
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True)
class CaptionTable:
    """Which captions each clip has, by its key, in the order of the manifest. A clip without captions has none."""

    max_tokens: int
    """L: the length to which embeddings are padded."""
    names: dict[str, tuple[str, ...]]
    ids: dict[str, tuple[str, ...]]
    """Keys of the samples in the tars (``caption_id``)."""


def write_captions(directory: Path, clips: Iterable[tuple[str, Sequence[Caption]]], max_tokens: int) -> None:
    """Write names and ids of the captions of each clip, atomically.

    Args:
        clips: (key, captions).
        max_tokens: as in ``CaptionTable``.
    """
    rows = (
        (key, [caption.name for caption in captions], [caption_id(caption.text) for caption in captions])
        for key, captions in clips
    )
    schema = _CAPTIONS_SCHEMA.with_metadata({"form": str(TEXT_FORM), "max_tokens": str(max_tokens)})
    with parquet_writer(directory / CAPTIONS_TABLE, schema, keep_equal=True, compression="zstd") as writer:
        while group := list(islice(rows, _CLIPS_PER_GROUP)):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=schema))


def read_captions(directory: Path) -> CaptionTable:
    """Read what ``write_captions`` wrote.

    Raises StorageError (missing) or CorruptArtifactError (damaged, or of an older version).
    """
    table = directory / CAPTIONS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file; run encode-text first")
    check_parquet(table)
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}
    names: dict[str, tuple[str, ...]] = {}
    ids: dict[str, tuple[str, ...]] = {}
    try:
        with pq.ParquetFile(table) as file:
            about = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            if about.get("form") != str(TEXT_FORM):
                raise CorruptArtifactError(f"{table}: stored by another version; run encode-text again")
            for batch in file.iter_batches(columns=_CAPTIONS_SCHEMA.names):
                for key, kinds, own in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    names[key] = seen.setdefault(tuple(kinds), tuple(kinds))  # few different ones, of many clips
                    ids[key] = tuple(own)
            return CaptionTable(int(about["max_tokens"]), names, ids)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error


def write_labels(directory: Path, labels: Iterable[tuple[str, int | None]]) -> int:
    """Write (key, label) pairs atomically, except those without a label. Returns how many were written."""
    there, count = (pair for pair in labels if pair[1] is not None), 0
    with parquet_writer(directory / LABELS_TABLE, _LABELS_SCHEMA) as writer:
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
    check_parquet(table)
    try:
        columns = pq.read_table(table, columns=_LABELS_SCHEMA.names, partitioning=None).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    return dict(zip(columns["key"], columns["label"], strict=True))
