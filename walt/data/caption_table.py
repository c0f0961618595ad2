"""``captions.parquet``, beside the text embeddings: each clip's names of captions, in the order of the embeddings."""

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

_ROWS_PER_GROUP = 1 << 17
_NAMES = pa.list_(pa.field("element", pa.string(), nullable=False))
_SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("names", _NAMES, nullable=False)])


def write_caption_names(directory: Path, clips: Iterable[tuple[str, Sequence[Caption]]]) -> None:
    """Write the names of the captions of each clip, except clips without a caption, atomically.

    Args:
        clips: (key, captions).
    """
    captioned = ((key, [caption.name for caption in captions]) for key, captions in clips if captions)
    with (
        atomic_write(directory / CAPTIONS_TABLE, keep_equal=True) as stream,
        pq.ParquetWriter(stream, _SCHEMA, compression="zstd") as writer,
    ):
        while group := list(islice(captioned, _ROWS_PER_GROUP)):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=_SCHEMA))


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
            for batch in file.iter_batches(columns=_SCHEMA.names):
                for key, names in zip(*(batch.column(name).to_pylist() for name in _SCHEMA.names), strict=True):
                    kinds = tuple(names)
                    found[key] = seen.setdefault(kinds, kinds)  # few different ones, of many clips
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    return found
