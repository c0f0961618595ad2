"""``labels.parquet``, beside the text embeddings: the class of each clip that has one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import atomic_write

LABELS_TABLE = "labels.parquet"

_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.int64())])


def write_labels(directory: Path, labels: Iterable[tuple[str, int | None]]) -> int:
    """Write (key, label) pairs atomically, those without a label left out; how many there are."""
    rows = [{"key": key, "label": label} for key, label in labels if label is not None]
    with atomic_write(directory / LABELS_TABLE) as stream:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), stream)
    return len(rows)


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
