"""The table of clips (``clips.parquet``), and stored clips as pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.images import Size, decode_png
from walt.core.mp4 import decode_clip
from walt.core.storage import atomic_write
from walt.data.shards import Sample

CLIPS_TABLE = "clips.parquet"

_SCHEMA = pa.schema(
    [("key", pa.string()), ("kind", pa.string()), ("split", pa.string()), ("shard", pa.int64()), ("sizes", pa.string())]
)


@dataclass(frozen=True)
class ClipRow:
    """One clip, as the tables beside clips and latents have it (clips have further columns)."""

    key: str
    kind: str
    """``video`` or ``image``."""
    split: str
    """``train`` or ``held_out``."""
    shard: int
    """Number of the tar that holds it, the same in each of its sizes."""
    sizes: str | None = None
    """Folders of the sizes that it is stored in, joined by commas; None: every size."""

    def is_stored_in(self, size: Size) -> bool:
        """Whether the tars of a size hold it."""
        return stored_in(self.sizes, size)


def stored_in(sizes: str | None, size: Size) -> bool:
    """Whether a size is among those of a clip, as the column ``sizes`` names them."""
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
    try:
        rows = pq.read_table(table, columns=_SCHEMA.names, partitioning=None).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifactError(f"{table}: {str(error).splitlines()[0]}") from error
    return [ClipRow(**row) for row in rows]


def write_clip_rows(directory: Path, rows: Iterable[ClipRow]) -> None:
    """Write ``directory/clips.parquet`` atomically."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=_SCHEMA)
    with atomic_write(directory / CLIPS_TABLE) as stream:
        pq.write_table(table, stream)


def size_folder(size: Size) -> str:
    """``32x64`` for 32 rows of 64 pixels."""
    height, width = size
    return f"{height}x{width}"


def decode_members(members: Sample) -> NDArray[np.uint8]:
    """A stored clip's picture: (T, H, W, 3) uint8 RGB; T = 1 for an image.

    Raises:
        ValueError: there is no picture, or it cannot be decoded.
    """
    try:
        if "mp4" in members:
            return decode_clip(members["mp4"])
        if "png" in members:
            return decode_png(members["png"])[None]
    except (OSError, EOFError, IndexError) as error:  # with ValueError, what PyAV and Pillow raise for damaged files
        raise ValueError(f"{type(error).__name__}: {error}") from error
    raise ValueError(f"no mp4 and no png among its members {sorted(members)}")


def pixels(clips: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Clips (T, H, W, 3) uint8 of one shape -> (B, 3, T, H, W) float32 in [-1, 1]."""
    batch = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3)
    return batch.to(torch.float32, memory_format=torch.contiguous_format) / 127.5 - 1.0
