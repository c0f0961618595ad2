"""Texts without a header that name a file and its caption in each line: ``a.mp4<TAB>a cat``, ``a.mp4|a cat``; or one of
its parts with its caption: ``a.mp4 0:03 0:07.5 a cat``, ``A 3.0 7.5##a cat`` (Charades-STA)."""

from __future__ import annotations

import re
from typing import IO

from walt.ingest.sources.caption_files import text_of
from walt.ingest.tables.cells import BadValue
from walt.ingest.tables.json_table import Numbered
from walt.media import stills, video

PATH, START, END, CAPTION = "path", "start", "end", "caption"
COLUMNS = (PATH, CAPTION)
OF_PARTS = (PATH, START, END, CAPTION)
"""Of the records: where no line says from when to when, and where each does."""
_LOOKED_AT = 64
_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in stills.SUFFIXES | video.SUFFIXES))
_NUMBER = r"(?:#\d+)?"
"""Of the caption, behind the name, as in Flickr8k."""
_FILE = re.compile(rf"(?P<path>.+?\.(?:{_SUFFIXES})){_NUMBER}\s*[\t |,;:]\s*(?P<caption>.*)", re.IGNORECASE)
_TAB = re.compile(rf"(?P<path>[^\t]+?){_NUMBER}\t\s*(?P<caption>.*)")
_WORD = re.compile(rf"(?P<path>[^\s|,;:]+?){_NUMBER}\s*[\s|,;:]\s*(?P<caption>.*)")
_MOMENT = r"(?:\d+(?::\d\d){1,2}(?:[.,]\d+)?|\d+\.\d+)"
_ANY = r"\d+(?:\.\d+)?"
_PART = re.compile(
    rf"(?:(?P<s>{_ANY})\s+(?P<e>{_ANY})\s*##|"
    rf"[\[(]?(?P<start>{_MOMENT})\s*(?:-->|[-,;|\s]|to)\s*(?P<end>{_MOMENT})[\])]?[\s,;|:]+)\s*(?P<caption>.*)"
)
"""What is behind a name: two moments, with a sign that counts are unlikely to have, and a caption."""


def text_records(stream: IO[bytes]) -> Numbered:
    """The lines as (line, record); those that are blank or begin with ``#`` are skipped.

    A name ends at the first tab, else behind the suffix of a video or image, else at the first blank or one of
    ``|,;:``. A line without anything behind the name is a BadValue. Where two moments are behind most names, they are
    the part that the caption is of, and a line without them is a BadValue.
    """
    found = list(_named(stream))
    parts = {number: _PART.fullmatch(record[CAPTION]) for number, record in found if not isinstance(record, BadValue)}
    if 2 * sum(part is not None for part in parts.values()) <= len(parts):
        yield from found
        return
    for number, record in found:
        if isinstance(record, BadValue):
            yield number, record
        elif part := parts[number]:
            start, end = part["s"] or part[START], part["e"] or part[END]
            yield number, {PATH: record[PATH], START: start, END: end, CAPTION: part[CAPTION]}
        else:
            yield number, BadValue("no two moments behind the file's name, as other lines have them")


def _named(stream: IO[bytes]) -> Numbered:
    """The lines, each in two: the name, and what is behind it."""
    for number, line in enumerate(re.split("\r\n|\n|\r", text_of(stream.read())), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        ways = (_TAB,) if "\t" in line else (_FILE, _WORD)
        found = next((match for way in ways if (match := way.fullmatch(line))), None)
        yield number, BadValue("no caption behind a file's name") if found is None else found.groupdict()


def holds_json(stream: IO[bytes]) -> bool:
    """Whether the first character is that of a JSON object. The stream is at its start before and afterwards."""
    begin = text_of(stream.read(_LOOKED_AT))
    stream.seek(0)
    return begin.lstrip().startswith("{")
