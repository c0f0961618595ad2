"""Files: atomic writes, checks, locks.

Every write goes to a temporary file in the same folder, is fsynced, then renamed: a file under its final name is
complete. Directories are published the same way, their index last.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError, LockedError, NotJsonError, StorageError, WaltError
from walt.core.verified_files import Stamp, StampedFiles

TEMPORARY_SUFFIX = ".tmp"
"""Suffix of temporary files: those that a killed process left behind are removed by ``clean_temporary``."""


_OF_STORAGE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.ESTALE, errno.ETIMEDOUT, errno.ENXIO, errno.ENODEV, errno.ENOTCONN,  # a server or a device has gone
}  # fmt: skip
_IN_THE_WAY = "a file is where a folder is to be, or a folder where a file is: move it away"
_AT_ONCE = 1 << 20
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def atomic_write(path: str | Path, *, keep_equal: bool = False, buffering: int = -1) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under ``path`` only when the block ends without an error.

    Args:
        keep_equal: an existing file with the same bytes stays untouched, so that its modification time does not change.
        buffering: bytes that are written at once; -1: as Python has it.

    Raises:
        StorageError: the disk is full or read-only.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb", buffering) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            if not (keep_equal and path.is_file() and sha256_file(path) == sha256_file(temporary)):
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
    """Write ``data`` atomically."""
    with atomic_write(path) as stream:
        stream.write(data)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of the user's own atomically: through a link to it, and with the permissions that it has.

    Raises StorageError.
    """
    target = path.resolve()
    mode = target.stat().st_mode & 0o7777 if target.is_file() else None
    write_bytes(target, data)
    if mode is not None:
        with storage_errors(target):
            target.chmod(mode)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, with sorted keys: the same value gives the same bytes."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: str | Path) -> Any:
    """Read a JSON file. Raises NotJsonError, and OSError as ``open``."""
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise NotJsonError(f"{path}: not JSON: {str(error).splitlines()[0]}") from error


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """A temporary directory that replaces ``path`` when the block ends without an error.

    Where the system can exchange two names at once (Linux), ``path`` is never missing. Where it is a link to a
    directory, that one is replaced, and the link stays.

    Raises StorageError, also where it is a link to what is not there.
    """
    path = real_directory(Path(path))
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with storage_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in sorted(p for p in temporary.rglob("*") if p.is_file()):
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
            _put_in_place(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_directory(path.parent)


def real_directory(path: Path) -> Path:
    """Where a directory is that may be a link, as to a larger disk.

    Raises:
        StorageError: nothing is where the link, or one above it, points to: that disk is not mounted.
    """
    with storage_errors(path):
        for link in (path, *path.parents):
            if link.is_symlink() and not link.exists():
                raise StorageError(f"{link}: a link to {link.readlink()}, where nothing is")
        return path.resolve() if path.is_symlink() and path.is_dir() else path


def _put_in_place(temporary: Path, path: Path) -> None:
    """Give a directory the name of another, which is then removed, under the temporary name if need be."""
    if path.is_dir() and not path.is_symlink():
        if _exchange(temporary, path):
            return  # what was there is removed with the temporary name
        aside = temporary.with_name(f"{temporary.name.removesuffix(TEMPORARY_SUFFIX)}.old{TEMPORARY_SUFFIX}")
        path.replace(aside)
        temporary.replace(path)
        shutil.rmtree(aside, ignore_errors=True)  # what is read there at this moment stays, on NFS
    else:
        temporary.replace(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where this system or file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def clean_temporary(directory: str | Path) -> None:
    """Remove what killed processes left directly in ``directory``. The caller must hold its lock."""
    for left in Path(directory).glob(f"*{TEMPORARY_SUFFIX}"):
        _remove(left)


def clean_beside(path: Path) -> None:
    """Remove what killed processes left beside a file or folder that is written as a whole, under its temporary names.
    The caller must hold the lock of whoever writes it.

    Where the system cannot exchange two names, and the kill came between the two renames, what was there comes back.
    """
    name = re.compile(rf"{re.escape(path.name)}\.\d+(?P<old>\.old)?{re.escape(TEMPORARY_SUFFIX)}")
    for left in sorted(path.parent.iterdir()) if path.parent.is_dir() else []:
        if found := name.fullmatch(left.name):
            if found["old"] and not path.exists():
                left.replace(path)
            else:
                _remove(left)


def keep_only(directory: Path, names: set[str]) -> None:
    """Remove everything directly in ``directory`` except these names: outdated files, and leftovers of killed runs."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        if path.name not in names:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file, a folder or a link; what a link points to stays."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def sync_directory(path: Path) -> None:
    """Make the renames in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder_writable(directory: Path) -> None:
    """Raise StorageError if the folder, or the one in which it would be made, cannot be written, is a file, or is a
    link to what is not there. Writes nothing."""
    directory = real_directory(directory)
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        raise StorageError(f"{existing}: cannot be written: {_IN_THE_WAY}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise StorageError(f"{existing}: cannot be written")


@contextmanager
def storage_errors(path: str | Path) -> Iterator[None]:
    """Turn the operating system's storage errors into ``StorageError``, naming the path; or what is in its way."""
    try:
        yield
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise StorageError(f"{error.filename2 or error.filename or path}: {_IN_THE_WAY}") from error
    except OSError as error:
        if error.errno in _OF_STORAGE:
            one = error.filename  # that may not be read, of many that may
            denied = error.errno in (errno.EACCES, errno.EPERM) and isinstance(one, str) and Path(one).is_file()
            raise StorageError(f"{one if denied else path}: {os.strerror(error.errno)}") from error
        if isinstance(error, shutil.Error) and storage_error_in(str(error)):  # of a tree: it has many errors, no number
            raise StorageError(in_words(error)) from error
        raise
    except Exception as error:  # of libraries in Rust, which have the system's errors as text alone
        said = None if isinstance(error, WaltError) else _RUST_ERROR.search(str(error))
        if said is None or int(said[1]) not in _OF_STORAGE:
            raise
        raise StorageError(f"{path}: {os.strerror(int(said[1]))}") from error


def in_words(error: OSError) -> str:
    """A system's error as ``file: No space left on device``; of two files, that which was written, not that which was
    read. Of several errors (``shutil.copytree``) it is the first; one without a file is its own words."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        _, file, said = error.args[0][0]
        return f"{file}: {storage_error_in(str(said)) or said}"
    file = error.filename2 or error.filename
    return f"{file}: {os.strerror(error.errno)}" if file and error.errno else str(error)


def storage_error_in(text: str) -> str | None:
    """The system's error of storage that a program has in its messages, in the system's words; None without one."""
    return next((words for number in sorted(_OF_STORAGE) if (words := os.strerror(number)) in text), None)


def verify_file(path: Path, num_bytes: int, sha256: str) -> Path:
    """The path, after comparing size and SHA-256 with what an index says. Raises CorruptArtifactError.

    A file that was hashed on this machine and has not changed since is not hashed again (walt.core.verified_files).
    """
    verify_files(path.parent, [(path.name, num_bytes, sha256)])
    return path


def verify_files(folder: Path, files: Iterable[tuple[str, int, str]], *, again: bool = False) -> list[Stamp]:
    """Compare files of a folder, (name, size, SHA-256), with what an index says, as ``verify_file`` does.

    Args:
        again: whatever was hashed before is hashed again.

    Returns:
        What identifies each file's present content without reading it.
    """
    stamped, found = StampedFiles.of(folder), list[Stamp]()
    for name, num_bytes, sha256 in files:
        path = f"{folder}/{name}"  # a Path takes as long as the question, and there may be many files
        try:
            status = os.stat(path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            status = None
        if status is None or not stat.S_ISREG(status.st_mode):
            raise CorruptArtifactError(f"{path}: the index names it, but it is missing")
        if status.st_size != num_bytes:
            raise CorruptArtifactError(f"{path}: {status.st_size} bytes, but the index says {num_bytes}")
        stamp = Stamp.of(status)
        if again or not stamped.has(name, stamp, sha256):
            _hash(Path(path), stamp, sha256, stamped)
        found.append(stamp)
    return found


def _hash(path: Path, stamp: Stamp, sha256: str, stamped: StampedFiles) -> None:
    """Compare a file's SHA-256, and keep that it is right. Raises CorruptArtifactError."""
    settled = stamp.settled()
    if sha256_file(path) != sha256:
        stamped.forget(path.name)
        raise CorruptArtifactError(f"{path}: its sha256 differs from the index")
    if settled and Stamp.of(path.stat()) == stamp:
        stamped.remember(path.name, stamp, sha256)


def verify_open(descriptor: int, path: Path, stamp: Stamp, num_bytes: int, sha256: str) -> None:
    """Compare an open file, whose ``stamp`` was taken before, with what an index says; ``path`` is where it was, where
    another one may be by now. Its position stays as it is.

    Raises:
        CorruptArtifactError: its size or SHA-256 differs.
        StorageError: it cannot be read.
    """
    if stamp.size != num_bytes:
        raise CorruptArtifactError(f"{path}: {stamp.size} bytes, but the index says {num_bytes}")
    stamped, settled, read, found = StampedFiles.of(path.parent), stamp.settled(), 0, hashlib.sha256()
    with storage_errors(path):
        while data := os.pread(descriptor, _AT_ONCE, read):
            found.update(data)
            read += len(data)
        unchanged = Stamp.of(os.fstat(descriptor)) == stamp
    if found.hexdigest() != sha256:
        stamped.forget(path.name)
        raise CorruptArtifactError(f"{path}: its sha256 differs from the index")
    if settled and unchanged:
        stamped.remember(path.name, stamp, sha256)


@contextmanager
def lock(path: str | Path) -> Iterator[None]:
    """Hold the lock file ``path``, which contains the holder's pid and machine. The lock of a dead process is free.

    Raises:
        LockedError: a running process holds it; the message names its pid, and its machine where it is another.
        StorageError: the file cannot be written, or the file system has no locks.
    """
    path = Path(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _, machine = os.pread(descriptor, 300, 0).decode(errors="replace").strip().partition(" ")
            where = f" on {machine}" if machine not in ("", platform.node()) else ""
            raise LockedError(f"{path}: held by process {holder or 'unknown'}{where}") from None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                said = "without locks, two runs would write the same files: mount it with them (NFS 4 has some)"
                raise StorageError(f"{path}: {os.strerror(error.errno)}: {said}") from error
            raise
        with storage_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {platform.node()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
