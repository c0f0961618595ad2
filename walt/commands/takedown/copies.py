"""Where copies of a project's files are: DVC's cache and remotes, the mirror of the clips, MLflow's server.

DVC is not started. What this machine cannot look into, or may not remove, is named with what to do about it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from walt.core import remote, servers
from walt.core.errors import StorageError
from walt.core.remote_errors import shown
from walt.core.secrets import without_secrets
from walt.core.storage import write_bytes
from walt.project.params import Params
from walt.tracking.lineage import Version

_CONFIGS = (".dvc/config", ".dvc/config.local")
_OBJECTS = Path("files/md5")


@dataclass(frozen=True)
class Remote:
    """A remote of DVC's."""

    name: str
    url: str
    """URL or path, relative to ``.dvc``."""
    endpoint: str | None
    """Of the S3 server, where DVC's configuration names one."""

    @property
    def is_on_s3(self) -> bool:
        """Whether it is in a bucket that this process's environment leads to."""
        here = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return self.url.startswith("s3://") and self.endpoint in (None, here)


@dataclass(frozen=True)
class DvcStores:
    """The places in which DVC keeps the files of the project."""

    cache: Path
    remotes: tuple[Remote, ...]

    @classmethod
    def of(cls, root: Path) -> DvcStores:
        """As ``.dvc/config`` and ``.dvc/config.local`` say, the latter first."""
        cache, remotes = root / ".dvc/cache", dict[str, dict[str, str]]()
        for name in _CONFIGS:
            file = ConfigParser(interpolation=None)
            file.read(root / name, encoding="utf-8")
            for section in file.sections():
                words = section.strip("'\"").split('"')
                if section == "cache" and file.has_option(section, "dir"):
                    cache = (root / ".dvc" / file.get(section, "dir")).resolve()
                elif words[0].strip() == "remote":
                    remotes.setdefault(words[1], {}).update(file.items(section))
        found = {name: options for name, options in remotes.items() if "url" in options}
        return cls(cache, tuple(Remote(n, found[n]["url"], found[n].get("endpointurl")) for n in sorted(found)))

    def objects(self, files: Iterable[Path]) -> list[str]:
        """The names below a store of those of these files that are objects in the cache."""
        folder = self.cache / _OBJECTS
        return sorted(str(_OBJECTS / file.relative_to(folder)) for file in files if file.is_relative_to(folder))


def remove_from_remotes(root: Path, stores: DvcStores, objects: Iterable[str]) -> Iterator[str]:
    """Remove objects from DVC's remotes: a line for each that was there, or that has to be removed by hand.

    Folders of this machine and ``s3://`` are written to; for all others the line is a request to whoever keeps them.
    """
    for one in stores.remotes:
        for name in objects:
            yield from _removed(root, one, name)


def _removed(root: Path, store: Remote, one: str) -> Iterator[str]:
    if "://" not in store.url:
        path = (root / ".dvc" / store.url / one).resolve()
        if path.is_file():
            path.unlink()
            yield f"removed from DVC's remote '{store.name}': {path}"
        return
    target = f"{store.url.rstrip('/')}/{one}"
    if not store.is_on_s3:
        at = f" at {shown(store.endpoint)}" if store.endpoint else ""
        yield f"remove by hand from DVC's remote '{store.name}'{at}: {shown(target)}"
        return
    try:
        if remote.stat(target) is not None:
            remote.remove(target)
            yield f"removed from DVC's remote '{store.name}': {target}"
    except StorageError as error:
        yield f"remove by hand from DVC's remote '{store.name}': {target} ({error})"


def not_searched(
    root: Path, params: Params, stores: DvcStores, versions: Iterable[Version], script: Path
) -> Iterator[str]:
    """A line for each place that may hold the sources, and that only a person can look into or clear.

    Args:
        versions: of models that saw them.
        script: where the commands go that remove what buckets keep of replaced and removed objects.
    """
    for one in stores.remotes:
        if missing := _missing_in_cache(root, one, stores.cache):
            yield (
                f"DVC's remote '{one.name}' has {missing} objects that DVC's cache lacks, as those of other commits: "
                "`dvc fetch --all-commits`, and then once more `walt takedown`"
            )
    buckets = [params.ingest.output, *(one.url for one in stores.remotes if one.is_on_s3)]
    older: dict[str, list[tuple[str, str]]] = {}
    for url in sorted({url.rstrip("/") for url in buckets if url and url.startswith("s3://")}):
        try:
            older[url] = list(servers.list_older_versions(f"{url}/"))
        except StorageError as error:
            yield f"whether {url} keeps what was replaced and removed there is for its owner to say ({error})"
    if any(older.values()):
        _write_commands(script, older)
    for url, found in older.items():
        if found:
            yield f"{url} keeps {len(found)} older versions of objects: sh {shlex.quote(str(script.relative_to(root)))}"
    runs = sorted({version.run_id for version in versions if version.run_id})
    if runs and params.tracking.uri.startswith("http"):
        yield f"MLflow at {without_secrets(params.tracking.uri)} keeps files of the runs {', '.join(runs)}"


def _missing_in_cache(root: Path, store: Remote, cache: Path) -> int:
    """How many objects a remote has that the cache has not; 0 where it cannot be listed here."""
    if store.is_on_s3:
        base = f"{store.url.rstrip('/')}/{_OBJECTS}/"
        names = (file.url.removeprefix(base) for file in remote.list_files(base))
    elif "://" not in store.url:
        folder = (root / ".dvc" / store.url / _OBJECTS).resolve()
        names = (path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    else:
        return 0
    return sum(not (cache / _OBJECTS / name).is_file() for name in names)


def _write_commands(script: Path, older: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    lines = ["# Removes for good what these buckets keep of objects that were replaced or removed."]
    for url, found in older.items():
        bucket = shlex.quote(url.removeprefix("s3://").partition("/")[0])
        for key, version in found:
            at = f"--bucket {bucket} --key {shlex.quote(key)} --version-id {shlex.quote(version)}"
            lines.append(f"aws s3api delete-object {at}")
    write_bytes(script, ("\n".join(lines) + "\n").encode())
