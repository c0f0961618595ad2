"""``clips.parquet``, the table of clips that is stored with the clips and with the latents: the manifest without what
describes the clips, so that it does not change if only captions or labels change.

It is read here and written in ``walt.data.clip_table_writer``: most stages read it only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet
from walt.core.sizes import Size, size_folder
from walt.data.key_index import FrozenKeys, ids_of_column

if TYPE_CHECKING:
    from walt.data.manifest import ManifestRow

CLIPS_TABLE = "clips.parquet"

Split = Literal["train", "held_out"]
_KINDS = ("video", "image")


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip."""

    key: str
    kind: str
    """``video`` or ``image``."""
    split: str
    """``train`` or ``held_out``."""
    shard: int
    """Number of the tar that contains it, the same for each of its sizes."""
    source_sha256: str
    start_seconds: float
    """After the source's first frame."""
    num_frames: int
    sizes: str | None = None
    """Folders of the sizes in which it is stored, joined by commas; None: every size."""

    @classmethod
    def of(cls, row: ManifestRow) -> ClipRow:
        """The row of this table for a row of the manifest."""
        return cls(*(getattr(row, column.name) for column in fields(cls)))

    def is_stored_in(self, size: Size) -> bool:
        """Whether the tars of a size contain it."""
        return stored_in(self.sizes, size)


COLUMNS = tuple(column.name for column in fields(ClipRow))
"""Of the table, in their order."""


def stored_in(sizes: str | None, size: Size) -> bool:
    """Whether a size is among those of a clip, given the value of its column ``sizes``."""
    return sizes is None or size_folder(size) in sizes.split(",")


def read_clip_rows(directory: Path) -> list[ClipRow]:
    """The rows of ``directory/clips.parquet``, in stored order.

    Raises:
        StorageError: there is no table.
        CorruptArtifactError: it cannot be read.
    """
    columns = _read(directory, COLUMNS).to_pydict()
    return [ClipRow(*values) for values in zip(*(columns[name] for name in COLUMNS), strict=True)]


def read_split(directory: Path, size: Size, split: Split) -> dict[str, FrozenKeys]:
    """The keys of the videos (``video``) and images (``image``) of a split that are stored in a size.

    Raises as ``read_clip_rows``.
    """
    table = _read(directory, ("key", "kind", "split", "sizes"))
    sizes = pc.unique(table["sizes"]).to_pylist()
    stored = pa.array([own for own in sizes if stored_in(own, size)], pa.string())
    wanted = pc.and_(pc.equal(table["split"], split), pc.is_in(table["sizes"], stored))
    return {kind: _frozen(table["key"].filter(pc.and_(wanted, pc.equal(table["kind"], kind)))) for kind in _KINDS}


def _frozen(keys: pa.ChunkedArray) -> FrozenKeys:
    parts = [ids_of_column(chunk) for chunk in keys.chunks]
    if any(odd for _, odd in parts):
        return FrozenKeys(keys.to_pylist())
    return FrozenKeys.of_ids(np.concatenate([np.empty((0, 2), np.uint64), *(ids for ids, _ in parts)]))


def _read(directory: Path, columns: Sequence[str]) -> pa.Table:
    table = directory / CLIPS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file")
    check_parquet(table)
    try:
        with pq.ParquetFile(table) as file:  # read_table loads pandas, where that is installed
            found = file.read(list(columns))
        if missing := set(columns) - set(found.column_names):
            raise CorruptArtifactError(f"{table}: no column {min(missing)}")
        return found
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
