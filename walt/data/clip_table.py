"""``clips.parquet``, the table of clips that is stored with the clips and with the latents: the manifest without what
describes the clips, so that it does not change if only captions or labels change.

It is read here and written in ``walt.data.clip_table_writer``: most stages read it only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.own_digest import check_parquet
from walt.core.sizes import Size, size_folder

if TYPE_CHECKING:
    from walt.data.manifest import ManifestRow

CLIPS_TABLE = "clips.parquet"

Split = Literal["train", "held_out"]


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
    table = directory / CLIPS_TABLE
    if not table.is_file():
        raise StorageError(f"{table}: no such file")
    check_parquet(table)
    try:
        columns = pq.read_table(table, columns=list(COLUMNS), partitioning=None).to_pydict()
        return [ClipRow(*values) for values in zip(*(columns[name] for name in COLUMNS), strict=True)]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
