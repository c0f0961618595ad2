"""Finds the file that a table's row names: it must be in the dataset's folder, and be named for the first time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from walt.core.log import warning
from walt.core.remote_errors import shown
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Refusal, Seen, Span, leaves_folder
from walt.ingest.sources.kinds import Absent
from walt.ingest.sources.tables import Row

FETCHED = ("s3://", "https://", "http://")
"""URLs that a table may name. A local file is named by its path alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a row names."""

    source: str
    """Its name in the table; a URL without password and query, which may be secret."""
    name: str
    """Its path in the dataset's folder, or on its server; the suffix gives its kind."""
    location: str


class RowFiles:
    """Finds the files that rows name, and remembers which were named."""

    def __init__(self, folder: Folder, videos: str = "", absent: Absent = "refuse") -> None:
        self._folder = folder
        self._videos = videos
        self._absent = absent
        self._skipped = 0
        self.seen = Seen()

    def find(self, row: Row, names: Sequence[str], span: Span | None = None) -> Found | Refusal | None:
        """The file of a row.

        Args:
            names: where it may be, relative to the folder of videos; the first that exists is used. Or a URL.
            span: the span of the file to use: two spans of a file are two inputs.

        Returns:
            The file. A refusal: ``missing``, ``outside`` (the path leaves the folder), ``bad_url``, ``duplicate_row``.
            None: there is no such file, and the descriptor says that such rows are not inputs.
        """
        source = names[0]
        if not source:
            return Refusal(row.name, "missing", "the path is empty")
        if "://" in source:
            return self._find_url(row, source, span)
        for name in names:
            if leaves_folder(name):
                return Refusal(source, "outside", "the path leaves the dataset's folder")
        paths = [os.path.normpath(f"{self._videos}/{name}" if self._videos else name) for name in names]
        path = next((path for path in paths if self._folder.has(path)), None)
        if path is None:
            if self._absent == "skip":
                self._skipped += 1
                return None
            return Refusal(source, "missing", f"line {row.line} names it, but the file does not exist")
        found = Found(source, path, self._folder.location(path))
        return self._repeated(row, source, path, span) or found

    def _find_url(self, row: Row, url: str, span: Span | None) -> Found | Refusal:
        if not url.startswith(FETCHED):
            return Refusal(url, "bad_url", f"only {', '.join(FETCHED)} are fetched")
        try:
            source, name = shown(url), urlsplit(url).path
        except ValueError as error:
            return Refusal(row.name, "bad_url", str(error))
        return self._repeated(row, source, url, span) or Found(source, name, url)

    def _repeated(self, row: Row, source: str, name: str, span: Span | None) -> Refusal | None:
        identity = name if span is None else f"{name}\0{span[0]!r},{span[1]!r}"
        earlier = self.seen.earlier(identity, row.table)
        if earlier is None:
            self.seen.add(identity, row.table, row.line)
            return None
        what = "span" if span else "file"
        return Refusal(source, "duplicate_row", f"line {row.line} names the {what} of {earlier} again")

    def report(self) -> None:
        """Report how many rows were not inputs. To be called after the last row."""
        if self._skipped:
            where = self._folder.location(self._videos)
            warning(f"{where}: {self._skipped} rows have no file here and are left out (source.absent is skip)")
