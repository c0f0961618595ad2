"""Which files were hashed on this machine and have not changed since: a digest is checked once per file and machine.

A *stamp* says that the file with this name, size, inode and times of change had this SHA-256. Whoever is to compare a
file with the digest that an index states (``walt.core.storage.verify_file``) does without hashing it where a stamp says
the same. Stamps are lines of text, a file of them for each folder, in ``cache_folder()``: without them all is hashed
again, and nothing else changes.

    with stamps_ignored():
        ...  # every digest is computed from the bytes, and stamps are made anew
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from typing import NamedTuple

from walt.core.errors import StorageError

CACHE_VARIABLE = "WALT_CACHE"
"""Environment variable that names the folder of what can be found out again at any time."""
_SETTLED_NS = 2 * 10**9
"""File systems' clocks are coarse. A file that changed less than this before it was read gets no stamp, since another
change could leave its times as they are."""
_FORGOTTEN = "-"


class Stamp(NamedTuple):
    """A file's size, inode, and times of its last changes (mtime, ctime) in nanoseconds."""

    size: int
    inode: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """From what the system says of a file."""
        return cls(status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)

    def settled(self) -> bool:
        """Whether a change from now on will show in the times."""
        return time_ns() - max(self.modified, self.changed) > _SETTLED_NS


def cache_folder() -> Path:
    """``$WALT_CACHE``; else ``walt`` in ``$XDG_CACHE_HOME`` or, where that is not set, in ``~/.cache``.

    Raises StorageError: none of these is known. A container's user may have neither a name nor a home folder.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "walt"
    except RuntimeError as error:
        said = f"this user has no home folder: set {CACHE_VARIABLE} to a folder for what can be found out again"
        raise StorageError(said) from error


def cache_name(folder: Path) -> str:
    """What files about a folder are called in the cache: 32 hex digits of its absolute path."""
    return hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:32]


@contextmanager
def stamps_ignored() -> Iterator[None]:
    """Within the block, in all threads of this process, no stamp counts: every digest is computed again.

    Blocks may be nested. Processes that are started within it know nothing of it.
    """
    global _ignored
    _ignored += 1
    try:
        yield
    finally:
        _ignored -= 1


_ignored = 0
_warned = False
_FOLDERS_IN_MEMORY = 16
_folders: dict[tuple[Path, Path], StampedFiles] = {}


class StampedFiles:
    """The stamps of one folder's files, as all processes leave them."""

    def __init__(self, folder: Path) -> None:
        self._file = cache_folder() / "verified" / f"{cache_name(folder)}.txt"
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._lines = self._inode = self._read_to = 0

    @classmethod
    def of(cls, folder: Path) -> StampedFiles:
        """Those of a folder: from memory, as far as they were read before."""
        key = (cache_folder(), folder.absolute())
        if key not in _folders:
            if len(_folders) >= _FOLDERS_IN_MEMORY:
                _folders.clear()
            _folders[key] = cls(folder)
        _folders[key]._refresh()
        return _folders[key]

    def has(self, name: str, stamp: Stamp, sha256: str) -> bool:
        """Whether a file with this stamp had this digest."""
        return not _ignored and self._known.get(name) == (stamp, sha256)

    def remember(self, name: str, stamp: Stamp, sha256: str) -> None:
        """Keep that a file with this stamp, which was ``settled`` before it was read, has this digest."""
        self._known[name] = (stamp, sha256)
        self._append(f"{sha256} {' '.join(map(str, stamp))} {name}")

    def forget(self, name: str) -> None:
        """Keep no digest of a file."""
        if self._known.pop(name, None):
            self._append(f"{_FORGOTTEN} 0 0 0 0 {name}")

    def _refresh(self) -> None:
        """Read what was appended since."""
        try:
            status = self._file.stat()
        except OSError:
            self._known, self._lines, self._inode, self._read_to = {}, 0, 0, 0
            return
        if status.st_ino != self._inode or status.st_size < self._read_to:  # another file
            self._known, self._lines, self._inode, self._read_to = {}, 0, status.st_ino, 0
        if status.st_size == self._read_to:
            return
        with open(self._file, "rb") as stream:
            stream.seek(self._read_to)
            data = stream.read()
        self._read_to += len(data)
        self._parse(data.decode(errors="replace"))
        if self._lines > 2 * len(self._known) + 1000:
            self._shorten()

    def _parse(self, text: str) -> None:
        for line in text.splitlines():
            self._lines += 1
            try:
                sha256, size, inode, modified, changed, name = line.split(" ", 5)
                self._known[name] = Stamp(int(size), int(inode), int(modified), int(changed)), sha256
                if sha256 == _FORGOTTEN:
                    del self._known[name]
            except ValueError:
                continue  # cut short, or damaged: no stamp

    def _shorten(self) -> None:
        """Leave out what later lines replace. What another process appends meanwhile is lost, and hashed once more."""
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        lines = (f"{sha256} {' '.join(map(str, stamp))} {name}\n" for name, (stamp, sha256) in self._known.items())
        with _best_effort(self._file):
            temporary.write_text("".join(lines), encoding="utf-8")
            temporary.replace(self._file)

    def _append(self, line: str) -> None:
        if "\n" in line or "\r" in line:
            return
        with _best_effort(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(descriptor, f"{line}\n".encode())  # at once: lines of several processes do not mix
            finally:
                os.close(descriptor)


@contextmanager
def _best_effort(path: Path) -> Iterator[None]:
    """Go on where the cache cannot be written, and say so once."""
    global _warned
    try:
        yield
    except OSError as error:
        if not _warned:
            from walt.core.log import warning  # it takes 30 ms to import

            _warned = True
            warning(f"{path}: {error.strerror}: files are hashed at every opening ({CACHE_VARIABLE} names a folder)")
