"""Finds texts and records of one name in many folders, which are of the file, or the files, of their folder."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from walt.ingest.layouts.caption_fields import caption_fields
from walt.ingest.layouts.companions import may_share
from walt.ingest.layouts.parts_beside import lists_parts
from walt.ingest.layouts.survey import TEXTS, Survey
from walt.ingest.sources.caption_files import LONGEST_TEXT, text_of

OF_FOLDER = "{folder}/"
_LOOKED_AT = 32
_NAMED_AS_CAPTION = re.compile(r"caption|prompt|descri|(^|_)text", re.IGNORECASE)
_UNCLEAR = "which of the several files in its folder it is of is not clear: write a table with path,caption"


def of_folders(
    survey: Survey, candidates: Iterable[str], captioned: set[str], unread: dict[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Templates of texts and records that are in folders of one media file each (``x/video.mp4``, ``x/caption.txt``),
    or of several that may share it; each with what it finds, and a file that this is of.

    Args:
        captioned: files that have captions of their own.
        unread: where there are such names of which one is in a folder of several files and unclear, they are added,
            with the cause: the template would give each of these files that caption.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    unclear: dict[str, list[str]] = defaultdict(list)
    for name in candidates:
        folder, _, last = name.rpartition("/")
        is_text = last.lower().endswith(TEXTS)
        inside = survey.by_folder.get(folder, [])
        if not folder or not inside or (is_text and not _NAMED_AS_CAPTION.search(last)):
            continue
        if len(inside) == 1 or (is_text and may_share(folder, inside, captioned) and _is_a_line(survey, name)):
            found[last][name] = f"{folder}/{inside[0]}"
        else:
            unclear[last].append(name)
    for last, names in found.items():
        if len(names) < 2 or any(_is_table(survey, name) for name in islice(names, _LOOKED_AT)):
            continue
        if unclear[last]:
            unread |= dict.fromkeys((*unclear[last], *names), f"{unclear[last][0]}: {_UNCLEAR}")
        else:
            yield f"{OF_FOLDER}{last}", names


def text_in(survey: Survey, name: str) -> str:
    """The text of a file; bytes that are no UTF-8 become surrogates."""
    return text_of(survey.folder.read(name, LONGEST_TEXT) or b"")


def record_in(survey: Survey, name: str) -> dict[str, Any]:
    """The record that a JSON file holds; empty: it holds something else."""
    try:
        record = json.loads(text_in(survey, name))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_a_line(survey: Survey, name: str) -> bool:
    """Whether a text is one line that names no file: of several, each may be of another file."""
    lines = [line for line in text_in(survey, name).splitlines() if line.strip()]
    return len(lines) == 1 and not survey.is_named_in(name)


def _is_table(survey: Survey, name: str) -> bool:
    """Whether a text or a JSON file names files, or is not a record of captions."""
    is_text = name.lower().endswith(TEXTS)
    if survey.is_named_in(name):
        return True
    return not (is_text or caption_fields([record_in(survey, name)]) or lists_parts(survey, name))
