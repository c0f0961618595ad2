"""A folder in memory for what tests write: on a disk, most of a small test's time is waiting until its files are safe.

Nothing that is tested is different there: files are synced as ever, which takes microseconds. Where there is no such
folder, or not room enough, tests write to the disk. So do tests that stop a process before it ends (``on_disk``).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SHARED_MEMORY = Path("/dev/shm")
ROOM = 8 << 30
"""Bytes that must be free; a run of all tests leaves less than half of that behind."""
_PREFIX = "walt-tests-"


class MemoryFolder:
    """One folder, until ``close``. Folders of runs that were killed are removed.

    Attributes:
        path: None where there is no memory for it.
    """

    def __init__(self, shared_memory: Path = SHARED_MEMORY, room: int = ROOM) -> None:
        self.path: Path | None = None
        if not _is_usable(shared_memory, room):
            return
        for left in shared_memory.glob(f"{_PREFIX}*"):
            _remove_unless_in_use(left)
        self.path, self._lock = _make(shared_memory)

    def close(self, keep: bool = False) -> None:
        """Remove the folder, or leave it until the next run."""
        if self.path is not None:
            os.close(self._lock)
            if not keep:
                shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """For a process that a test must stop before it ends: in memory it might be faster than the test."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def folder_of_run(factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of a test run have in common, for what one of them makes for all."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def _is_usable(folder: Path, room: int) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    about = os.statvfs(folder)
    if about.f_flag & os.ST_NOEXEC:  # some tests write commands
        return False
    return min(about.f_bavail * about.f_frsize, psutil.virtual_memory().available) >= room


def _make(shared_memory: Path) -> tuple[Path, int]:
    """A folder and its lock. Another run that starts may take it for one that was left, until it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=shared_memory))
        try:
            lock = _lock(folder)
        except FileNotFoundError:
            continue
        if lock is not None and folder.is_dir():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """The descriptor that holds the folder's lock; None where another process holds it."""
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_unless_in_use(folder: Path) -> None:
    try:
        lock = _lock(folder)
    except OSError:  # another user's, or removed meanwhile
        return
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
