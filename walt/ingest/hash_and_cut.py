"""Reads one location in a worker process: its bytes are hashed, and clips that the cache lacks are cut.

Local and remote sources are handled alike. A member of a tar is copied out under a neutral name while it is decoded. A
remote file is fetched and removed afterwards: at most one file per worker is on disk at a time. What the server says of
it (size and ETag) is remembered under ``work/``, so that the next run need not fetch a file that has not changed. This
hint only saves work: a file is identified by the hash of its bytes, and one without a strong ETag is fetched again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from walt.core import remote
from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError, StorageError, WaltError
from walt.core.remote_errors import MissingError
from walt.ingest.clip_cache import ClipCache, SourceEntry, SourceFile, named
from walt.ingest.sources.items import Span
from walt.ingest.sources.locations import hash_location, is_elsewhere, local_copy, num_bytes, whole_file
from walt.media.images import SourceError
from walt.media.kinds import Kind

MOST_BYTES = 16 << 30
"""Remote files that the server says are larger than this are refused, since temporary space is limited."""

DOWNLOAD_SECONDS = 600.0
"""Time allowed for a download, in addition to the time allowed for decoding."""

_REPLACED = "it was replaced on the server while it was fetched"

_OURS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES))
"""Endings of the messages of storage errors that are caused by this machine, not by a server."""

Cut = Callable[[Path, Sequence[SourceFile]], Iterator[list[tuple[SourceEntry, bytes]]]]
"""``cut_sources`` with a clip rule."""
Result = tuple[SourceFile, SourceEntry, bytes]


@dataclass(frozen=True)
class Hint:
    """What was known about a remote file when it was fetched."""

    etag: str
    size: int | None
    sha256: str


@dataclass(frozen=True)
class LocationTask:
    """A location to read, and the kind and span of each input in the file there."""

    location: str
    spans: tuple[tuple[Kind, Span | None], ...]
    hint: Hint | None = None
    seconds: float = math.inf
    """After this much time no further input is begun."""


@dataclass(frozen=True)
class LocationResult:
    """The hash and the clips that the cache lacked, or a refusal's code and cause."""

    sha256: str = ""
    """Empty: the bytes could not be read."""
    results: tuple[Result, ...] = ()
    hint: Hint | None = None
    code: str | None = None
    cause: str = ""
    num_bytes: int = 0
    """Bytes that were read or fetched; 0 where a hint made that unnecessary."""
    left: tuple[SourceFile, ...] = ()
    """Inputs that were not begun, because time ran out."""


