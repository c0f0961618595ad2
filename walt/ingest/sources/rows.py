"""Finds the file that a table's row names: it must be in the dataset's folder, and be named for the first time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from walt.core.log import warning
from walt.core.remote_errors import shown
from walt.ingest.sources.folders import Folder, LocalFolder
from walt.ingest.sources.items import Refusal, Seen, Span, leaves_folder
from walt.ingest.sources.kinds import Absent, CaptionedFolder, FileList, OneSource
from walt.ingest.sources.locations import frames_location
from walt.ingest.tables.cells import Row
from walt.media.images import SourceError
from walt.media.kinds import is_media
from walt.media.numbered import in_order, numbered

FETCHED = ("s3://", "https://", "http://")
"""URLs that a table may name and that are fetched. A ``file://`` URL is a path."""
_PAGES = re.compile(
    r"https?://(?:[a-z]+\.)?(?:youtube\.com/(?:watch|shorts|embed)|youtu\.be/|vimeo\.com/\d|dailymotion\.com/video"
    r"|bilibili\.com/video|tiktok\.com/@)",
    re.IGNORECASE,
)


def is_fetched(url: str) -> bool:
    """Whether a URL names a file that can be fetched, not the page on which a site shows a video."""
    return url.startswith(FETCHED) and not _PAGES.match(url)


