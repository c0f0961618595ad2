"""Names that differ only in capital letters, or in how accents are kept: one name for systems other than Linux."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from walt.ingest.sources.folders import Folder, LocalFolder
from walt.media.kinds import is_media


def folded(name: str) -> str:
    """What all names that are alike have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class AlikeNames:
    """Finds the names that are alike."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._names[folded(name)].append(name)

    def of(self, name: str) -> list[str]:
        """Those that are like this one, as they are spelled."""
        return self._names.get(folded(name), [])


class AlikeFiles:
    """Finds the videos and images of a folder whose paths are alike. Only folders on such paths are looked into, each
    once: beside a list there may be far more than what it names."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._inside: dict[str, AlikeNames] = {}

    def of(self, path: str) -> list[str]:
        """Those whose paths are like this one, as they are spelled; none for a path that leaves the folder."""
        if not isinstance(self._folder, LocalFolder):
            return self._of_bucket.of(path)
        found = [""]
        for part in path.split("/"):
            found = [f"{above}/{name}" if above else name for above in found for name in self._in(above).of(part)]
        return [name for name in found if is_media(name) and self._folder.has(name)]

    def _in(self, above: str) -> AlikeNames:
        if above not in self._inside:
            try:
                names = os.listdir(self._folder.location(above))  # noqa: PTH208 only names are needed
            except (OSError, ValueError):  # no folder, or a name that none can have
                names = []
            self._inside[above] = AlikeNames(name for name in names if not name.startswith("."))
        return self._inside[above]

    @cached_property
    def _of_bucket(self) -> AlikeNames:
        return AlikeNames(name for name in self._folder.names() if is_media(name))
