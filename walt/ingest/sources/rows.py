"""Finds the file that a table's row names: it must be in the dataset's folder, and be named for the first time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from walt.core.log import warning
from walt.core.printable import printable
from walt.core.remote_errors import shown
from walt.ingest.sources.alike_names import AlikeFiles
from walt.ingest.sources.folders import Folder, LocalFolder
from walt.ingest.sources.items import Refusal, Seen, Span, leaves_folder
from walt.ingest.sources.kinds import Absent, CaptionedFolder, FileList, OneSource
from walt.ingest.sources.locations import frames_location
from walt.ingest.sources.not_fetched import NotFetched
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


@dataclass(frozen=True, slots=True)
class Later:
    """What a row names is here in another spelling only: whether it is meant is clear when all rows are known."""

    name: str
    """The file's path as the row has it."""
    files: tuple[str, ...]
    """The files of the folder that are meant, if there is one only."""


class RowFiles:
    """Finds the files that rows name, and remembers which were named."""

    def __init__(
        self, folder: Folder, videos: str = "", absent: Absent = "refuse", *, prefix: str | Mapping[str, str] = "",
        repeats: bool = False, fps: float | None = None,
    ) -> None:  # fmt: skip
        """See ``find``.

        Args:
            prefix: beginning of paths that is cut off, such as the folder on the machine where the table was written;
                or several, each with the folder that stands in its place.
            repeats: whether a file that an earlier row named is found again, instead of refused, and one in another
                spelling than its own (``find_or_wait``).
            fps: pictures per second of folders of numbered pictures.
        """
        self._folder = folder
        self._fps = fps
        self._of_frames: set[str] = set()  # folders of numbered pictures that rows named
        self._videos = videos
        self._absent = absent
        begins = {prefix: ""} if isinstance(prefix, str) else dict(prefix)
        self._prefixes = sorted(((begin, begins[begin]) for begin in begins if begin), key=lambda way: -len(way[0]))
        self._begin_of: dict[str, str] = {}  # by file, where there are several: with which of them it was named
        self._repeats = repeats
        self._waiting: dict[str, set[str]] = {}  # file -> spellings by which rows name it, none of them its own
        self._settled = False
        self._named_exactly: set[str] = set()
        self._spelled: dict[str, str] = {}  # file -> the spelling by which a row names it
        self._alike = AlikeFiles(folder)
        self._not_fetched = NotFetched(folder)
        self._skipped = 0
        self._last: str | None = None  # path that has a file
        self.seen: Seen[tuple[str, Span | None]] = Seen()
        """(key, span) of each row that was found."""
        self._named: set[str] = set()  # keys of further rows, which are not inputs
        self._meant: set[str] = set()  # those of which such rows have another spelling

    def find(self, row: Row, names: Sequence[str], span: Span | None = None) -> Found | Refusal | None:
        """The file of a row.

        Args:
            names: where it may be, relative to the folder of videos; the first that exists is used. An absolute path
                must be one in the dataset's folder. Or a URL.
            span: the span of the file to use: two spans of a file are two inputs.

        Returns:
            The file. A refusal: ``bad_row`` (the row cannot be read), ``missing``, ``outside`` (the path leaves the
            folder), ``bad_url``, ``duplicate_row``; for a folder of numbered pictures ``no_rate``, and those of
            ``walt.media.numbered.in_order``; ``ambiguous`` (files whose names differ only in capital letters, or rows
            whose names do). None: there is no such file, and the descriptor says that such rows are not inputs.
        """
        found = self.find_or_wait(row, names, span)
        assert not isinstance(found, Later), "only rows that may repeat a file wait for others"
        return found

    def find_or_wait(self, row: Row, names: Sequence[str], span: Span | None = None) -> Found | Refusal | Later | None:
        """The same, with ``repeats``. ``Later``: to be asked again behind the last row, after ``settle``."""
        found = self.place(row, names)
        if isinstance(found, Later):
            for file in found.files:
                self._waiting.setdefault(file, set()).add(found.name)
            return found
        if found is None:
            self._skipped += 1
        return self._once(row, found, span) if isinstance(found, Found) else found

    def settle(self) -> None:
        """All rows were asked for: those that wait can be answered."""
        self._settled = True
        self._named_exactly = {key for key, _ in self.seen} | self._named if self._waiting else set()

    def place(self, row: Row, names: Sequence[str]) -> Found | Refusal | Later | None:
        """The same as ``find``, whatever earlier rows named."""
        if row.problem:
            return Refusal(row.name, "bad_row", f"line {row.line}: {row.problem}")
        source = names[0]
        if not source:
            return Refusal(row.name, "missing", "the path is empty")
        if "://" in source and not any(source.startswith(begin) for begin, _ in self._prefixes):
            return self._find_url(row, source)
        paths = [self._inside(name) for name in names]
        if None in paths:
            cause = "its absolute path is not in the dataset's folder" if source.startswith("/") else ""
            return Refusal(source, "outside", cause or "the path leaves the dataset's folder")
        path = self._first_there(paths)
        if path is None:
            return self._pictures(row, source, paths) or self._not_here(row, source, paths)
        if len(self._prefixes) > 1 and (twice := self._named_twice(row, names, path)):
            return twice
        source = path if source.startswith("/") or self._prefixes else source
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
        elif isinstance(found, Later):
            self._meant.update(found.files)

    def unnamed(self, names: Iterable[str]) -> Iterator[str]:
        """Those of these media files that no row named, neither the whole of them nor a span, nor the folder of frames
        they are in. To be called after the last row."""
        named = {key for key, _ in self.seen} | self._named | self._meant
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

    def _not_here(self, row: Row, source: str, paths: Sequence[str | None]) -> Found | Refusal | Later | None:
        """What is said of a row whose file is not here by its name: it may be here by one that is alike."""
        known = [path for path in paths if path is not None]
        spelled = next((path for path in known if self._alike.of(path)), None)
        if spelled is None:
            if self._absent == "skip":
                return None
            there = self._not_fetched.why(known) or "the file does not exist"
            return Refusal(source, "missing", f"line {row.line} names it, but {there}")
        alike = self._alike.of(spelled)
        if self._repeats and not self._settled:
            return Later(spelled, tuple(alike))
        others = self._waiting.get(alike[0], set()) - {spelled}
        others |= {alike[0]} & self._named_exactly
        if not self._repeats or len(alike) > 1 or others:
            here = " and ".join(sorted(alike)[:3]) + (" are" if len(alike) > 1 else " is")
            said = f"only {here} here, in other capital letters"
            said += f", as the row of {min(others)} names it" if others and len(alike) == 1 else ""
            return Refusal(source, "ambiguous" if self._repeats else "missing", f"line {row.line} names it, but {said}")
        self._spelled.setdefault(alike[0], source)
        return Found(alike[0], alike[0], self._folder.location(alike[0]), alike[0])

    def _named_twice(self, row: Row, names: Sequence[str], path: str) -> Refusal | None:
        """Two beginnings of paths are cut off, and what is left is the same: two files, of which one may be here."""
        begin = next((begin for begin, _ in self._prefixes if any(name.startswith(begin) for name in names)), "")
        if self._begin_of.setdefault(path, begin) == begin:
            return None
        before = self._begin_of[path] or "a name without a beginning"
        cause = f"line {row.line}: {before} and {begin or 'one without'} both lead to {path}"
        return Refusal(names[0], "ambiguous", cause)

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
        begin, folder = next((way for way in self._prefixes if name.startswith(way[0])), ("", ""))
        if begin:
            name = os.path.join(folder, name.removeprefix(begin).lstrip("/"))  # noqa: PTH118 as a name, it is text
        elif name.startswith("/"):
            inside = self._folder.relative(name)
            if inside is not None or not self._prefixes:
                return inside
            name = name.lstrip("/")
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
        """Report how many rows were not inputs, or name files by other spellings. To be called after the last row."""
        if self._spelled:
            file, name = next(iter(self._spelled.items()))
            said = f"{len(self._spelled)} files are named in other capital letters, such as {name} for {file}"
            warning(f"{self._folder.location(self._videos)}: {printable(said)}")
        if self._skipped:
            where = self._folder.location(self._videos)
            warning(f"{where}: {self._skipped} rows have no file here and are left out (source.absent is skip)")
