"""Folders for files that are needed for a while: in ``$TMPDIR``, or where the system has temporary files.

This is the only door to ``tempfile``. The folder of a process that was killed is removed by the next that needs one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from walt.core.errors import StorageError
from walt.core.log import warning
from walt.core.storage import storage_errors

_PREFIX = "walt-scratch-"
_WAYS_ON = "temporary files are written there: make room, or set TMPDIR to a folder that can be written"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder for temporary files, which is removed at the end. While it is in use its maker holds its lock.

    Raises:
        StorageError: there is no place for it, or it could not be written in the block: full, or read-only. The message
            is one line that names the folder and says what to do.
    """
    base = _base()
    with _saying_what_to_do(base):
        folder, descriptor = _make(base)
    try:
        with _saying_what_to_do(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@cache
def _base() -> Path:
    """Where temporary files go. What killed processes left there is removed."""
    try:
        base = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StorageError(f"{error.strerror}: make room in one of them, or set TMPDIR to another") from error
    wanted = os.environ.get("TMPDIR")
    if wanted and Path(wanted).resolve() != base.resolve():
        warning(f"TMPDIR is {wanted}, which cannot be written: temporary files go to {base}")
    _remove_left(base)
    return base


def _make(base: Path) -> tuple[Path, int]:
    """A folder and its lock, which no other process takes for one that was left."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # taken for one that was left
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = folder.is_dir()
        except BlockingIOError:
            ours = False
        except OSError:  # a file system without locks of folders, where nobody can take it for one that was left
            ours = True
        if ours:
            return folder, descriptor
        os.close(descriptor)


def _remove_left(base: Path) -> None:
    for left in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or in use
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if left.stat().st_uid == os.getuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


@contextmanager
def _saying_what_to_do(folder: Path) -> Iterator[None]:
    """Have an error of writing there say so. One without a file's name comes from a write, and what is written in such
    a block is written there; one of a file elsewhere, also of a copy to there, is left as it is."""
    try:
        try:
            yield
        except OSError as error:
            written = error.filename2 or error.filename
            if isinstance(written, (str, bytes)) and not Path(os.fsdecode(written)).is_relative_to(folder):
                raise
            with storage_errors(folder):
                raise
    except StorageError as error:
        if str(folder) not in str(error) or _WAYS_ON in str(error):
            raise
        raise StorageError(f"{error}; {_WAYS_ON}") from error
