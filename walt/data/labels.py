"""``labels.parquet``, beside the text embeddings: the class of each clip that has one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import atomic_write

LABELS_TABLE = "labels.parquet"

_ROWS_PER_GROUP = 1 << 20  # pyarrow's default; so many rows are in memory at a time
_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.int64())])


def write_labels(directory: Path, labels: Iterable[tuple[str, int | None]]) -> int:
    """Write (key, label) pairs atomically, except those without a label. Returns how many were written."""
    there, count = (pair for pair in labels if pair[1] is not None), 0
    with atomic_write(directory / LABELS_TABLE) as stream, pq.ParquetWriter(stream, _SCHEMA) as writer:
        while group := list(islice(there, _ROWS_PER_GROUP)):
            keys, numbers = zip(*group, strict=True)
            writer.write_table(pa.table([keys, numbers], schema=_SCHEMA), row_group_size=_ROWS_PER_GROUP)
            count += len(group)
        if not count:
            writer.write_table(_SCHEMA.empty_table())  # an empty row group, as pyarrow writes a table without rows
    return count


def read_labels(directory: Path) -> dict[str, int]:
    """Label by key. Raises StorageError (missing) or CorruptArtifactError (damaged)."""
    table = directory / LABELS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file")
    try:
        columns = pq.read_table(table, columns=_SCHEMA.names, partitioning=None).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    return dict(zip(columns["key"], columns["label"], strict=True))
