"""What of a folder is not read, and the lines that say so."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from walt.core.printable import printable
from walt.ingest.layouts import usual_names
from walt.ingest.layouts.caption_fields import is_prose
from walt.ingest.layouts.peek import Peek, names_inside, peek
from walt.ingest.layouts.survey import Survey, may_be_packed_captions
from walt.ingest.layouts.tables import caption_columns, names_a_file
from walt.ingest.sources.caption_files import text_of
from walt.ingest.tables.fields import FILE, KEY, VALUE
from walt.media.kinds import is_media

_PART = re.compile(r"(?P<before>.+)-(?P<number>\d{5,})-of-(?P<count>\d{5,})\..+", re.DOTALL)
_NAMES_READ = 64
_DEPTH, _MOST_TEXTS = 8, 10_000
_LOOKED_AT = 1 << 16
"""Bytes of a text in which sentences are looked for."""
_LOOKED_INTO = 8
"""Zips whose members' names are read."""


@dataclass
class Unused:
    """Files that were seen and are not read."""

    names: list[str]
    why: str
    may_hold_captions: bool = False


def other_files(survey: Survey, *, may_lose: bool, chosen: bool) -> Iterator[Unused]:
    """What else is in a folder beside media, tables and texts.

    Args:
        may_lose: whether captions that are there would be lost.
        chosen: whether the user named what is to be read.
    """
    if survey.lerobot:
        cause = "of LeRobot datasets, whose episodes and tasks are not read: give each alone, or make a union of them"
        yield Unused(survey.lerobot, cause, not chosen)
    if survey.tars:
        yield Unused(survey.tars, "tars: give them alone, with --videos '*.tar'", not chosen)
    held = [
        name
        for number, name in enumerate(survey.packed)
        if may_be_packed_captions(survey.folder, name, look=number < _LOOKED_INTO)
    ]
    for names, holds in ((held, may_lose), ([name for name in survey.packed if name not in held], False)):
        if names:
            yield Unused(names, "packed: unpack them first", holds)
    if survey.foreign:
        cause = "no captions are read from it: texts beside files, CSV, TSV, JSON, JSON lines and Parquet are read"
        yield Unused(survey.foreign, cause, may_lose)
    if survey.others:
        count = sum(survey.others.values())
        yield Unused([f"{count} files"], f"unknown suffixes: {counted(survey.others)}")


def may_hold_captions(survey: Survey, table: str) -> bool:
    """Whether a table that is not read has a column by the name of captions, names files of the folder, has the name of
    one and texts in it, or is not understood."""
    seen, stem = peek(survey.folder, table), PurePosixPath(table).stem
    of_a_file = any(PurePosixPath(path).stem == stem for path in survey.beginning_with(stem))
    if seen.bare:  # a list of ids, of splits or of classes
        of_captions = of_a_file or usual_names.is_caption(stem)
        return any(is_prose(text, 2 if of_captions else 3) for text in seen.bare)
    if seen.problem is not None or caption_columns(seen) or any(map(usual_names.is_caption, names_inside(seen))):
        return True
    if of_a_file or names_a_file(survey, seen):
        cells = (value for record in seen.records for value in record.values())
        return any(is_prose(text, 2) for text in (*seen.columns, *cells))  # without a header, its first row
    texts = [*islice((text for record in seen.records for text in _texts(record, _DEPTH)), _MOST_TEXTS)]
    if survey.is_named_in(table):
        return not _lists_files(seen)
    names = {form for path in survey.media for form in (PurePosixPath(path).stem, PurePosixPath(path).name)}
    return not names.isdisjoint(texts) and any(is_prose(text, 3) for text in texts)


def _lists_files(seen: Peek) -> bool:
    """Whether a JSON file holds names of files alone, as trainers' caches and downloaders' lists do."""
    values = [record.get(VALUE) for record in seen.records]
    return all(isinstance(value, list) and value and all(map(_is_file, value)) for value in values)


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and is_media(value)


def _texts(value: Any, depth: int) -> Iterator[str]:
    """The texts in a record, and the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items() if depth else ():
            if name != FILE:
                yield inner if name == KEY and isinstance(inner, str) else name
                yield from _texts(inner, depth - 1)
    elif isinstance(value, list) and depth:
        for inner in value:
            yield from _texts(inner, depth - 1)


def holds_prose(survey: Survey, text: str) -> bool:
    """Whether a text may hold captions: it is called so, or one of its first lines is more than a name, with or without
    a number, as lists of files, of classes and of splits have them."""
    if usual_names.is_caption(PurePosixPath(text).stem):
        return True
    begin = text_of(survey.folder.read(text, _LOOKED_AT) or b"")
    return any(is_prose(line.strip(), 2) for line in begin.splitlines())


def is_of_numbered(survey: Survey, text: str) -> bool:
    """Whether a text with words in it has the name of files beside it but for their numbers: what was posted with
    ``a_1.mp4`` and ``a_2.mp4`` is in ``a.txt``."""
    path = PurePosixPath(text)
    expression = re.compile(rf"{re.escape(path.stem)}[_-]\d{{1,3}}\.\w+")
    found = map(PurePosixPath, survey.beginning_with(path.stem))
    beside = any(file.parent == path.parent and expression.fullmatch(file.name) for file in found)
    return beside and holds_prose(survey, text)


def reads_as_captions(media: list[str]) -> Iterator[str]:
    """A line, if most files are named by what they show (``a cat on a roof.mp4``), as some trainers read them."""
    looked = [PurePosixPath(path).stem.replace("_", " ").replace("-", " ") for path in media[:_NAMES_READ]]
    texts = [stem for stem in looked if is_prose(stem, 4) and all(map(str.isalpha, stem.split()))]
    if len(texts) * 2 > len(looked):
        yield "the files' names read as captions, which are not taken from names: write a table of them"


def missing_parts(names: Iterable[str]) -> Iterator[str]:
    """Lines about tables and tars that say of how many parts they are (``train-00000-of-00002.parquet``), where not all
    are here."""
    here: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in names:
        if part := _PART.fullmatch(name):
            here[part["before"], part["count"]].add(part["number"])
    for (before, count), numbers in sorted(here.items()):
        if len(numbers) < int(count):
            yield f"{before}-...-of-{count}: only {len(numbers)} of {int(count)} parts are here"


def counted(suffixes: Counter[str]) -> str:
    """``.mxf 3, .xyz 1``."""
    ordered = sorted(suffixes.items(), key=lambda found: (-found[1], found[0]))
    shown = ", ".join(f"{printable(suffix)} {count}" for suffix, count in ordered[:8])
    return shown + (" ..." if len(ordered) > 8 else "")


def named(names: list[str], most: int = 3) -> str:
    """``a, b, c and 2 more``."""
    shown = ", ".join(printable(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def said_of(unused: Unused) -> str:
    """One line about files that are not read."""
    return f"not read: {named(unused.names)}: {printable(unused.why)}"
