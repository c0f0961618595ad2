"""The picture files of clips, read from their tars one after another, as they are or as players want them."""

from __future__ import annotations

import json
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import IO

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.sizes import Size, size_folder
from walt.data.manifest import ManifestRow
from walt.data.shards import shard_name, verify_shard
from walt.export.survey import Group, Sizes
from walt.media.mp4 import LIBRARY_VERSIONS, decode_clip
from walt.media.playable import write_playable


class StoredPictures:
    """Picture files by row of the manifest. A tar is verified before its first use, and one is open at a time.

    Args:
        scratch: file in which a video is made again; None: videos stay as they are stored.
    """

    def __init__(self, sizes: Sizes, scratch: Path | None) -> None:
        self._sizes, self._scratch = sizes, scratch
        self._records = {
            folder: {record.shard: record for record in index.records} for folder, index in sizes.indexes.items()
        }
        self._verified: set[Path] = set()
        self._open: tuple[Path, IO[bytes], dict[str, tuple[int, int]]] | None = None

    def read(self, row: ManifestRow) -> bytes:
        """A clip's mp4 or png.

        Raises:
            CorruptArtifactError: its tar differs from the index, or does not hold it.
            StorageError: ffmpeg failed.
        """
        size = self._sizes.of(row)
        assert size is not None
        extension = Group(row.kind, row.split).extension
        data = self._member(row, size, extension)
        if self._scratch is None or extension != "mp4":
            return data
        fps = json.loads(self._member(row, size, "json"))["fps"]
        self._scratch.parent.mkdir(parents=True, exist_ok=True)
        write_playable(self._scratch, decode_clip(data), fps, {"key": row.key})
        return self._scratch.read_bytes()

    def close(self) -> None:
        """Close the tar, and remove the file in which videos were made again."""
        if self._open is not None:
            self._open[1].close()
        if self._scratch is not None:
            self._scratch.unlink(missing_ok=True)

    def _member(self, row: ManifestRow, size: Size, extension: str) -> bytes:
        path, stream, places = self._tar(size_folder(size), shard_name("clips", row.shard))
        place = places.get(f"{row.key}.{extension}")
        if place is None:
            raise CorruptArtifactError(f"{path}: no member {row.key}.{extension}, which the manifest promises")
        stream.seek(place[0])
        data = stream.read(place[1])
        if len(data) != place[1]:
            raise CorruptArtifactError(f"{path}: cut short while it was in use, at key '{row.key}'")
        return data

    def _tar(self, folder: str, name: str) -> tuple[Path, IO[bytes], dict[str, tuple[int, int]]]:
        """The tar, open, with offset and size of each member."""
        directory = self._sizes.clips / folder
        path = directory / name
        if self._open is not None and self._open[0] == path:
            return self._open
        record = self._records[folder].get(name)
        if record is None:
            raise CorruptArtifactError(f"{directory}: its index does not name {name}, which the manifest does")
        if path not in self._verified:
            verify_shard(directory, record)
            self._verified.add(path)
        if self._open is not None:
            self._open[1].close()
            self._open = None
        try:
            with tarfile.open(path, "r:") as archive:
                places = {member.name: (member.offset_data, member.size) for member in archive if member.isreg()}
        except tarfile.TarError as error:
            raise CorruptArtifactError(f"{path}: {str(error).splitlines()[0]}") from error
        self._open = (path, path.open("rb"), places)
        return self._open


def check_playable(sizes: Sizes) -> None:
    """Raise ConfigurationError where a size cannot be made 4:2:0, whose colours are halved in both directions."""
    for height, width in sizes.sizes:
        if height % 2 or width % 2:
            raise ConfigurationError(f"--playable: clips of {height}x{width} have an odd side; export another --size")


def encoder_versions() -> dict[str, object]:
    """What the bytes of videos made again depend on, besides the clips."""
    return {"decoder": LIBRARY_VERSIONS, "encoder": version("imageio-ffmpeg")}