def tables_outside(source: OneSource) -> list[str]:
    """The tables of a source that are outside the dataset's folder, which is all that DVC watches."""
    if isinstance(source, CaptionedFolder):
        return [source.captions] if leaves_folder(source.captions) else []
    return [table for table in source.tables if leaves_folder(table)] if isinstance(source, FileList) else []


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a row names."""

    source: str
    """Its name in the table; a URL without password and query, which may be secret."""
    name: str
    """Its path in the dataset's folder, or on its server; the suffix gives its kind. Of a folder of pictures, which is
    a video, ``frames``."""
    location: str
    key: str
    """The same for all rows that name the file."""
    earlier: str | None = None
    """Why it counts as a repetition of an earlier row; None: it is named for the first time."""


class RowFiles:
    """Finds the files that rows name, and remembers which were named."""

    def __init__(
        self, folder: Folder, videos: str = "", absent: Absent = "refuse", *, prefix: str = "", repeats: bool = False,
        fps: float | None = None,
    ) -> None:  # fmt: skip
        """See ``find``.

        Args:
            prefix: beginning of paths that is cut off, such as the folder on the machine where the table was written.
            repeats: whether a file that an earlier row named is found again, instead of refused.
            fps: pictures per second of folders of numbered pictures.
        """
        self._folder = folder
        self._fps = fps
        self._of_frames: set[str] = set()  # folders of numbered pictures that rows named
        self._videos = videos
        self._absent = absent
        self._prefix = prefix
        self._repeats = repeats
        self._skipped = 0
        self._last: str | None = None  # path that has a file
        self.seen: Seen[tuple[str, Span | None]] = Seen()
        """(key, span) of each row that was found."""
        self._named: set[str] = set()  # keys of further rows, which are no inputs

    def find(self, row: Row, names: Sequence[str], span: Span | None = None) -> Found | Refusal | None:
        """The file of a row.

        Args:
            names: where it may be, relative to the folder of videos; the first that exists is used. An absolute path
                must be one in the dataset's folder. Or a URL.
            span: the span of the file to use: two spans of a file are two inputs.

        Returns:
            The file. A refusal: ``bad_row`` (the row cannot be read), ``missing``, ``outside`` (the path leaves the
            folder), ``bad_url``, ``duplicate_row``; for a folder of numbered pictures ``no_rate``, and those of
            ``walt.media.numbered.in_order``. None: there is no such file, and the descriptor says that such
            rows are not inputs.
        """
        found = self.place(row, names)
        if found is None:
            self._skipped += 1
        return self._once(row, found, span) if isinstance(found, Found) else found

    def place(self, row: Row, names: Sequence[str]) -> Found | Refusal | None:
        """The same as ``find``, whatever earlier rows named."""
        if row.problem:
            return Refusal(row.name, "bad_row", f"line {row.line}: {row.problem}")
        source = names[0]
        if not source:
            return Refusal(row.name, "missing", "the path is empty")
        if "://" in source and not (self._prefix and source.startswith(self._prefix)):
            return self._find_url(row, source)
        paths = [self._inside(name) for name in names]
        if None in paths:
            cause = "its absolute path is not in the dataset's folder" if source.startswith("/") else ""
            return Refusal(source, "outside", cause or "the path leaves the dataset's folder")
        path = self._first_there(paths)
        if path is None:
            if pictures := self._pictures(row, source, paths):
                return pictures
            if self._absent == "skip":
                return None
            return Refusal(source, "missing", f"line {row.line} names it, but the file does not exist")
        source = path if source.startswith("/") or self._prefix else source
        return Found(source, path, self._folder.location(path), path)

    def first(
        self, found: Iterable[Found], spans: Iterable[Span | None], table: str, lines: Sequence[int]
    ) -> list[bool]:
        """Which of these rows' files and spans no earlier row named. They are remembered; of the others nothing is, and
        ``find`` says what they repeat."""
        return self.seen.add_all(zip((file.key for file in found), spans, strict=True), table, lines)

    def name(self, table: str, names: Sequence[str]) -> None:
        """Remember that a row names a file, although the row is not an input. Args: as of ``find``."""
        found = self.place(Row(table, 0, ()), names)
        if isinstance(found, Found):
            self._named.add(found.key)

    def unnamed(self, names: Iterable[str]) -> Iterator[str]:
        """Those of these media files that no row named, neither the whole of them nor a span, nor the folder of frames
        they are in. To be called after the last row."""
        named = {key for key, _ in self.seen} | self._named
        for name in names:
            if is_media(name) and name not in named and os.path.dirname(name) not in self._of_frames:  # noqa: PTH120
                yield name

    def _first_there(self, paths: Sequence[str | None]) -> str | None:
        """The first path with a file. Rows of one file, such as its spans, mostly follow each other."""
        if paths[0] != self._last:
            path = next((path for path in paths if path is not None and self._folder.has(path)), None)
            if path != paths[0]:
                return path
            self._last = path
        return self._last

    def _pictures(self, row: Row, source: str, paths: Sequence[str | None]) -> Found | Refusal | None:
        """The first path with a folder of numbered pictures, which is a video; None: there is none."""
        for path in paths if isinstance(self._folder, LocalFolder) else ():
            if path is None or not os.path.isdir(folder := self._folder.location(path)):  # noqa: PTH112 faster
                continue
            names = os.listdir(folder)  # noqa: PTH208 only names are needed
            if not any(map(numbered, names)):
                continue
            self._of_frames.add(path)
            if self._fps is None:
                cause = f"line {row.line} names a folder of pictures: say how many there are per second (source.fps)"
                return Refusal(source, "no_rate", cause)
            try:
                in_order(names)
            except SourceError as error:
                return Refusal(source, error.code, error.cause)
            return Found(path if source.startswith("/") else source, "frames", frames_location(folder, self._fps), path)
        return None

    def _inside(self, name: str) -> str | None:
        """The path of a named file in the dataset's folder; None if it is not in it."""
        name = name.removeprefix(self._prefix)
        if self._prefix:
            name = name.lstrip("/")
        elif name.startswith("/"):
            return self._folder.relative(name)
        if leaves_folder(name):
            return None
        return os.path.normpath(f"{self._videos}/{name}" if self._videos else name)

    def _find_url(self, row: Row, url: str) -> Found | Refusal:
        if not is_fetched(url):
            page = url.startswith(FETCHED)
            cause = "a page with a video, not a file" if page else f"only {', '.join(FETCHED)} are fetched"
            return Refusal(url, "bad_url", cause)
        try:
            source, name = shown(url), urlsplit(url).path
        except ValueError as error:
            return Refusal(row.name, "bad_url", str(error))
        return Found(source, name, url, url)

    def _once(self, row: Row, found: Found, span: Span | None) -> Found | Refusal:
        """What is found, if no earlier row named it, or if that is allowed."""
        earlier = self.seen.add((found.key, span), row.table, row.line)
        if earlier is None:
            return found
        what = "span" if span else "file"
        cause = f"line {row.line} names the {what} of {earlier} again"
        return replace(found, earlier=cause) if self._repeats else Refusal(found.source, "duplicate_row", cause)

    def report(self) -> None:
        """Report how many rows were not inputs. To be called after the last row."""
        if self._skipped:
            where = self._folder.location(self._videos)
            warning(f"{where}: {self._skipped} rows have no file here and are left out (source.absent is skip)")
