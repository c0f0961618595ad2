"""What is in a folder, by the names of its files."""

from __future__ import annotations

import os
import zipfile
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from walt.ingest.layouts.caption_fields import holds_sentences
from walt.ingest.sources.alike_names import AlikeNames
from walt.ingest.sources.folders import Folder, LocalFolder
from walt.ingest.sources.frame_folders import are_frames
from walt.ingest.tables.read import is_table
from walt.media.kinds import is_media, kind_of

TEXTS = (".txt", ".caption")
"""Suffixes of texts, which may be captions."""
FOREIGN_TABLES = (".xlsx", ".xls", ".ods", ".feather", ".arrow", ".sqlite", ".orc", ".avro", ".numbers", ".gsheet")
_SUBTITLES = (".srt", ".vtt", ".ass", ".ssa", ".sbv", ".ttml", ".lrc")
_FOREIGN_TEXTS = (".yaml", ".yml", ".xml", ".toml", ".md", ".tags", ".nfo", ".description")
_NO_CAPTIONS = (
    ".dvc", ".md5", ".sha1", ".sha256", ".sha512", ".sfv", ".par2", ".sh", ".bat", ".py", ".ipynb", ".log", ".m3u",
    ".m3u8", ".mpd", ".ffconcat", ".torrent", ".idx", "sums",
)  # fmt: skip
"""Ends of names of files that may name others, and say nothing of what is seen in them."""
_OF_CAPTIONS = ("caption", "prompt", "metadata", "annotation")
_MAY_HOLD_SENTENCES = (
    ".xml", ".eaf", ".textgrid", ".yaml", ".yml", ".toml", ".db", ".sqlite3", ".h5", ".hdf5", ".npz", ".npy", ".pkl",
    ".pickle", ".mat", ".mdb", ".msgpack", ".tfrecord", ".bin", ".edl", ".fcpxml", ".otio", ".xmp", ".rtf",
)  # fmt: skip
"""Suffixes of annotations, of cuts and of stores, which need not name a file to hold captions."""
_DOCUMENTS = (".docx", ".odt", ".pptx", ".doc", ".pdf", ".pages")
"""Suffixes of texts for people, which are packed."""
_TARS = (".tar",)
_PACKED = (".zip", ".tgz", ".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz", ".gz", ".zst", ".bz2", ".xz", ".7z", ".rar")
_USUAL_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".jpg", ".png")
_USUAL_FOLDERS = ("videos", "video", "clips", "data", "media", "images")
_MOST_OF_A_SUFFIX, _LOOKED_AT = 4, 1 << 16
"""Of how many files of each unknown suffix names of other files are looked for, and in how many bytes."""
_MOST_MEDIA = 64
_ABOUT = frozenset((
    "readme", "license", "licence", "requirements", "notice", "changelog", "copying", "citation", "croissant",
    "dataset_info", "dataset_infos", "config", "info", "state",
))  # fmt: skip
"""Files with these names say something about the dataset, not about its files."""


