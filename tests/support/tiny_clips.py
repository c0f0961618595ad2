"""A folder of stored clips that is as small as it can be: 5 frames, two sizes, two tars a size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from walt.core.sizes import size_folder
from walt.data.clip_table import ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.data.shards import Sample, shard_name, write_index, write_shard
from walt.media.images import png_bytes
from walt.media.mp4 import encode_clip

NUM_FRAMES = 5
SIZES = ((16, 16), (32, 32))


def clip_row(key: str, kind: str, split: str, shard: int, sizes: str | None = None) -> ClipRow:
    """A row of a clip without a source."""
    return ClipRow(key, kind, split, shard, "0" * 64, 0.0, 1 if kind == "image" else 5, sizes)


ROWS = (
    clip_row("v0", "video", "train", 0),
    clip_row("v1", "video", "train", 0),
    clip_row("i0", "image", "train", 0),
    clip_row("v2", "video", "train", 0),
    clip_row("v3", "video", "held_out", 1),
    clip_row("v4", "video", "train", 1),
    clip_row("i1", "image", "train", 1),
)


def picture(key: str, side: int) -> NDArray[np.uint8]:
    """The clip of a key before it is stored, (T, side, side, 3).

    A grey ramp from 0 on the left to 50 on the right, brighter by 10 times the key's digit, and by 40 each frame. No
    constant picture: normalisation makes noise of rounding errors there.
    """
    frames = NUM_FRAMES if key.startswith("v") else 1
    greys = 10 * int(key[1:]) + 40 * np.arange(frames)[:, None, None, None] + np.linspace(0, 50, side)[:, None]
    return np.broadcast_to(greys, (frames, side, side, 3)).astype(np.uint8)


def sample(key: str, side: int) -> tuple[str, Sample]:
    """What the clip's tar holds under the key."""
    clip = picture(key, side)
    member = {"mp4": encode_clip(clip, 8, 0)} if key.startswith("v") else {"png": png_bytes(clip[0])}
    return key, {**member, "json": b"{}"}


def write_clips(directory: Path, rows: tuple[ClipRow, ...] = ROWS) -> None:
    """Tars, indexes and table under ``directory``."""
    for height, width in SIZES:
        folder = directory / size_folder((height, width))
        numbers = sorted({row.shard for row in rows})
        records = [write_shard(folder / shard_name("clips", n), _samples(rows, n, height)) for n in numbers]
        write_index(folder, "tiny clips", records)
    write_clip_rows(directory, rows)


def _samples(rows: tuple[ClipRow, ...], number: int, side: int) -> Iterator[tuple[str, Sample]]:
    return (sample(row.key, side) for row in rows if row.shard == number and row.is_stored_in((side, side)))
