"""Finds texts that video files have in themselves, as tools for editing and generating videos write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from walt.ingest.layouts.caption_fields import is_prose
from walt.ingest.layouts.headers_of_files import tags_of
from walt.ingest.layouts.survey import Survey
from walt.ingest.tables.cells import short
from walt.media.kinds import kind_of

_LOOKED_AT = 4
_TAGS = ("description", "synopsis", "caption", "prompt", "comment", "title")
"""Tags that may say what is seen, the surest first."""
_WORDS = 3


def texts_inside_files(survey: Survey) -> Iterator[str]:
    """A line, if most of the first videos have a text of several words in the same tag, which differs between them."""
    found: dict[str, list[str]] = defaultdict(list)
    looked = list(islice((name for name in survey.media if kind_of(name) == "video"), _LOOKED_AT))
    for tags in tags_of(survey, looked).values():
        for tag, text in tags.items():
            if tag in _TAGS and is_prose(text, _WORDS):
                found[tag].append(text)
    for tag in _TAGS:
        texts = found[tag]
        if texts and len(texts) * 2 > len(looked) and len(set(texts)) == len(texts):
            yield f"files have texts in themselves ({tag}: {short(texts[0])}), which are not read: write a table"
            return
