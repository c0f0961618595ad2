"""Files that are here in part only, or not yet: what downloads and clouds leave in a file's place."""

from __future__ import annotations

import os
from collections.abc import Iterable

from walt.ingest.sources.folders import Folder, LocalFolder

_UNFINISHED = (".part", ".crdownload", ".download", ".partial", ".aria2", ".ytdl", ".!qB", ".opdownload", ".tmp")
"""What browsers and downloaders add to a file's name until it is whole."""
_OF_DVC, _OF_ICLOUD = ".dvc", ".icloud"
_ENDS = (*_UNFINISHED, _OF_DVC, _OF_ICLOUD)


class NotFetched:
    """Says why files are not here; each folder is looked into once, since a table may have millions of such rows."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._left: dict[str, frozenset[str]] = {}  # by folder: names of what may stand in the place of files

    def why(self, names: Iterable[str]) -> str | None:
        """Why a file is not here that has one of these names; None: nothing tells."""
        for name in names if isinstance(self._folder, LocalFolder) else ():
            above, _, last = name.rpartition("/")
            left = self._in(above)
            if f".{last}{_OF_ICLOUD}" in left:
                return "it is in iCloud, not on this machine: download it there"
            if f"{last}{_OF_DVC}" in left:
                return f"only {name}{_OF_DVC} is here: DVC keeps it: `dvc pull`"
            if end := next((end for end in _UNFINISHED if f"{last}{end}" in left), None):
                return f"only {name}{end} is here: its download did not finish"
        return None

    def _in(self, above: str) -> frozenset[str]:
        if above not in self._left:
            try:
                inside = os.listdir(self._folder.location(above))  # noqa: PTH208 only names are needed
            except (OSError, ValueError):  # no such folder, or a name that none can have
                inside = []
            self._left[above] = frozenset(name for name in inside if name.endswith(_ENDS))
        return self._left[above]