@dataclass
class Survey:
    """The files of a folder, except hidden ones, sorted by what they may be."""

    folder: Folder
    media: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    """Files that end like a table; JSON files may be captions of one file each."""
    texts: list[str] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)
    packed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Tables of kinds that are not read, subtitles, what seems to be a text about a video or image, by its name, and
    other files that name some."""
    others: Counter[str] = field(default_factory=Counter)
    """How many files there are of each other suffix."""
    _examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list), init=False, repr=False)
    _about: list[str] = field(default_factory=list, init=False, repr=False)
    lerobot: list[str] = field(default_factory=list)
    """Descriptions of LeRobot datasets in folders of this one."""
    chosen: bool = False
    """Whether the user named the table: then it is read even if none of the first files that it names is here."""
    listed: bool = False
    """Whether only a list is looked at, not the folder."""

    @classmethod
    def of(cls, folder: Folder) -> Survey:
        """Walk the folder once. Raises StorageError for a folder that cannot be listed."""
        found = cls(folder)
        beside = list[str]()
        for name in folder.names():
            found._add(name, beside)
        stems = {name.rpartition(".")[0] for name in found.media} if beside else set()
        for name in beside:
            stem = name.rpartition(".")[0]
            if stem in stems or any(word in stem.lower() for word in _OF_CAPTIONS):
                found.foreign.append(name)
            else:
                found._pass_over(name)
        for name in [name for names in found._examples.values() for name in names if found._may_be_about_media(name)]:
            found.foreign.append(name)
            found.others[_suffix(name)] -= 1
        found.others = +found.others
        found.foreign += filter(found._lists_media, found._about)
        return found

    def is_named_in(self, name: str) -> bool:
        """Whether the beginning of a file names a video or image of the folder."""
        begin = (self.folder.read(name, _LOOKED_AT) or b"").replace(b"\0", b"")
        return any(os.fsencode(path.rpartition("/")[2]) in begin for path in self.media[:_MOST_MEDIA])

    def _lists_media(self, name: str) -> bool:
        """Whether a text about the dataset names as many of its files as a table would, not one or two as examples."""
        begin = self.folder.read(name, _LOOKED_AT) or b""
        looked = self.media[:_MOST_MEDIA]
        named = sum(os.fsencode(path.rpartition("/")[2]) in begin for path in looked)
        return named > 1 and named * 2 > len(looked)

    def _may_be_about_media(self, name: str) -> bool:
        """Whether a file of an unknown kind names a video or image, or may hold captions."""
        if any(word in name.lower() for word in _OF_CAPTIONS[:2]):
            return True
        if name.lower().endswith(_DOCUMENTS):
            return True
        holds = name.lower().endswith(_MAY_HOLD_SENTENCES)
        return self.is_named_in(name) or (holds and holds_sentences(self.folder.read(name, _LOOKED_AT) or b""))

    def _pass_over(self, name: str) -> None:
        suffix = _suffix(name)
        self.others[suffix] += 1
        if not name.lower().endswith(_NO_CAPTIONS) and len(self._examples[suffix]) < _MOST_OF_A_SUFFIX:
            self._examples[suffix].append(name)

    def _add(self, name: str, beside: list[str]) -> None:
        """Sort a file in; what may be a text about the media file whose name it has is added to ``beside``."""
        lower = name.lower()
        if is_media(name):
            self.media.append(name)
        elif PurePosixPath(lower).stem in _ABOUT:
            if lower.endswith("/meta/info.json"):
                self.lerobot.append(name)
            elif lower.endswith((".md", ".rst", ".txt")):
                self._about.append(name)
        elif is_table(name):
            self.tables.append(name)
        elif lower.endswith(TEXTS):
            self.texts.append(name)
        elif lower.endswith(_TARS):
            self.tars.append(name)
        elif lower.endswith(_PACKED):
            self.packed.append(name)
        elif lower.endswith((*FOREIGN_TABLES, *_SUBTITLES)):
            self.foreign.append(name)
        elif lower.endswith(_FOREIGN_TEXTS):
            beside.append(name)
        else:
            self._pass_over(name)

    @classmethod
    def of_list(cls, folder: Folder, table: str) -> Survey:
        """Of the folder of a list: only the list, since its rows say which files are meant."""
        return cls(folder, tables=[table], listed=True)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.media)

    def holds(self, name: str | None) -> bool:
        """Whether there is such a video or image, or such a folder of frames."""
        if name is None:
            return False
        return self.folder.has(name) if self.listed else name in self._names or name in self.of_frames

    def look(self, name: str | None) -> str | None:
        """A video, an image or a folder of frames by its name; None: there is none."""
        return name if self.holds(name) else None

    def look_alike(self, name: str | None) -> str | None:
        """The same, whatever its capital letters are; of several the first."""
        found = [] if name is None or self.listed else self._alike.of(name)
        return self.look(name) or (found[0] if found else None)

    def beginning_with(self, begin: str) -> Iterator[str]:
        """The videos and images whose own names begin so, in the order of their names."""
        for place in range(bisect_left(self._by_name, (begin, "")), len(self._by_name)):
            name, path = self._by_name[place]
            if not name.startswith(begin):
                return
            yield path

    @cached_property
    def _by_name(self) -> list[tuple[str, str]]:
        """(own name, path) of the media, sorted."""
        return sorted((path.rpartition("/")[2], path) for path in self.media)

    @cached_property
    def _alike(self) -> AlikeNames:
        return AlikeNames(self.media)

    @cached_property
    def of_frames(self) -> frozenset[str]:
        """The folders that hold numbered pictures alone, as many as a video has: each may be a video."""
        if not isinstance(self.folder, LocalFolder):
            return frozenset()
        return frozenset(folder for folder, names in self.by_folder.items() if folder and are_frames(names))

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """The names of the media in each folder."""
        inside = defaultdict[str, list[str]](list)
        for path in self.media:
            folder, _, name = path.rpartition("/")
            inside[folder].append(name)
        return dict(inside)

    @cached_property
    def suffixes(self) -> tuple[str, ...]:
        """Those of the media, videos' first, of which the most frequent first."""
        if self.listed:
            return _USUAL_SUFFIXES
        counts = Counter(PurePosixPath(name).suffix for name in self.media)
        order = sorted(counts, key=lambda suffix: (kind_of(f"a{suffix}") == "image", -counts[suffix], suffix))
        return tuple(order)

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Those that hold media themselves, the ones with the most first; the top is empty."""
        if self.listed:
            return _USUAL_FOLDERS
        counts = Counter(name.rpartition("/")[0] for name in self.media)
        return tuple(folder for folder, _ in sorted(counts.items(), key=lambda found: (-found[1], found[0])))


def may_be_packed_captions(folder: Folder, name: str, *, look: bool) -> bool:
    """Whether a packed file seems to hold a table or texts: by its name, or (``look``) by those of a zip's members."""
    inside = [name.rpartition(".")[0]]
    if look and name.lower().endswith(".zip"):
        try:
            with folder.open(name) as stream, zipfile.ZipFile(stream) as members:
                inside += members.namelist()
        except (OSError, ValueError, zipfile.BadZipFile):
            return True
    ends = (*TEXTS, *FOREIGN_TABLES, *_SUBTITLES)
    last = [path.rpartition("/")[2].lower() for path in inside]
    return (
        any(path.endswith(_PACKED) and not path.endswith(_TARS) for path in last[1:])
        or any(PurePosixPath(path).stem not in _ABOUT and (is_table(path) or path.endswith(ends)) for path in last)
        or any(word in last[0] for word in _OF_CAPTIONS)
    )


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower() or "without a suffix"
