"""Texts without a header that name a file and its caption in each line: ``a.mp4<TAB>a cat``, ``a.mp4|a cat``."""

from __future__ import annotations

import re
from typing import IO

from walt.ingest.sources.caption_files import text_of
from walt.ingest.tables.cells import BadValue
from walt.ingest.tables.json_table import Numbered
from walt.media import stills, video

PATH, CAPTION = "path", "caption"
COLUMNS = (PATH, CAPTION)
"""Of the records."""
_LOOKED_AT = 64
_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in stills.SUFFIXES | video.SUFFIXES))
_NUMBER = r"(?:#\d+)?"
"""Of the caption, behind the name, as in Flickr8k."""
_FILE = re.compile(rf"(?P<path>.+?\.(?:{_SUFFIXES})){_NUMBER}\s*[\t |,;:]\s*(?P<caption>.*)", re.IGNORECASE)
_TAB = re.compile(rf"(?P<path>[^\t]+?){_NUMBER}\t\s*(?P<caption>.*)")
_WORD = re.compile(rf"(?P<path>[^\s|,;:]+?){_NUMBER}\s*[\s|,;:]\s*(?P<caption>.*)")


def text_records(stream: IO[bytes]) -> Numbered:
    """The lines as (line, record); those that are blank or begin with ``#`` are skipped.

    A name ends at the first tab, else behind the suffix of a video or image, else at the first blank or one of
    ``|,;:``. A line without anything behind the name is a BadValue.
    """
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
