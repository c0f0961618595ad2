"""A location is read, in a worker process: what lies there is hashed, and what the cache lacks of it is cut.

It is the same wherever the source lies. A member of a tar is copied out under a neutral name while it is decoded. A
remote file is fetched and removed: no more than one file a worker is here at a time. What the server says of it (size
and ETag) is remembered under ``work/``, so that the next run need not fetch what is as it was. The hint only saves
work: a file is identified by the hash of its bytes, and one without a strong ETag is fetched again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from walt.core import remote
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.remote_errors import MissingError
from walt.core.storage import sha256_file
from walt.ingest.clip_cache import ClipCache, SourceEntry, SourceFile
from walt.ingest.sources.items import Span
from walt.ingest.sources.locations import hash_location, is_elsewhere, local_copy, num_bytes, whole_file
from walt.media.kinds import Kind

MOST_BYTES = 16 << 30
"""Larger remote files are refused, as the server states their size: temporary space has to end somewhere."""

DOWNLOAD_SECONDS = 600.0
"""What a download may take, besides the time that a decoder may."""

_REPLACED = "it was replaced on the server while it was fetched"

_OURS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES))
"""How a StorageError ends that is not a server's fault."""

Cut = Callable[[Path, SourceFile], tuple[SourceEntry, bytes]]
Result = tuple[SourceFile, SourceEntry, bytes]


@dataclass(frozen=True)
class Hint:
    """What was known of a remote file when it was fetched."""

    etag: str
    size: int | None
    sha256: str


@dataclass(frozen=True)
class LocationTask:
    """A location to read, and what of the file there is an input: kind and span of each."""

    location: str
    spans: tuple[tuple[Kind, Span | None], ...]
    hint: Hint | None = None


@dataclass(frozen=True)
class Found:
    """What came of it: the hash and what the cache lacked, or a refusal's code and cause."""

    sha256: str = ""
    """Empty: the bytes could not be read."""
    results: tuple[Result, ...] = ()
    hint: Hint | None = None
    code: str | None = None
    cause: str = ""
    num_bytes: int = 0
    """That were read, or fetched; none where a hint made that needless."""


def read_location(folder: Path, cut: Cut, cache: ClipCache | None, task: LocationTask) -> Found:
    """Hash what lies at a location, and cut its inputs. Runs in a worker process.

    Args:
        folder: for temporary files.
        cache: what it holds is not cut; None: everything is. On another machine it may not be there to be seen, or not
            be the one that the results go to, which is the caller's to find out.

    Raises:
        StorageError: a bucket cannot be read, or there is no room here. On the web at large a dead link is one item's
            fate: a refusal.
    """
    if is_elsewhere(task.location):
        return _fetch(folder, cut, cache, task)
    sha256, size = "", 0
    try:
        sha256 = hash_location(task.location)
        size = num_bytes(task.location)
        lacking = _lacking(cache, sha256, task)
        if not lacking:
            return Found(sha256, num_bytes=size)
        with local_copy(task.location, folder) as path:
            return Found(sha256, tuple((file, *cut(path, file)) for file in lacking), num_bytes=size)
    except OSError as error:
        return Found(sha256, code="unreadable", cause=str(error.strerror), num_bytes=size)


def only_hash(folder: Path, cut: Cut, task: LocationTask) -> Found:
    """What is left to do where reading it ended the process: a table of rejects names the hash. Raises StorageError."""
    return read_location(folder, cut, None, replace(task, spans=()))


def _fetch(folder: Path, cut: Cut, cache: ClipCache | None, task: LocationTask) -> Found:
    """The same for a remote file, or a member of a remote tar; it may turn out to be as it was."""
    try:
        whole, known = whole_file(task.location), task.hint
        stated = remote.stat(whole)
        if stated is None:
            return Found(code="missing", cause="the server has no such file")
        if whole == task.location and stated.size is not None and stated.size > MOST_BYTES:
            return Found(code="too_large", cause=f"{stated.size} bytes, more than {MOST_BYTES}")
        if known and (known.etag, known.size) == (stated.etag, stated.size) and not _lacking(cache, known.sha256, task):
            return Found(known.sha256, hint=known)
        with local_copy(task.location, folder) as path:
            if _was_replaced(whole, stated):
                return Found(code="changed", cause=_REPLACED)
            sha256 = sha256_file(path)
            size = num_bytes(str(path))
            results = tuple((file, *cut(path, file)) for file in _lacking(cache, sha256, task))
        strong = stated.etag is not None and not stated.etag.startswith("W/")
        hint = Hint(stated.etag or "", stated.size, sha256) if strong else None
        return Found(sha256, results, hint, num_bytes=size)
    except MissingError as error:
        return Found(code="missing", cause=str(error))
    except OSError as error:
        if error.errno != errno.ENODATA:  # a tar that is shorter than its list of members
            raise
        return Found(code="changed", cause=_REPLACED)
    except (StorageError, CorruptArtifactError) as error:
        if task.location.startswith("s3://") or str(error).endswith(_OURS):
            raise
        return Found(code="unreachable", cause=str(error))


def _was_replaced(whole: str, stated: remote.RemoteFile) -> bool:
    """Whether a bucket holds another object now, itself or as the tar of a member: bytes of both may have come, in
    the size of the first.

    Web servers are not asked: several behind one name may give several ETags to one file.
    """
    if not whole.startswith("s3://"):
        return False
    now = remote.stat(whole)
    return now is None or now.etag != stated.etag


def _lacking(cache: ClipCache | None, sha256: str, task: LocationTask) -> list[SourceFile]:
    files = dict.fromkeys(SourceFile(sha256, kind, span) for kind, span in task.spans)  # members may share a file
    return [file for file in files if cache is None or cache.get(file) is None]


class Hints:
    """The hints of all remote files: a file to which lines are added. A torn line, or none, costs a download."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Hint] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError):  # what a killed process wrote
                    location, etag, size, sha256 = json.loads(line)
                    self._known[location] = Hint(etag, size, sha256)

    def get(self, location: str) -> Hint | None:
        """What is known of a URL."""
        return self._known.get(_digest(location))

    def put(self, location: str, hint: Hint) -> None:
        """Remember it, here and in the file."""
        key = _digest(location)
        if self._known.get(key) == hint:
            return
        self._known[key] = hint
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps([key, hint.etag, hint.size, hint.sha256]))  # after a torn line, too


def _digest(location: str) -> str:
    """A URL may hold a signature, which has no business in a file."""
    return hashlib.sha256(location.encode("utf-8", "surrogateescape")).hexdigest()[:32]
