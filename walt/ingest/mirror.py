"""Keeps a remote prefix (``s3://bucket/prefix``) equal to what ingest made, and fetches it back.

The prefix holds ``clips/<HxW>/clips-000000.tar`` ..., ``clips/<HxW>/shards.parquet``, ``clips/clips.parquet``,
``manifest/part-000000.parquet`` ..., ``manifest/_index.json``, ``rejects.parquet`` and ``clip_rejects.parquet`` as
under ``data/``, and ``published.json``, which names each with its size and SHA-256. That list is removed before
anything changes and written last: if it is there, so is everything that it names. Why this is a copy, and the pipeline
still reads ``data/``: docs/decisions/0007.

A file is not ours just because of its name, and only our own files are overwritten or removed: those that the list
names, those that the note in ``work/ingest/published`` says were there or being uploaded when the list was removed, and
on S3 those with the digest that our uploads store as metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from walt.core import remote
from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.data.partitions import PARTS_INDEX, read_parts
from walt.data.shards import INDEX_NAME, read_index

LIST_NAME = "published.json"

_FORMER = frozenset({"manifest.parquet"})
"""Names that earlier versions wrote: they are removed, and neither written nor fetched."""
_OURS = re.compile(
    r"clips/clips\.parquet|clips/\d+x\d+/(clips-\d+\.tar|shards\.parquet)"
    r"|manifest/(part-\d+\.parquet|_index\.json)|(manifest|rejects|clip_rejects)\.parquet"
)
"""All names that this or an earlier version writes."""
_PROBE = re.compile(re.escape(remote.PROBE) + r"\d+")
"""Only this project writes such names, so they count as ours without a further check."""
_THREADS = 4
"""Files transferred at the same time; each needs up to 64 MB."""


@dataclass(frozen=True)
class _File:
    """One file that is published."""

    name: str
    bytes: int
    sha256: str

    @property
    def rank(self) -> int:
        """Tars come first, then the indexes that name them, then the tables, then the index of the manifest."""
        if self.name.endswith(".tar"):
            return 0
        return 1 if self.name.endswith(INDEX_NAME) else 3 if self.name.endswith(PARTS_INDEX) else 2


def check_mirror(paths: Paths, prefix: str) -> None:
    """Raise ConfigurationError or StorageError where ``ingest.output`` is not a URL that can be written, or holds
    foreign files under the names that we use."""
    try:
        remote.check_writable(prefix)
    except ConfigurationError as error:
        raise ConfigurationError(f"ingest.output: {error}") from None
    _ours_there(paths, prefix.rstrip("/"))


def mirror(paths: Paths, prefix: str) -> int:
    """Bring ``prefix`` up to date: what is there with the same bytes stays, the rest is uploaded or removed.

    Returns:
        How many files were uploaded, ``published.json`` not counted.

    Raises:
        StorageError: the server fails for longer than a few attempts; what is uploaded stays, and a rerun continues.
        CorruptArtifactError: a local file is not what its index says.
        ConfigurationError: foreign files have appeared there since ``check_mirror``; nothing was changed.
    """
    prefix = prefix.rstrip("/")
    wanted = {file.name: file for file in _local_files(paths)}
    listed = _ours_there(paths, prefix)

    def is_there(file: _File) -> bool:
        """The listing has the sizes; the server is asked for the digests of files whose sizes agree."""
        if listed.get(file.name) != file.bytes:
            return False
        found = remote.stat(f"{prefix}/{file.name}")
        return found is not None and found.sha256 == file.sha256

    with ThreadPoolExecutor(_THREADS) as pool:
        todo = [
            file for file, there in zip(wanted.values(), pool.map(is_there, wanted.values()), strict=True) if not there
        ]
    stale = [name for name in listed if name not in wanted and name != LIST_NAME]
    published = paths.work("ingest") / LIST_NAME
    write_json(published, {file.name: {"bytes": file.bytes, "sha256": file.sha256} for file in wanted.values()})
    url = f"{prefix}/{LIST_NAME}"
    if not todo and not stale and LIST_NAME in listed and remote.read_bytes(url) == published.read_bytes():
        return 0

    def send(file: _File) -> None:
        if remote.upload(_local(paths, file.name), f"{prefix}/{file.name}") != file.sha256:
            raise CorruptArtifactError(f"{_local(paths, file.name)}: its sha256 differs from the index")

    write_json(_note(paths, prefix), sorted({*listed, *wanted, LIST_NAME}))
    remote.remove(url)
    _in_order("ingest: uploading", todo, send)
    for name in stale:
        remote.remove(f"{prefix}/{name}")
    remote.upload(published, url)
    write_json(_note(paths, prefix), sorted({*wanted, LIST_NAME}))
    return len(todo)


def fetch(paths: Paths, prefix: str) -> int:
    """Fetch what was published under ``prefix`` to ``data/``, verified; files that are there already stay.

    Returns:
        How many files were fetched.

    Raises:
        StorageError: nothing is published there, or an upload is not finished.
        CorruptArtifactError: a file is not what ``published.json`` says.
    """
    prefix = prefix.rstrip("/")
    wanted = _published(prefix)
    todo = [file for file in wanted if not _is_here(_local(paths, file.name), file)]
    for file in todo:
        if file.rank:  # an index or a table that names tars which are about to change
            _local(paths, file.name).unlink(missing_ok=True)

    def get(file: _File) -> None:
        path = _local(paths, file.name)
        remote.download(f"{prefix}/{file.name}", path, size=file.bytes, sha256=file.sha256)

    _in_order("fetch", todo, get)
    names = {file.name for file in wanted}
    for top, folder in _folders(paths).items():
        for path in folder.rglob("*"):
            if path.is_file() and f"{top}/{path.relative_to(folder).as_posix()}" not in names:
                path.unlink()
    for name in _FORMER:
        (paths.manifest.parent / name).unlink(missing_ok=True)
    return len(todo)


def _ours_there(paths: Paths, prefix: str) -> dict[str, int | None]:
    """The files under a prefix that have the names we use, by name, with their sizes, after a check that all are ours.

    Raises:
        ConfigurationError: one of them is not ours.
    """
    names = ((found.url.removeprefix(f"{prefix}/"), found.size) for found in remote.list_files(f"{prefix}/"))
    listed = {
        name: size for name, size in names if name == LIST_NAME or _OURS.fullmatch(name) or _PROBE.fullmatch(name)
    }
    known = _noted(paths, prefix)
    if LIST_NAME in listed:
        with suppress(ValueError):  # foreign, or ours and damaged: it is checked below like any other file
            known |= {LIST_NAME, *(file.name for file in _parse(remote.read_bytes(f"{prefix}/{LIST_NAME}")))}
    doubtful = [name for name in sorted(listed) if name not in known and not _PROBE.fullmatch(name)]

    def is_uploaded(name: str) -> bool:
        """Only S3 stores the digest that an upload gives."""
        found = remote.stat(f"{prefix}/{name}") if prefix.startswith("s3://") else None
        return found is not None and found.sha256 is not None

    with ThreadPoolExecutor(_THREADS) as pool:
        foreign = [name for name, ours in zip(doubtful, pool.map(is_uploaded, doubtful), strict=True) if not ours]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ConfigurationError(
            f"ingest.output: {prefix} holds files that this project did not publish; choose an empty prefix, or remove "
            f"them: {foreign[0]}{more}"
        )
    return listed


def _note(paths: Paths, prefix: str) -> Path:
    return paths.work("ingest") / "published" / f"{sha256_json(prefix)[:16]}.json"


def _noted(paths: Paths, prefix: str) -> set[str]:
    """Names of the files that this project last had under a prefix, or was uploading there."""
    path = _note(paths, prefix)
    try:
        return set(read_json(path)) if path.is_file() else set()
    except (ValueError, TypeError) as error:
        warning(f"ingest: {path}: ignored, since it is damaged: {error}")
        return set()


def _in_order(title: str, files: Iterable[_File], action: Callable[[_File], None]) -> None:
    """Apply the action to all files by rank, to several of one rank at a time."""
    files = sorted(files, key=lambda file: (file.rank, file.name))
    with (
        ProgressBar(title, total=len(files), unit="files", meters=("MB",)) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for _, batch in groupby(files, key=lambda file: file.rank):
            of_rank = list(batch)
            for file, _ in zip(of_rank, pool.map(action, of_rank), strict=True):
                bar.advance(MB=file.bytes / 1e6)


def _folders(paths: Paths) -> dict[str, Path]:
    return {"clips": paths.clips, "manifest": paths.manifest}


def _local(paths: Paths, name: str) -> Path:
    top, _, rest = name.partition("/")
    return _folders(paths)[top] / rest if rest else {table.name: table for table in _tables(paths)}[name]


def _tables(paths: Paths) -> tuple[Path, ...]:
    return paths.rejects, paths.clip_rejects


def _local_files(paths: Paths) -> list[_File]:
    """Everything that is published: tars and parts as their indexes say, and the tables."""
    files = [_File(f"manifest/{part.part}", part.bytes, part.sha256) for part in read_parts(paths.manifest)]
    tables = [*(table.name for table in _tables(paths)), f"manifest/{PARTS_INDEX}", "clips/clips.parquet"]
    for index in sorted(paths.clips.glob(f"*/{INDEX_NAME}")):
        folder = f"clips/{index.parent.name}"
        files += [_File(f"{folder}/{tar.shard}", tar.bytes, tar.sha256) for tar in read_index(index.parent).records]
        tables.append(f"{folder}/{INDEX_NAME}")
    for name in tables:
        path = _local(paths, name)
        files.append(_File(name, path.stat().st_size, sha256_file(path)))
    return files


def _published(prefix: str) -> list[_File]:
    url = f"{prefix}/{LIST_NAME}"
    if remote.stat(url) is None:
        raise StorageError(f"{url}: not there: nothing was published, or an upload is not finished")
    try:
        files = _parse(remote.read_bytes(url))
    except ValueError as error:
        raise CorruptArtifactError(f"{url}: {error}") from error
    if any(file.name in _FORMER for file in files):
        raise CorruptArtifactError(f"{url}: names files that ingest no longer makes: publish again")
    return files


def _parse(data: bytes) -> list[_File]:
    """A published list. Raises ValueError if the data are not one."""
    try:
        files = [_File(name, **facts) for name, facts in json.loads(data).items()]
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a list of files: {error}") from error
    if not files or not all(_OURS.fullmatch(file.name) for file in files):
        raise ValueError("names no files, or files that ingest does not make")
    return files


def _is_here(path: Path, file: _File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256_file(path) == file.sha256
