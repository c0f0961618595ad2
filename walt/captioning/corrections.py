"""What people say of clips: ``datasets/captions/*.csv`` with the columns ``key``, ``caption`` and, if wanted, ``name``.

A row replaces the caption of that name; without a name, the clip's first one. A clip that has none gets it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.data.captions import Caption

FOLDER = "datasets/captions"
BY_A_PERSON = "person"
"""Name of a caption that a person gave to a clip without one, where the row has no name."""
_KEY, _TEXT, _NAME = "key", "caption", "name"


@dataclass(frozen=True)
class Correction:
    """One row."""

    text: str
    name: str
    """Empty: that of the caption which it replaces."""
    place: str
    """File and line."""


def read_corrections(folder: Path) -> dict[str, list[Correction]]:
    """The corrections of each clip, by its key.

    Raises:
        ConfigurationError: a table cannot be read, lacks a column, has an empty key or caption, or says two things of
            one caption; the message names the file and the line.
    """
    found: dict[str, list[Correction]] = {}
    for path in sorted(folder.glob("*.csv")):
        for key, correction in _rows(path):
            known = found.setdefault(key, [])
            for other in known:
                if other.name == correction.name:
                    raise ConfigurationError(
                        f"{correction.place}: clip '{printable(key)}' is corrected in {other.place} already"
                    )
            known.append(correction)
    return found


def _rows(path: Path) -> list[tuple[str, Correction]]:
    place = f"{FOLDER}/{printable(path.name)}"
    found = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            for name in (_KEY, _TEXT):
                if name not in (reader.fieldnames or ()):
                    raise ConfigurationError(f"{place}: no column '{name}'")
            for row in reader:
                line = f"{place}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise ConfigurationError(f"{line}: its fields do not fit the header")
                text = clean_caption(row[_TEXT])
                if not row[_KEY] or not text:
                    raise ConfigurationError(f"{line}: {'no key' if not row[_KEY] else 'an empty caption'}")
                found.append((row[_KEY], Correction(text, row.get(_NAME) or "", line)))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{place}: not UTF-8") from None
    except csv.Error as error:
        raise ConfigurationError(f"{place}: {error}") from None
    return found


def clean_caption(text: str) -> str:
    """A text as a caption: without control characters, runs of white space as one space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def corrected(captions: Sequence[Caption], corrections: Sequence[Correction]) -> tuple[Caption, ...]:
    """A clip's captions after a person's corrections."""
    found = list(captions)
    for correction in corrections:
        names = [caption.name for caption in found]
        if not correction.name and found:
            found[0] = Caption(found[0].name, correction.text)
        elif correction.name in names:
            found[names.index(correction.name)] = Caption(correction.name, correction.text)
        else:
            found.append(Caption(correction.name or BY_A_PERSON, correction.text))
    return tuple(found)
