"""What a user types for their own files (a folder, a glob, a list, a single file) -> the descriptor of a dataset."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from walt.core import remote
from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.pointers import pointer_at
from walt.core.printable import printable
from walt.ingest.config import Descriptor
from walt.ingest.groups import find_group_pattern, with_groups
from walt.ingest.layouts.choice import Choice, Wish
from walt.ingest.layouts.recognise import recognise
from walt.ingest.layouts.second_look import second_look
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.tables import TableColumns, recognise_tables
from walt.ingest.layouts.tars import recognise_tars
from walt.ingest.layouts.unused import Unused, missing_parts, said_of
from walt.ingest.sources.adapters import entries
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder, fixed_folder, has_wildcards, open_folder
from walt.ingest.sources.items import Item, Listing, Rules
from walt.ingest.sources.kinds import FileList, PlainFolder
from walt.ingest.sources.locations import is_plain, open_location
from walt.ingest.tables.read import FORMATS, is_table
from walt.media.kinds import Kind, is_media

HELD_OUT = 0.05
_MOST_CHARACTERS = 1 << 20
_LOOKED_AT = 16
_KINDS: tuple[Kind, Kind] = ("video", "image")


@dataclass(frozen=True)
class Given:
    """What the user typed."""

    videos: str
    """A folder, a glob, a table that lists files and URLs, or a single video or image; local (a relative path is
    relative to the project's root) or under ``s3://``."""
    captions: str | None = None
    """The table of captions: relative to the folder, else to the root, or absolute; None: it is looked for."""
    columns: TableColumns = field(default_factory=TableColumns)
    use_captions: bool = True
    """False: without captions, whatever is beside the files."""
    labels_from_folders: bool = False
    name: str | None = None
    """Of the dataset, by default the folder's; characters other than letters, digits, ``_`` and ``-`` become ``-``."""


@dataclass(frozen=True)
class Described:
    """A user's own files as a dataset."""

    descriptor: Descriptor
    path: str
    """For ``dataset.path``."""
    choice: Choice
    listing: Listing

    def lines(self) -> Iterator[str]:
        """What was taken, and what was seen and not read, a line each."""
        yield f"found: {_counts(self.listing)}"
        yield from (f"  {printable(note)}" for note in self.choice.notes)
        codes = Counter(refusal.code for refusal in self.listing.refusals)
        if codes:
            yield "refused: " + ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
        yield from map(said_of, self.choice.unused)


def describe_files(root: Path, given: Given) -> Described:
    """Look at a user's files and describe them; nothing is written.

    Raises:
        ConfigurationError: the folder is missing, nothing in it can be read, or the arguments do not fit together.
    """
    columns = given.columns
    names = (columns.path, *columns.captions, columns.label, *columns.span, columns.split, columns.group)
    for words in (given.videos, given.captions or "", *(name or "" for name in (*names, *columns.numbers))):
        if words != words.encode(errors="replace").decode():  # bytes that are not UTF-8, as the terminal gave them
            raise ConfigurationError(f"{printable(words)}: not UTF-8, which params.yaml is; it needs another name")
    path, folder, choice = _choose(root, given)
    name = re.sub(r"[^0-9A-Za-z_-]+", "-", given.name or _default_name(root, given.videos)).strip("-") or "videos"
    rules = Rules(True, choice.captioned, _MOST_CHARACTERS, HELD_OUT)
    listing = Listing.collect(entries(choice.source, Dataset(folder, rules, choice.classes)))
    choice, listing = second_look(choice, listing, Dataset(folder, rules, choice.classes))
    if both := _named_as_videos(listing):
        choice.notes.append(f"{both} stills have a video's name, as thumbnails do: `images: false` leaves stills out")
    if pointer := _pointer(listing):
        choice.notes.append(pointer)
    pattern = None
    if not any(item.group for item in listing.items):
        pattern, what = find_group_pattern(item.source for item in listing.items) or (None, "")
        listing.items = [entry for entry in with_groups(listing.items, pattern) if isinstance(entry, Item)]
        if pattern is not None:
            choice.notes.append(f"{what} are on one side of the split (group_pattern)")
    if not listing.items and not listing.refusals:
        lacks = "has no rows" if isinstance(choice.source, FileList) else "contains no videos or images"
        raise ConfigurationError(f"{printable(given.videos)}: {lacks}")
    descriptor = Descriptor(
        name=name, summary=_summary(choice, given.videos), licence="not stated", homepage=None, source=choice.source,
        classes=None, caption_required=choice.captioned, images=True, held_out=HELD_OUT, group_pattern=pattern,
        adherence=None, generator=None,
    )  # fmt: skip
    return Described(descriptor, path, choice, listing)


def is_files(root: Path, videos: str) -> bool:
    """Whether ``describe_files`` can take this argument: a URL, a glob, or an existing folder, list, video or image."""
    taken = is_table(videos) or is_media(PurePosixPath(videos).name) or videos.endswith(".tar")
    listed = taken and (root / videos).is_file()
    return remote.is_remote(videos) or _is_glob(root, videos) or (root / videos).is_dir() or listed


def _choose(root: Path, given: Given) -> tuple[str, Folder, Choice]:
    """``dataset.path``, its folder, and how it is read."""
    videos, captions = given.videos, given.captions
    elsewhere = remote.is_remote(videos)
    if _is_glob(root, videos):
        path, pattern = _split_glob(root, videos)
        _refuse_table(given, f"{videos}: a glob")
        folder = open_folder(root, path)
        return path, folder, _of_patterns(folder, given, pattern, folder.matching(pattern))
    if is_table(videos) and (elsewhere or not (root / videos).is_dir()):
        path, _, listed = videos.rpartition("/")
        folder = open_folder(root, path or ".")
        if not folder.has(listed):
            raise ConfigurationError(f"{printable(videos)}: no such file")
        return path or ".", folder, recognise(Survey.of_list(folder, listed), _wish(given, listed))
    last = PurePosixPath(videos).name
    if (is_media(last) or last.endswith(".tar")) and _is_file(root, videos):
        _refuse_table(given, f"{videos}: a single file")
        path = videos.removesuffix(last).rstrip("/") or ("/" if videos.startswith("/") else ".")
        folder = open_folder(root, path)
        return path, folder, _of_patterns(folder, given, last, [last])
    if not elsewhere and not (root / videos).is_dir():
        raise ConfigurationError(f"{videos}: no such folder")
    folder = open_folder(root, videos)
    table = None if captions is None else _captions_table(root, videos, captions)
    survey = Survey.of(folder)
    choice = recognise(survey, replace(_wish(given, table), whole_folder=True))
    choice.notes += missing_parts((*survey.tables, *survey.tars))
    return videos, folder, choice


def _wish(given: Given, table: str | None) -> Wish:
    return Wish(table, given.columns, given.use_captions, given.labels_from_folders)


def _refuse_table(given: Given, what: str) -> None:
    if given.captions is not None or given.columns.said:
        raise ConfigurationError(f"{what} has no table of captions; give their folder, or a list")


def _of_patterns(folder: Folder, given: Given, pattern: str, names: list[str]) -> Choice:
    """The files that a glob matches, with the captions beside them."""
    if names and all(name.endswith(".tar") for name in names):
        found = recognise_tars(folder, names, (pattern,))
        unused = found.unused if given.use_captions else []
        return Choice(found.source, found.captioned and given.use_captions, notes=found.notes, unused=unused)
    survey = Survey(folder, media=[name for name in names if is_media(name)])
    for name in survey.media:
        stem = name.removesuffix(PurePosixPath(name).suffix)
        survey.texts += [text for text in (f"{stem}.txt", f"{name}.txt") if folder.has(text)]
        tables = (f"{start}{suffix}" for suffix in FORMATS for start in (stem, name))
        survey.tables += [table for table in tables if folder.has(table)]
    if not survey.media:
        raise ConfigurationError(f"{printable(given.videos)}: contains no videos or images")
    choice = recognise(survey, _wish(given, None))
    if has_wildcards(pattern) and given.use_captions and not choice.captioned:
        choice.unused += _tables_of(survey)
    source = choice.source
    assert isinstance(source, PlainFolder)
    return replace(choice, source=source.model_copy(update={"patterns": (pattern,)}))


def _tables_of(survey: Survey) -> Iterator[Unused]:
    """The tables of a folder that hold captions of the files that a glob matches."""
    tables = [name for name in survey.folder.names() if is_table(name) and name not in survey.tables]
    for found in recognise_tables(survey, tables, TableColumns())[0]:
        if found.has_captions:
            yield Unused(found.tables, "names these files, with captions: give it, or the folder, not a glob")


def _pointer(listing: Listing) -> str | None:
    """What is said where the first inputs are not the files themselves, which were not fetched."""
    for item in islice((item for item in listing.items if is_plain(item.path)), _LOOKED_AT):
        try:
            with open_location(item.path) as stream:
                if pointer := pointer_at(stream):
                    return f"{item.source} is {pointer}; ingest refuses such files"
        except OSError:  # ingest says so, of each file
            continue
    return None


def _named_as_videos(listing: Listing) -> int:
    """How many stills have the name of a video beside them."""
    names = [(item.kind, item.path if is_plain(item.path) else item.source) for item in listing.items]
    stems = {kind: {name.rpartition(".")[0] for of, name in names if of == kind} for kind in _KINDS}
    return len(stems["image"] & stems["video"])


def _summary(choice: Choice, videos: str) -> str:
    """One line for the descriptor."""
    source, last = choice.source, PurePosixPath(videos).name
    with_captions = "with captions" if choice.captioned else "without captions"
    if isinstance(source, FileList):
        return f"Videos {with_captions}, as {', '.join(source.tables[:2])} lists them."
    return f"Videos {with_captions}: {last or videos}."


def _counts(listing: Listing) -> str:
    """``12 videos, 3 stills, 15 captions of 15 inputs, ...``."""
    items = listing.items
    kinds = Counter(item.kind for item in items)
    parts = [f"{kinds['video']} videos", f"{kinds['image']} stills"]
    captions, captioned = sum(len(item.captions) for item in items), sum(bool(item.captions) for item in items)
    parts.append(f"{captions} captions of {captioned} inputs" if captions else "no captions")
    further = {
        "labels": sum(item.label is not None for item in items),
        "spans": sum(item.span is not None for item in items),
        "groups": len({item.group for item in items if item.group is not None}),
    }
    parts += [f"{count} {what}" for what, count in further.items() if count]
    splits = Counter(item.split for item in items if item.split)
    parts += [f"{count} in the split {split.replace('_', ' ')}" for split, count in sorted(splits.items())]
    return ", ".join(parts)


def _is_glob(root: Path, videos: str) -> bool:
    """Whether the argument is a glob: a file with exactly that name is not, and only folders can be searched."""
    if not has_wildcards(videos):
        return False
    if not remote.is_remote(videos):
        return not os.path.lexists(root / videos)
    if not videos.startswith("s3://"):
        return False
    return next(remote.list_files(f"{videos.rstrip('/')}/"), None) is None and remote.stat(videos) is None


def _split_glob(root: Path, videos: str) -> tuple[str, str]:
    """The folder that a glob searches, and the rest of the glob, relative to that folder."""
    if remote.is_remote(videos):
        folder = fixed_folder(videos)
    else:
        folder = fixed_folder(videos, lambda name: (root / name).is_dir())
    return folder or ("/" if videos.startswith("/") else "."), videos.removeprefix(folder).lstrip("/")


def _captions_table(root: Path, videos: str, captions: str) -> str:
    """Path of the table of captions, relative to the folder of the videos, or absolute. Raises ConfigurationError."""
    folder = open_folder(root, videos)
    if not remote.is_remote(videos) and Path(captions).is_absolute():
        inside = Path(captions).is_relative_to((root / videos).absolute())
        return os.path.relpath(captions, (root / videos).absolute()) if inside else captions
    elsewhere = None if remote.is_remote(videos) else root / captions
    if elsewhere is not None and elsewhere.is_file():
        if not folder.has(captions):  # the folder may be a link: '..' leads up from where it really is
            return os.path.relpath(elsewhere.resolve(), (root / videos).resolve())
        if not elsewhere.samefile(root / videos / captions):
            info(f"{printable(folder.location(captions))} is used, not {printable(str(elsewhere))}")
    if not folder.has(captions):
        raise ConfigurationError(f"--captions: {printable(folder.location(captions))}: no such file")
    return captions


def _is_file(root: Path, videos: str) -> bool:
    if not remote.is_remote(videos):
        return (root / videos).is_file()
    return videos.startswith("s3://") and remote.stat(videos) is not None


def _default_name(root: Path, videos: str) -> str:
    """The folder's name, or the file's."""
    last = PurePosixPath(videos)
    if is_table(videos):
        return last.stem
    if _is_glob(root, videos):
        videos = _split_glob(root, videos)[0]
    elif is_media(last.name) and _is_file(root, videos):
        return last.stem
    return PurePosixPath(videos).name if remote.is_remote(videos) else (root / videos).resolve().name
