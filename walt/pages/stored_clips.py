"""Clips for people to look at, read from their tars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from walt.core.sizes import size_folder
from walt.data.clip_pixels import decode_members
from walt.data.clip_table import ClipRow
from walt.data.manifest import ManifestRow
from walt.data.shards import INDEX_NAME, iterate_shard, read_index, shard_name
from walt.media.images import Clip


class StoredClips:
    """The clips of the folder ``data/clips``, which has a folder of tars for each size. Only tars that hold what is
    asked for are read.

    Attributes:
        indexes: index of the tars by folder name (``32x64``), the smallest size first.

    Raises:
        CorruptArtifactError: an index is damaged.
    """

    def __init__(self, clips: Path) -> None:
        self._clips = clips
        sizes = [tuple(map(int, index.parent.name.split("x"))) for index in clips.glob(f"*/{INDEX_NAME}")]
        ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        self.indexes = {folder: read_index(clips / folder) for folder in (size_folder((h, w)) for h, w in ordered)}

    def read(self, rows: Iterable[ManifestRow | ClipRow]) -> Iterator[tuple[str, Clip]]:
        """Key and (T, H, W, 3) uint8 of each clip in the largest size that it is stored in; a still has T = 1.

        They come in the order of the tars; one that is not stored is left out.

        Raises:
            CorruptArtifactError: a tar is damaged. ValueError: a clip in it.
        """
        missing = {row.key: row for row in rows}
        for folder, index in reversed(self.indexes.items()):
            names = {shard_name("clips", row.shard) for row in missing.values()}
            for record in index.records:
                if record.shard in names:
                    for key, members in iterate_shard(self._clips / folder, record):
                        if missing.pop(key, None) is not None:
                            yield key, decode_members(members)
