"""Latents and text whose tars stay on S3: only their tables are fetched, and the tars are read there, range by range.

The prefix is a copy of a project's ``data`` folder, such as ``aws s3 sync data s3://bucket/prefix`` makes: it has
``latents`` and, for models of text or classes, ``text``. A table that did not change there is not fetched again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from walt.core import remote
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.core.verified_files import cache_folder
from walt.data.clip_table import CLIPS_TABLE
from walt.data.remote_tars import TARS_ELSEWHERE, leave_elsewhere
from walt.data.shards import INDEX_NAME

_NOTE = "attached.json"
_FOLDERS = ("latents", "text")


def attach(url: str, root: Path) -> int:
    """Make ``data/latents`` and ``data/text`` of a project without their tars, which stay under ``url``.

    Returns:
        How many tables were fetched now.

    Raises:
        ConfigurationError: ``url`` is not a prefix on S3, or the project has such tars of its own.
        StorageError: there are no latents, or the server fails.
    """
    if not url.startswith("s3://"):
        raise ConfigurationError(f"{url}: not a prefix on S3")
    prefix, data = url.rstrip("/"), Paths(root).latents.parent
    _check_no_own(data)
    note = data / _NOTE
    before = read_json(note) if note.is_file() else {}
    known = before.get("tables", {}) if before.get("url") == prefix else {}
    tables = {
        file.url.removeprefix(f"{prefix}/"): file
        for folder in _FOLDERS
        for file in remote.list_files(f"{prefix}/{folder}/")
        if file.url.endswith(".parquet")
    }
    if f"latents/{CLIPS_TABLE}" not in tables:
        raise StorageError(f"{prefix}/latents/{CLIPS_TABLE}: no such file")
    fetched = 0
    for name, file in tables.items():
        if known.get(name) != file.etag or not (data / name).is_file():
            remote.download(file.url, data / name, size=file.size)
            fetched += 1
        if PurePosixPath(name).name == INDEX_NAME:
            leave_elsewhere((data / name).parent, str(file.url).rpartition("/")[0])
    write_json(note, {"url": prefix, "tables": {name: file.etag for name, file in tables.items()}})
    return fetched


def attached(url: str) -> Path:
    """A folder of this machine's cache to which ``url`` is attached, as a project's root. Raises as ``attach``."""
    root = cache_folder() / "attached" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]
    attach(url, root)
    return root


def _check_no_own(data: Path) -> None:
    for folder in _FOLDERS:
        for index in (data / folder).rglob(INDEX_NAME):
            if not (index.parent / TARS_ELSEWHERE).is_file():
                raise ConfigurationError(f"{index.parent}: the project has tars of its own: move them away first")
