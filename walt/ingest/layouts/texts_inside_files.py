"""Finds texts that video files have in themselves, as tools for editing and generating videos write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from walt.ingest.layouts.caption_fields import is_prose
from walt.ingest.layouts.survey import Survey
from walt.ingest.sources.locations import is_plain
from walt.ingest.tables.cells import short
from walt.media.containers import open_video
from walt.media.images import SourceError
from walt.media.kinds import kind_of

_LOOKED_AT = 4
_TAGS = ("description", "synopsis", "caption", "prompt", "comment", "title")
"""Tags that may say what is seen, the surest first."""
_WORDS = 3


def texts_inside_files(survey: Survey) -> Iterator[str]:
    """A line, if most of the first videos have a text of several words in the same tag, which differs between them."""
    found: dict[str, list[str]] = defaultdict(list)
    looked = list(islice((name for name in survey.media if kind_of(name) == "video"), _LOOKED_AT))
    for name in looked:
        for tag, text in _tags(survey.folder.location(name)).items():
            if tag in _TAGS and is_prose(text, _WORDS):
                found[tag].append(text)
    for tag in _TAGS:
        texts = found[tag]
        if texts and len(texts) * 2 > len(looked) and len(set(texts)) == len(texts):
            yield f"files have texts in themselves ({tag}: {short(texts[0])}), which are not read: write a table"
            return


def _tags(location: str) -> dict[str, str]:
    """The tags of a video's header; none of one that is elsewhere or cannot be opened."""
    if not is_plain(location):
        return {}
    try:
        with open(location, "rb") as stream, open_video(stream) as container:
            return {tag.lower(): text for tag, text in container.metadata.items()}
    except (SourceError, OSError):
        return {}
