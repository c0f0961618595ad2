"""Where copies of a project's files are: DVC's cache and remotes. Only files are looked at; DVC is not started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from walt.core import remote
from walt.core.errors import StorageError
from walt.core.remote_errors import shown

_CONFIGS = (".dvc/config", ".dvc/config.local")
_OBJECTS = Path("files/md5")


@dataclass(frozen=True)
class DvcStores:
    """The places in which DVC keeps the files of the project."""

    cache: Path
    remotes: dict[str, str]
    """Name -> URL or path."""

    @classmethod
    def of(cls, root: Path) -> DvcStores:
        """As ``.dvc/config`` and ``.dvc/config.local`` say, the latter first."""
        cache, remotes = root / ".dvc/cache", dict[str, str]()
        for name in _CONFIGS:
            file = ConfigParser(interpolation=None)
            file.read(root / name, encoding="utf-8")
            for section in file.sections():
                words = section.strip("'\"").split('"')
                if section == "cache" and file.has_option(section, "dir"):
                    cache = (root / ".dvc" / file.get(section, "dir")).resolve()
                elif words[0].strip() == "remote" and file.has_option(section, "url"):
                    remotes[words[1]] = file.get(section, "url")
        return cls(cache, remotes)

    def objects(self, files: Iterable[Path]) -> list[str]:
        """The names below a store of those of these files that are objects in the cache."""
        folder = self.cache / _OBJECTS
        return sorted(str(_OBJECTS / file.relative_to(folder)) for file in files if file.is_relative_to(folder))


def remove_from_remotes(root: Path, stores: DvcStores, objects: Iterable[str]) -> Iterator[str]:
    """Remove objects from DVC's remotes: a line for each that was there, or that has to be removed by hand.

    Folders of this machine and ``s3://`` are written to; for all others the line is a request to whoever keeps them.
    """
    for name, url in sorted(stores.remotes.items()):
        for one in objects:
            yield from _removed(root, name, url, one)


def _removed(root: Path, name: str, url: str, one: str) -> Iterator[str]:
    if "://" not in url:
        path = (root / ".dvc" / url / one).resolve()
        if path.is_file():
            path.unlink()
            yield f"removed from DVC's remote '{name}': {path}"
        return
    target = f"{url.rstrip('/')}/{one}"
    if not url.startswith("s3://"):
        yield f"remove by hand from DVC's remote '{name}': {shown(target)}"
        return
    try:
        if remote.stat(target) is not None:
            remote.remove(target)
            yield f"removed from DVC's remote '{name}': {target}"
    except StorageError as error:
        yield f"remove by hand from DVC's remote '{name}': {target} ({error})"
