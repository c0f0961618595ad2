"""Finds changes to source files that DVC would not see, before DVC decides what is stale.

DVC reads a file again only if its size, inode or modification time (mtime) differs from what DVC has recorded, and it
does not follow links to folders. So ``walt prepare`` keeps its own record of each file. No program can set a ctime. If
the ctime has changed while those three have not, the file may hold other bytes: its mtime is then increased by a
microsecond, which makes DVC read it, and which no listing shows. DVC finds out whether the bytes differ, so a new mode
or another hard link costs one reading, and nothing is made again.

If size, inode or mtime of a recorded file have changed, DVC sees the change; but if DVC ran without ``walt prepare``,
it may have read the file before a hidden edit followed. A plain write leaves mtime and ctime equal; where they differ,
the mtime is increased here as well. A file that is not in the record yet is left as it is, since copies may keep the
times of their originals. If only DVC read it, and it was edited in a hidden way before it was first recorded, the edit
is not found.

Times are only compared for equality. Each file costs one look and one line of the record. Only the names of the folders
on the current path are in memory, since names are listed in a fixed order and compared line by line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from walt.core.log import warning
from walt.core.printable import printable
from walt.core.storage import atomic_write
from walt.ingest.sources.folders import LocalFolder

_MOST_SHOWN = 3
_STEPS_NANOSECONDS = (1_000, 2_000_000_000)
"""The second one is for file systems that store times in seconds."""


@dataclass
class Names:
    """The number of names, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if self.count <= _MOST_SHOWN:
            self.first.append(name)

    def __str__(self) -> str:
        """As shown in a line on the terminal."""
        return ", ".join(map(printable, self.first)) + (" ..." if self.count > len(self.first) else "")


@dataclass
class Edits:
    """What changed since the record was written, and DVC does not see."""

    stamped: Names = field(default_factory=Names)
    """Files that DVC will read again by itself, since their modification time was increased."""
    unseen: Names = field(default_factory=Names)
    """New, changed and removed files behind links to folders, and files whose times may not be set here: DVC does not
    notice these at all."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A line of the record. Times are in nanoseconds."""

    name: str
    linked: bool
    """Whether it is behind a link to a folder."""
    size: int
    inode: int
    mtime: int
    ctime: int

    @property
    def order(self) -> list[str]:
        """Sort key of the order in which names are listed: by the components of the path."""
        return self.name.split("/")


_TYPES = [str, bool, int, int, int, int]


@contextmanager
def edits_since(folder: LocalFolder, record: Path) -> Iterator[Edits]:
    """Compare a folder's files with the record, and replace the record when the block, which informs DVC, has ended.

    Without a record, files behind links count as new, and nothing can be said about the others. The same holds for the
    rest of a record after a damaged line; a warning says so.

    Raises:
        StorageError: the folder cannot be listed, or the record cannot be written.
    """
    edits = Edits()
    known = _read(record) if record.is_file() else iter(())
    with atomic_write(record, keep_equal=True) as stream:
        waiting = next(known, None)
        for seen in _look(folder):
            while waiting is not None and waiting.order < seen.order:
                _note_gone(waiting, edits)
                waiting = next(known, None)
            before = None
            if waiting is not None and waiting.name == seen.name:
                before, waiting = waiting, next(known, None)
            now = _compared(folder, before, seen, edits)
            if now is not None:
                stream.write(json.dumps([getattr(now, key) for key in _Seen.__slots__]).encode() + b"\n")
        while waiting is not None:
            _note_gone(waiting, edits)
            waiting = next(known, None)
        yield edits


def _read(record: Path) -> Iterator[_Seen]:
    try:
        with open(record, encoding="ascii") as stream:
            for line in stream:
                values: Any = json.loads(line)
                if not isinstance(values, list) or [type(value) for value in values] != _TYPES:
                    raise ValueError(f"not a line of the record: {line.strip()[:40]!r}")
                yield _Seen(*values)
    except ValueError as error:
        warning(f"{record}: damaged, and written again (some edits since then may not be found): {error}")


def _look(folder: LocalFolder) -> Iterator[_Seen]:
    """All files that can be looked at, in the order of their names; ingest refuses the others."""
    root = os.path.realpath(folder.root)

    @lru_cache(maxsize=256)
    def linked(parent: str) -> bool:
        return os.path.realpath(os.path.join(root, parent)) != os.path.normpath(os.path.join(root, parent))  # noqa: PTH118

    for name in folder.names():
        try:
            status = os.stat(folder.location(name))  # noqa: PTH116 a Path for each of millions takes longer than the look
        except OSError:
            continue
        yield _seen(name, linked(os.path.dirname(name)), status)  # noqa: PTH120


def _seen(name: str, linked: bool, status: os.stat_result) -> _Seen:
    return _Seen(name, linked, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def _note_gone(before: _Seen, edits: Edits) -> None:
    """Note a file that no longer exists: DVC notices that by itself if it ever saw the file."""
    if before.linked:
        edits.unseen.add(before.name)


def _compared(folder: LocalFolder, before: _Seen | None, now: _Seen, edits: Edits) -> _Seen | None:
    """Note a change that DVC would not see; returns what the file looks like afterwards, or None if it is gone."""
    if now == before:
        return now
    if now.linked:
        edits.unseen.add(now.name)
        return now
    if before is None:
        return now
    changed = (before.size, before.inode, before.mtime) != (now.size, now.inode, now.mtime)
    if changed and now.ctime == now.mtime:
        return now
    path = Path(folder.location(now.name))
    try:
        moved = _move_time(path)
        after = path.stat()
    except OSError:
        return None
    (edits.stamped if moved else edits.unseen).add(now.name)
    return _seen(now.name, now.linked, after)


def _move_time(path: Path) -> bool:
    """Increase a file's modification time a little; returns whether that worked."""
    before = path.stat()
    for step in _STEPS_NANOSECONDS:
        try:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + step))
        except OSError:  # the file of another user, or a read-only disk
            return False
        if path.stat().st_mtime != before.st_mtime:  # as a float, which is how DVC compares it
            return True
    return False
