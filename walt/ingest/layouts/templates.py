"""Finds file names that are put together from several columns, as Kinetics, YouCook2 and AudioCaps have them.

A file whose name begins with what a record says is an example: what follows, and the folders that it is in, are looked
for in the record's other columns (``{label}/{youtube_id}_{time_start:06}_{time_end:06}``). Whether a template is right
is seen by the other records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

from walt.ingest.layouts import usual_names
from walt.ingest.layouts.peek import Peek
from walt.ingest.layouts.survey import Survey
from walt.ingest.tables.cells import Record
from walt.ingest.tables.fields import fill, getter, holes

_LOOKED_AT, _MOST_FILES, _MOST = 8, 16, 64
_MOST_PARTS, _LONGEST = 5, 100
_BETWEEN = re.compile(r"[_\-. ]+")
_DIGITS = re.compile(r"\d+")
_WHOLE = re.compile(r"(\d+)(?:\.0+)?")


def value_of(record: Record, column: str) -> str:
    """A record's path, as text; empty if there is none."""
    return fill(column, {name: _text(getter(name)(record)) for name in holes(column)})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return ""
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def templates(survey: Survey, seen: Peek, columns: Iterable[str]) -> list[str]:
    """Templates by which files of the folder have one of these columns in their names, and others before or behind."""
    found: dict[str, None] = {}
    others = [name for name in seen.columns if not usual_names.is_caption(name) and _may_be_a_hole(name)]
    for column in filter(_may_be_a_hole, columns):
        for record in seen.records[:_LOOKED_AT]:
            value = value_of(record, column)
            if not value or "/" in value:
                continue
            texts = {name: text for name in others if name != column and (text := value_of(record, name))}
            texts = {name: text for name, text in texts.items() if len(text) <= _LONGEST and "/" not in text}
            for path in islice(survey.beginning_with(value), _MOST_FILES):
                found.update(dict.fromkeys(islice(_of_example(path, column, value, texts), _MOST)))
    return list(found)[:_MOST]


def recording_of(template: str) -> str | None:
    """The column of the recording that files are cut from, where their names say from when on; None: they do not."""
    first, *others = holes(template.rpartition("/")[2])
    return first if any(map(usual_names.is_end, others)) else None


def has_folders(template: str) -> bool:
    """Whether a template's folders are from columns too."""
    return "{" in template.rpartition("/")[0]


def _may_be_a_hole(name: str) -> bool:
    return not re.search(r"[{}:]", name)


def _of_example(path: str, column: str, value: str, texts: Mapping[str, str]) -> Iterator[str]:
    """The templates that lead to a file whose name begins with a column's value."""
    folder, _, name = path.rpartition("/")
    stem = name if name == value else name.rpartition(".")[0] or name
    if "{" in path or "}" in path or not stem.startswith(value):
        return
    of_folders = [
        [f"{{{other}}}" for other, text in texts.items() if text == part] or [part] for part in folder.split("/")
    ]
    for end in _ends(stem[len(value) :], texts, _MOST_PARTS):
        for parts in product(*of_folders):
            template = "/".join([*filter(None, parts), f"{{{column}}}{end}"])
            if len(holes(template)) > 1:
                yield template


def _ends(rest: str, texts: Mapping[str, str], most: int) -> Iterator[str]:
    """How the rest of a name is made of signs and columns, of which no more than ``most``."""
    if not rest:
        yield ""
        return
    sign = _BETWEEN.match(rest)
    if sign is None or not most:
        return
    rest = rest[sign.end() :]
    digits = _DIGITS.match(rest)
    for name, text in texts.items():
        if rest.startswith(text):
            yield from (f"{sign[0]}{{{name}}}{end}" for end in _ends(rest[len(text) :], texts, most - 1))
        elif digits and digits[0].startswith("0") and (whole := _WHOLE.fullmatch(text)):
            width = len(digits[0])
            if whole[1].zfill(width) == digits[0]:
                filled = f"{sign[0]}{{{name}:0{width}}}"
                yield from (f"{filled}{end}" for end in _ends(rest[width:], texts, most - 1))
