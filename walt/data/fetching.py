"""Inputs that are not plain local files: members of tars, and files on servers.

A member of a tar is copied out under a neutral name while it is decoded. A remote file is fetched, hashed and cut in
one go, in the worker process, and removed: no more than one file a worker is here at a time. What the server says of it
(size and ETag) is remembered under ``work/``, so that the next run need not fetch what is as it was. The hint only
saves work: a file is identified by the hash of its bytes, and one without a strong ETag is fetched again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from walt.core import remote
from walt.core.compute import ComputeConfig
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.execute import Outcome, map_items
from walt.core.log import ProgressBar
from walt.core.remote_errors import MissingError
from walt.core.storage import clean_temporary, sha256_file
from walt.data.config import IngestConfig
from walt.data.ingestion import TRANSIENT, ClipCache, SourceEntry, SourceFile
from walt.data.sources.items import Item, Kind, Span
from walt.data.sources.locations import is_elsewhere, is_plain, local_copy, whole_file

MOST_BYTES = 16 << 30
"""Larger remote files are refused, as the server states their size: temporary space has to end somewhere."""

DOWNLOAD_SECONDS = 600.0
"""What a download may take, besides the time that a decoder may."""
TEMPORARY_FOLDER = "fetched"

_OURS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES))
"""How a StorageError ends that is no server's fault."""

Cut = Callable[[SourceFile], tuple[SourceEntry, bytes]]
Result = tuple[SourceFile, SourceEntry, bytes]


def cut_anywhere(folder: Path, cut: Cut, source: SourceFile) -> tuple[SourceEntry, bytes]:
    """``cut(source)``, with what is no plain file copied to ``folder`` for the time. Runs in a worker process."""
    if is_plain(os.fsdecode(source.path)):
        return cut(source)
    try:
        with local_copy(os.fsdecode(source.path), folder) as path:
            return cut(replace(source, path=os.fsencode(path)))
    except OSError as error:
        return SourceEntry(source.sha256, (), None, "unreadable", str(error.strerror)), b""


@dataclass(frozen=True)
class Hint:
    """What was known of a remote file when it was fetched."""

    etag: str
    size: int | None
    sha256: str


@dataclass(frozen=True)
class Wanted:
    """A remote file, or a member of a remote tar, and the parts of it that are inputs."""

    location: str
    parts: tuple[tuple[Kind, Span | None], ...]
    hint: Hint | None


@dataclass(frozen=True)
class Fetched:
    """What came of it: a refusal's code and cause, or the hash and what the cache lacked."""

    sha256: str | None = None
    hint: Hint | None = None
    results: tuple[Result, ...] = ()
    code: str | None = None
    cause: str = ""


def fetch(folder: Path, cut: Cut, cache: ClipCache, wanted: Wanted) -> Fetched:
    """Fetch, hash and cut one remote file, or find that it is as it was. Runs in a worker process.

    Raises:
        StorageError: a bucket cannot be read, or there is no room here. On the web at large a dead link is one item's
            fate: a refusal.
    """
    try:
        whole = whole_file(wanted.location)
        found = remote.stat(whole)
        if found is None:
            return Fetched(code="missing", cause="the server has no such file")
        if whole == wanted.location and found.size is not None and found.size > MOST_BYTES:
            return Fetched(code="too_large", cause=f"{found.size} bytes, more than {MOST_BYTES}")
        known = wanted.hint
        if known and (known.etag, known.size) == (found.etag, found.size):
            files = [SourceFile(b"", known.sha256, kind, span) for kind, span in wanted.parts]
            if all(cache.get(file) for file in files):
                return Fetched(known.sha256, known)
        with local_copy(wanted.location, folder) as path:
            return _cut_parts(path, cut, cache, wanted, found)
    except MissingError as error:
        return Fetched(code="missing", cause=str(error))
    except (StorageError, CorruptArtifactError) as error:
        if wanted.location.startswith("s3://") or str(error).endswith(_OURS):
            raise
        return Fetched(code="unreachable", cause=str(error))


def _cut_parts(path: Path, cut: Cut, cache: ClipCache, wanted: Wanted, found: remote.RemoteFile) -> Fetched:
    sha256 = sha256_file(path)
    results: list[Result] = []
    for kind, span in wanted.parts:
        file = SourceFile(os.fsencode(path), sha256, kind, span)
        if cache.get(file) is None:
            results.append((file, *cut(file)))
    etag = found.etag
    strong = etag is not None and not etag.startswith("W/")
    return Fetched(sha256, Hint(etag or "", found.size, sha256) if strong else None, tuple(results))


def fetch_all(
    items: Iterable[Item], work: Path, cut: Cut, cache: ClipCache, compute: ComputeConfig, ingest: IngestConfig
) -> tuple[dict[str, Fetched], int]:
    """Bring the cache up to date with all items that lie on servers.

    Args:
        work: the stage's folder; temporary files and hints lie in it.
        cut: as for ``cut_anywhere``.

    Returns:
        What came of each URL, and how many inputs were decoded now.

    Raises:
        StorageError: a bucket cannot be read, or the disk is full.
    """
    parts: dict[str, list[tuple[Kind, Span | None]]] = {}
    for item in items:
        if is_elsewhere(item.path):
            parts.setdefault(item.path, []).append((item.kind, item.span))
    folder = work / TEMPORARY_FOLDER
    if folder.is_dir():
        clean_temporary(folder)
    hints = Hints(work / "remote.jsonl")
    jobs = (Wanted(location, tuple(of), hints.get(location)) for location, of in parts.items())
    outcomes = map_items(
        partial(fetch, folder, cut, cache), jobs, compute,
        timeout_seconds=ingest.timeout_seconds + DOWNLOAD_SECONDS, memory_mb=ingest.memory_mb,
    )  # fmt: skip
    found: dict[str, Fetched] = {}
    decoded = 0
    if parts:
        with ProgressBar("ingest: fetching", total=len(parts), unit="files") as bar:
            for location, outcome in zip(parts, outcomes, strict=True):
                found[location] = _keep(outcome, location, cache, hints)
                decoded += len(found[location].results)
                found[location] = replace(found[location], results=())  # what they hold is in the cache now
                bar.advance()
    return found, decoded


def _keep(outcome: Outcome[Fetched], location: str, cache: ClipCache, hints: Hints) -> Fetched:
    """Put results where the next run finds them."""
    if outcome.value is None:
        assert outcome.failure is not None
        return Fetched(code=outcome.failure.code, cause=outcome.failure.cause)
    for file, entry, data in outcome.value.results:
        if entry.code not in TRANSIENT:
            cache.put(file, entry, data)
    if outcome.value.hint:
        hints.put(location, outcome.value.hint)
    return outcome.value


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
