"""Which source a person means: a file, a name in the dataset, a URL, or a SHA-256."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core import remote
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.own_digest import check_parquet
from walt.core.paths import Paths, located
from walt.core.printable import printable
from walt.core.remote_errors import shown
from walt.core.scratch import scratch_folder
from walt.data.manifest import has_manifest, manifest_parts

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def digests_of(given: str, paths: Paths, dataset_path: str) -> list[str]:
    """The SHA-256 of the sources that ``given`` is, sorted: several where a name stands for several inputs.

    Args:
        given: a SHA-256; a local file; a name as in the manifest's column ``source``, without its span; such a name
            below ``dataset.path``; or a URL, which is fetched where the tables do not know it.
        dataset_path: ``dataset.path`` of the project.

    Raises:
        ConfigurationError: nothing is known by this name.
        StorageError: a URL cannot be fetched.
    """
    if _SHA256.fullmatch(given):
        return [given.lower()]
    for path in (located(Path(), given), located(paths.root, given)):
        if not remote.is_remote(given) and path.is_file():
            return [sha256_file(path)]
    prefix = f"{dataset_path.rstrip('/')}/"
    names = {printable(given), printable(given.removeprefix(prefix))}
    if found := sorted({digest for name, digest in _known(paths) if _is_one_of(name, names)}):
        return found
    if remote.is_remote(given):
        with scratch_folder() as folder:
            remote.download(given, folder / "source")
            return [sha256_file(folder / "source")]
    raise ConfigurationError(f"{shown(printable(given))}: no file, and no source in the manifest or the rejects table")


def _is_one_of(name: str, names: Collection[str]) -> bool:
    return name in names or ("#t=" in name and name.rpartition("#t=")[0] in names)


def _known(paths: Paths) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of all sources in the manifest and in the table of rejects, those of one row group in memory."""
    if has_manifest(paths.manifest):
        for groups in manifest_parts(paths.manifest, ("source", "source_sha256")):
            for table in groups:
                yield from _pairs(table, "source", "source_sha256")
    if paths.rejects.is_file():
        check_parquet(paths.rejects)
        yield from _pairs(pq.read_table(paths.rejects, partitioning=None), "source", "sha256")


def _pairs(table: pa.Table, name: str, digest: str) -> Iterator[tuple[str, str]]:
    table = table.filter(pc.is_valid(table[digest]))
    pairs = zip(table[name].to_pylist(), table[digest].to_pylist(), strict=True)
    yield from dict.fromkeys(pairs)
