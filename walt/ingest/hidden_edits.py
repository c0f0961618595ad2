"""Changes to source files that DVC would not see, found before it is asked what is stale.

DVC reads a file again only where its size, inode or time of change (mtime) differs from what it knows, and it does not
look behind links to folders. So ``walt prepare`` keeps a record of what each file looked like. A ctime, which no
program can set, that moved while those three stand still means that the file may hold other bytes: its time of change
is moved on by a microsecond, which makes DVC read it, and shows in no listing. Whether the bytes differ is for DVC to
find out; so a new mode or a further hard link costs one reading, and nothing is made again.

A known file whose size, inode or mtime is another than in the record was changed for all to see; but DVC, asked without
``walt prepare``, may have read it before a hidden edit came on top. A write leaves mtime and ctime alike; where they
differ, the time is moved on here as well. A file new to the record is left as it is, since copies may keep the times of
their originals: if DVC alone read it, and it was then edited so before it was first recorded, the edit is not found.

Only equality is asked of times. A file costs a look and a line. In memory are the names of every folder on the
current path, since names come in one order and are compared line by line.
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
from walt.core.paths import printable
from walt.core.storage import atomic_write
from walt.ingest.sources.folders import LocalFolder

_MOST_SHOWN = 3
_STEPS_NANOSECONDS = (1_000, 2_000_000_000)
"""The second one is for file systems that count in seconds."""


@dataclass
class Names:
    """How many, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if self.count <= _MOST_SHOWN:
            self.first.append(name)

    def __str__(self) -> str:
        """For a line on the terminal."""
        return ", ".join(map(printable, self.first)) + (" ..." if self.count > len(self.first) else "")


@dataclass
class Edits:
    """What changed since the record was written, without DVC's notice."""

    stamped: Names = field(default_factory=Names)
    """Files that DVC will read again by itself, since their time of change was moved."""
    unseen: Names = field(default_factory=Names)
    """New, changed and removed files behind links to folders, and files whose time nobody may set here: of these DVC
    learns nothing."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A line of the record. Times are in nanoseconds."""

    name: str
    linked: bool
    """Whether it lies behind a link to a folder."""
    size: int
    inode: int
    mtime: int
    ctime: int

    @property
    def order(self) -> list[str]:
        """In which names are listed: part by part."""
        return self.name.split("/")


_TYPES = [str, bool, int, int, int, int]


@contextmanager
def edits_since(folder: LocalFolder, record: Path) -> Iterator[Edits]:
    """Compare a folder's files with the record, and write it anew when the block, which tells DVC, has ended.

    Without a record, files behind links count as new; of the others DVC knows no more than we do. So it is with what
    stands in a record from a damaged line on, of which a warning tells.

    Raises:
        StorageError: the folder cannot be listed, or the record not be written.
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
                    raise ValueError(f"no line of the record: {line.strip()[:40]!r}")
                yield _Seen(*values)
    except ValueError as error:
        warning(f"{record}: written anew, since it is damaged (edits since then are not all found): {error}")


def _look(folder: LocalFolder) -> Iterator[_Seen]:
    """All files that can be looked at, in the order of their names; what cannot is for ingest to refuse."""
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
    """A file that is there no longer: DVC misses it, where it ever saw it."""
    if before.linked:
        edits.unseen.add(before.name)


def _compared(folder: LocalFolder, before: _Seen | None, now: _Seen, edits: Edits) -> _Seen | None:
    """Note what DVC would not; what the file looks like afterwards. None: it has gone meanwhile."""
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
    """Let a file's time of change be a little later; whether it is."""
    before = path.stat()
    for step in _STEPS_NANOSECONDS:
        try:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + step))
        except OSError:  # another's file, or a disk that is only to be read
            return False
        if path.stat().st_mtime != before.st_mtime:  # as a float, which is how DVC compares it
            return True
    return False
