"""From a table's row to the file that it names: inside the dataset's folder, there, and named for the first time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from walt.core import remote
from walt.core.log import warning
from walt.data.sources.folders import Folder
from walt.data.sources.items import Refusal, Seen, Span, leaves_folder
from walt.data.sources.kinds import Absent
from walt.data.sources.tables import Row

FETCHED = ("s3://", "https://", "http://")
"""URLs that a table may name. A local file is named by its path alone."""


def location(folder: Folder, found: str) -> str:
    """Where the bytes of what ``RowFiles.find`` found are."""
    return found if found.startswith(FETCHED) else folder.location(found)


def url_path(name: str) -> str:
    """The path of a URL, whose end tells the kind; a path is itself."""
    return urlsplit(name).path if name.startswith(FETCHED) else name


class RowFiles:
    """Finds the files that rows name, and remembers which were named."""

    def __init__(self, folder: Folder, videos: str = "", absent: Absent = "refuse") -> None:
        self._folder = folder
        self._videos = videos
        self._absent = absent
        self._skipped = 0
        self.seen = Seen()

    def find(self, row: Row, names: Sequence[str], span: Span | None = None) -> str | Refusal | None:
        """The file of a row.

        Args:
            names: where it may lie, relative to the folder of videos; the first that is there is meant. Or a URL.
            span: the part of it that is meant: two spans of a file are two inputs.

        Returns:
            Its name in the dataset's folder, or the URL. A refusal: ``missing``, ``outside`` (the path leaves the
            folder), ``protocol``, ``duplicate_row``. None: there is no such file, and that makes it no input.
        """
        source = names[0] if names[0] else row.name
        if not names[0]:
            return Refusal(row.name, "missing", "the path is empty")
        if "://" in names[0]:
            if not names[0].startswith(FETCHED):
                return Refusal(remote.shown(source), "protocol", f"only {', '.join(FETCHED)} are fetched")
            return self._first(row, names[0], span) or names[0]
        for name in names:
            if leaves_folder(name):
                return Refusal(source, "outside", "the path leaves the dataset's folder")
        paths = [os.path.normpath(os.path.join(self._videos, name)) for name in names]  # noqa: PTH118 names, not paths
        path = next((path for path in paths if self._folder.has(path)), None)
        if path is None:
            if self._absent == "skip":
                self._skipped += 1
                return None
            return Refusal(source, "missing", f"line {row.line} names it, but there is no such file")
        return self._first(row, path, span, source) or path

    def _first(self, row: Row, name: str, span: Span | None, source: str | None = None) -> Refusal | None:
        identity = _identity(name, span)
        earlier = self.seen.earlier(identity, row.table)
        if earlier is None:
            self.seen.add(identity, row.table, row.line)
            return None
        what = "span" if span else "file"
        return Refusal(source or name, "duplicate_row", f"line {row.line} names the {what} of {earlier} again")

    def report(self) -> None:
        """Say how many rows were no inputs. Call it after the last row."""
        if self._skipped:
            warning(f"{self._skipped} rows have no file here and are left out (the descriptor's source.absent is skip)")


def _identity(name: str, span: Span | None) -> str:
    return name if span is None else f"{name}\0{span[0]!r},{span[1]!r}"
