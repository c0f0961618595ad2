"""Names of fields inside records: ``caption``, ``scene.caption``, ``captions.-1.content``, ``windows.*.caption``.

A part is a key of a record, a position in a list (negative: from its end), or ``*``, every element of a list or every
value of a record. A key that holds a dot is found under its whole name first. A text that spells a record or a list of
texts, as JSON or as a Python literal, counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from walt.ingest.tables.cells import Record, spelled

KEY, VALUE, FILE, TABLE = "$key", "$value", "$file", "$table"
"""Fields that every record of a map file has (its key, its value), that every record has of a JSON file (the whole
content, as in ``$file.meta.id``), and that every row has (the table's own name)."""

EVERY = "*"
"""Of a JSON file: all its fields, each of which is a list of records (``{"train": [...], "val": [...]}``), or a map of
the same keys (``{"en": {"a.mp4": ...}, "de": {"a.mp4": ...}}``)."""
_HOLE = re.compile(r"\{([^{}]+?)(?::0(\d{1,2}))?\}")
_WHOLE = re.compile(r"(\d+)(?:\.0+)?")


def getter(name: str) -> Callable[[Record], Any]:
    """A function that finds a field in a record; None where there is none."""
    parts = name.split(".")
    if len(parts) == 1:
        return lambda record: record.get(name)

    def find(record: Record) -> Any:
        return record[name] if name in record else _walk(record, parts)

    return find


def root(name: str) -> str:
    """The column of a flat table that a field is in: ``scene`` for ``scene.caption``."""
    return name.partition(".")[0]


def holes(template: str) -> tuple[str, ...]:
    """The fields of a template such as ``{videoID}_{start:06}.mp4``; a name without braces is itself one field."""
    return tuple(name for name, _ in _HOLE.findall(template)) or (template,)


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its fields filled in; empty where one of them is.

    ``{start:06}`` is a whole number with as many digits, zeros before it; what is none stands as it is.
    """
    if "{" not in template:
        return values[template]
    if not all(values[name] for name in holes(template)):
        return ""
    return _HOLE.sub(lambda found: _with_digits(values[found[1]], found[2]), template)


def _with_digits(value: str, digits: str | None) -> str:
    whole = _WHOLE.fullmatch(value) if digits else None
    return whole[1].zfill(int(digits)) if whole and digits else value


def _walk(value: Any, parts: list[str]) -> Any:
    for number, part in enumerate(parts):
        rest = parts[number + 1 :]
        if isinstance(value, str) and value.startswith(("[", "{")):
            value = spelled(value)
        if part == "*" and isinstance(value, Mapping | list | tuple):
            inner = list(value.values()) if isinstance(value, Mapping) else list(value)
            return [_walk(element, rest) for element in inner]
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple) and re.fullmatch(r"-?\d{1,6}", part):
            place = int(part)
            value = value[place] if -len(value) <= place < len(value) else None
        else:
            return None
    return value
