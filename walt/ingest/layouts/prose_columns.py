"""Columns of tables that hold texts under other names than those of captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.caption_fields import is_prose
from walt.ingest.layouts.peek import Peek, peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.tables import Recognised
from walt.ingest.tables.cells import literal_list
from walt.ingest.tables.fields import getter

_MOST_LISTED = 16


def prose_columns(survey: Survey, found: Recognised) -> list[str]:
    """Columns of a table without captions by their names that hold texts of several words, and are not used: they may
    be captions."""
    seen = peek(survey.folder, found.tables[0])
    exploded = found.settings.get("explode", ())
    used = [
        (value,) if isinstance(value, str) else value for name, value in found.settings.items() if name != "explode"
    ]
    taken = {name for names in used if isinstance(names, tuple) for name in names}
    left = [name for name in seen.columns if name not in taken and name not in usual_names.LABELS]
    left = [name for name in left if not usual_names.is_of_form(name)]
    of_chats = dict.fromkeys(f"{name}.-1.{field}" for name in left for field in _fields_of_chat(seen, name))
    looked = (*left, *(name for name in of_chats if name not in taken))
    prose = [name for name in looked if any(is_prose(getter(name)(record), 2) for record in seen.records)]
    chats = {name.partition(".-1.")[0] for name in of_chats}
    others = [name for name in left if name not in chats]
    of_lists = dict.fromkeys(f"{name}.*.{field}" for name in others for field in _fields_inside(seen, name))
    of_lists = {name: None for name in of_lists if name.replace(".*.", ".") not in taken}
    lists = [name for name in (*others, *of_lists) if name not in exploded and _holds_prose_in_lists(seen, name)]
    return prose + [name for name in lists if name not in prose]


def _fields_inside(seen: Peek, name: str) -> Iterator[str]:
    """The fields of the records that a column lists."""
    for value in (getter(name)(record) for record in seen.records):
        yield from (field for part in _listed(value) if isinstance(part, dict) for field in part)


def _holds_prose_in_lists(seen: Peek, name: str) -> bool:
    """Whether a column holds lists of texts of three words or more."""
    column, _, field = name.partition(".*.")
    parts = (part for record in seen.records for part in _listed(getter(column)(record)))
    texts = (part.get(field) if isinstance(part, dict) else None if field else part for part in parts)
    return any(is_prose(text, 3) for text in texts)


def _listed(value: Any) -> Sequence[Any]:
    """The first elements of a list, also of one that a text spells; empty for other values."""
    found = literal_list(value) if isinstance(value, str) and value.startswith("[") else value
    return found[:_MOST_LISTED] if isinstance(found, list | tuple) else ()


def _fields_of_chat(seen: Peek, name: str) -> Iterator[str]:
    """The fields of the last of a chat's messages, each of which says whose it is."""
    for value in (getter(name)(record) for record in seen.records):
        last = value[-1] if isinstance(value, list) and value and isinstance(value[-1], dict) else {}
        yield from last if isinstance(last.get("from", last.get("role")), str) else ()
