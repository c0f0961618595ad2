"""Where an input's bytes are, as one string, and access to them as a local file.

A location is an absolute path, a URL, or a part of a file: the file's location, NUL (which no path or URL can contain),
and what the part is: a tar's member by its offset and size, or a cell of a Parquet table by its row group, row and
column. A folder and its rate is the location of a video that is kept as frames.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from walt.core import remote
from walt.core.digests import sha256_file
from walt.core.storage import TEMPORARY_SUFFIX, storage_errors
from walt.media import frames

_MEMBER = "\0"
_CELL = "cell "
_FRAMES = "frames "
_BLOCK = 1 << 20


def member_location(tar: str, offset: int, size: int) -> str:
    """The location of a tar's member, given the position of its bytes."""
    return f"{tar}{_MEMBER}{offset}+{size}"


def cell_location(table: str, group: int, row: int, column: str) -> str:
    """The location of the bytes in one row of a Parquet file.

    Args:
        group: of rows. row: in that group, from 0.
        column: its path in the file's schema, such as ``video.bytes``.
    """
    return f"{table}{_MEMBER}{_CELL}{group} {row} {column}"


def frames_location(folder: str, fps: float) -> str:
    """The location of a video that is a folder of numbered pictures."""
    return f"{folder}{_MEMBER}{_FRAMES}{fps:g}"


def whole_file(location: str) -> str:
    """The file at a location, or the one that contains it."""
    return location.partition(_MEMBER)[0]


def is_elsewhere(location: str) -> bool:
    """Whether bytes must be fetched over a network."""
    return remote.is_remote(location)


def is_plain(location: str) -> bool:
    """Whether a location is a local file, not a member of one."""
    return _MEMBER not in location and not is_elsewhere(location)


@contextmanager
def local_copy(location: str, folder: Path) -> Iterator[Path]:
    """The bytes of a location as a local file: the file itself if it is one, else a temporary copy that is removed.

    Args:
        folder: for temporary files; ``clean_temporary`` removes what a killed process left in it.

    Raises:
        SourceError: a folder of frames is not one.
        OSError: a local file cannot be read.
        StorageError: a remote one cannot be fetched, or the disk is full.
    """
    if is_plain(location):
        yield Path(location)
        return
    name = hashlib.sha256(os.fsencode(location)).hexdigest()[:32]
    path = folder / f"{name}.{os.getpid()}{TEMPORARY_SUFFIX}"
    folder.mkdir(parents=True, exist_ok=True)
    list_of_paths = frames.paths_file(path)
    try:
        if _is_frames(location):
            index, paths = _index(location)
            for file, data in ((path, index), (list_of_paths, paths)):
                with storage_errors(file):
                    file.write_bytes(data)
        elif _MEMBER in location:
            _extract(location, path)
        else:
            remote.download(location, path)
        yield path
    finally:
        path.unlink(missing_ok=True)
        list_of_paths.unlink(missing_ok=True)


def open_location(location: str) -> IO[bytes]:
    """A local or remote file, open for reading and seeking. Raises OSError or StorageError."""
    return remote.open_file(location) if is_elsewhere(location) else open(location, "rb")


def hash_location(location: str) -> str:
    """Hex SHA-256 of the bytes at a location on this machine. Raises OSError, or SourceError of a folder of frames."""
    if is_plain(location):
        return sha256_file(location)
    digest = hashlib.sha256()
    for block in (_index(location)[0],) if _is_frames(location) else _blocks(location):
        digest.update(block)
    return digest.hexdigest()


def num_bytes(location: str) -> int:
    """Number of bytes at a location on this machine. Raises OSError, and SourceError for a folder of frames."""
    if is_plain(location):
        return Path(location).stat().st_size
    if _is_frames(location):
        return frames.num_bytes(_index(location)[0])
    return sum(map(len, _blocks(location))) if _is_cell(location) else _place(location)[2]


def _is_cell(location: str) -> bool:
    return location.partition(_MEMBER)[2].startswith(_CELL)


def _is_frames(location: str) -> bool:
    return location.partition(_MEMBER)[2].startswith(_FRAMES)


def _index(location: str) -> tuple[bytes, bytes]:
    """Index and paths of a folder of frames."""
    folder, _, rate = location.partition(_MEMBER)
    return frames.make_index(folder, rate.removeprefix(_FRAMES))


def _extract(location: str, path: Path) -> None:
    """Copy a member's bytes; its name is not used.

    Raises:
        OSError: the tar cannot be read, which affects only this item. StorageError: the copy cannot be written.
    """
    with storage_errors(path):
        path.write_bytes(b"")
    for block in _blocks(location):
        with storage_errors(path), open(path, "ab", buffering=0) as target:
            target.write(block)


def _blocks(location: str) -> Iterator[bytes]:
    """A member's bytes, one megabyte at a time, or those of a cell. Raises OSError if the tar has become shorter."""
    if _is_cell(location):
        table = whole_file(location)
        status = None if is_elsewhere(table) else os.stat(table)  # noqa: PTH116 as a location, it is text
        yield _cell(location, (status.st_size, status.st_mtime_ns)) if status else _cell.__wrapped__(location, (0, 0))
        return
    tar, offset, left = _place(location)
    with open_location(tar) as source:
        source.seek(offset)
        while left:
            block = source.read(min(left, _BLOCK))
            if not block:
                raise OSError(errno.ENODATA, f"{tar}: became shorter while it was in use")
            yield block
            left -= len(block)


@lru_cache(maxsize=1)  # a visit needs it to hash it, and again to cut it
def _cell(location: str, state: tuple[int, int]) -> bytes:
    """The bytes of a cell. Raises OSError.

    Args:
        state: size and time of change of the table.
    """
    from walt.ingest.sources.parquet_cells import read_cell  # pyarrow, which only such an input needs

    table, _, cell = location.partition(_MEMBER)
    group, row, column = cell.removeprefix(_CELL).split(" ", 2)
    with open_location(table) as source:
        return read_cell(source, int(group), int(row), column)


def _place(location: str) -> tuple[str, int, int]:
    """A member's tar, offset and size."""
    tar, _, place = location.partition(_MEMBER)
    offset, size = place.split("+")
    return tar, int(offset), int(size)