def read_location(folder: Path, cut: Cut, cache: ClipCache | None, task: LocationTask) -> LocationResult:
    """Hash the bytes at a location, and cut its inputs. Runs in a worker process.

    Args:
        folder: for temporary files.
        cache: what it holds is not cut again; None: everything is cut. On another machine it may not be visible, or not
            be the one that the results go to; the caller has to check that.

    Raises:
        StorageError: a bucket cannot be read, or the disk is full. A dead link on the web is a refusal of that item
            only. Any other exception is a refusal with the code ``internal``.
    """
    try:
        return (_fetch if is_elsewhere(task.location) else _visit)(folder, cut, cache, task)
    except (WaltError, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 one file of millions must not end the run
        return LocationResult(code="internal", cause=named(error))


def _visit(folder: Path, cut: Cut, cache: ClipCache | None, task: LocationTask) -> LocationResult:
    """``read_location`` for a file on this machine, or a member of a tar here."""
    sha256, size = "", 0
    try:
        sha256 = hash_location(task.location)
        size = num_bytes(task.location)
        lacking = _lacking(cache, sha256, task)
        if not lacking:
            return LocationResult(sha256, num_bytes=size)
        with local_copy(task.location, folder) as path:
            results, left = _cut_all(cut, path, lacking, task.seconds)
        return LocationResult(sha256, results, num_bytes=size, left=left)
    except SourceError as error:  # a folder of frames
        return LocationResult(sha256, code=error.code, cause=error.cause, num_bytes=size)
    except OSError as error:
        return LocationResult(sha256, code="unreadable", cause=str(error.strerror), num_bytes=size)


def only_hash(folder: Path, cut: Cut, task: LocationTask) -> LocationResult:
    """Only hash a location, after reading it killed a worker: the rejects table names the hash. Raises StorageError."""
    return read_location(folder, cut, None, replace(task, spans=()))


def _fetch(folder: Path, cut: Cut, cache: ClipCache | None, task: LocationTask) -> LocationResult:
    """``read_location`` for a remote file, or a member of a remote tar; it is not fetched if it has not changed."""
    try:
        whole, known = whole_file(task.location), task.hint
        stated = remote.stat(whole)
        if stated is None:
            return LocationResult(code="missing", cause="the server has no such file")
        if whole == task.location and stated.size is not None and stated.size > MOST_BYTES:
            return LocationResult(code="too_large", cause=f"{stated.size} bytes, more than {MOST_BYTES}")
        if known and (known.etag, known.size) == (stated.etag, stated.size) and not _lacking(cache, known.sha256, task):
            return LocationResult(known.sha256, hint=known)
        with local_copy(task.location, folder) as path:
            if _was_replaced(whole, stated):
                return LocationResult(code="changed", cause=_REPLACED)
            sha256 = sha256_file(path)
            size = num_bytes(str(path))
            results, left = _cut_all(cut, path, _lacking(cache, sha256, task), task.seconds)
        strong = stated.etag is not None and not stated.etag.startswith("W/")
        hint = Hint(stated.etag or "", stated.size, sha256) if strong else None
        return LocationResult(sha256, results, hint, num_bytes=size, left=left)
    except MissingError as error:
        return LocationResult(code="missing", cause=str(error))
    except OSError as error:
        if error.errno != errno.ENODATA:  # the tar is shorter than its list of members says
            raise
        return LocationResult(code="changed", cause=_REPLACED)
    except (StorageError, CorruptArtifactError) as error:
        if task.location.startswith("s3://") or str(error).endswith(_OURS):
            raise
        return LocationResult(code="unreachable", cause=str(error))


def _cut_all(
    cut: Cut, path: Path, files: list[SourceFile], seconds: float
) -> tuple[tuple[Result, ...], tuple[SourceFile, ...]]:
    """The results of these inputs, which are in one file, and those that were not begun within the time.

    The file is hashed again after the last of them: where it changed meanwhile, none of the results counts.
    """
    results: list[Result] = []
    end = time.monotonic() + seconds
    for cuts in cut(path, files):
        results += [(file, *found) for file, found in zip(files[len(results) :], cuts, strict=False)]
        if time.monotonic() >= end:
            break
    refusal = None
    try:
        if files and sha256_file(path) != files[0].sha256:
            refusal = "changed", "its bytes changed while it was read"
    except OSError as error:
        refusal = "unreadable", str(error.strerror)
    if refusal:
        return tuple((file, SourceEntry(file.sha256, (), None, *refusal), b"") for file in files), ()
    return tuple(results), tuple(files[len(results) :])


def _was_replaced(whole: str, stated: remote.RemoteFile) -> bool:
    """Whether the object in the bucket, or the tar of a member, has been replaced: the copy may then mix bytes of both
    and still have the size of the first.

    Web servers are not asked: several servers behind one name may give several ETags to one file.
    """
    if not whole.startswith("s3://"):
        return False
    now = remote.stat(whole)
    return now is None or now.etag != stated.etag


def _lacking(cache: ClipCache | None, sha256: str, task: LocationTask) -> list[SourceFile]:
    files = dict.fromkeys(SourceFile(sha256, kind, span) for kind, span in task.spans)  # members may share a file
    return [file for file in files if cache is None or cache.get(file) is None]


class Hints:
    """The hints of all remote files: a file to which lines are appended. A lost or incomplete line costs a download."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Hint] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError):  # a line that a killed process left incomplete
                    location, etag, size, sha256 = json.loads(line)
                    self._known[location] = Hint(etag, size, sha256)

    def get(self, location: str) -> Hint | None:
        """What is known about a URL."""
        return self._known.get(_digest(location))

    def put(self, location: str, hint: Hint) -> None:
        """Remember it, here and in the file."""
        key = _digest(location)
        if self._known.get(key) == hint:
            return
        self._known[key] = hint
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps([key, hint.etag, hint.size, hint.sha256]))  # also after an incomplete line


def _digest(location: str) -> str:
    """Hash of a location, since a URL may hold a signature, which must not be stored."""
    return hashlib.sha256(location.encode("utf-8", "surrogateescape")).hexdigest()[:32]
