"""What a sample of a tar says besides its pictures: captions, numbers and a label, out of its other members.

A caption is named in a descriptor as ``txt`` (a text member), ``json:KEY`` or ``info.json:KEY`` (a key of a JSON
member; ``model.long`` is a key in a key), or ``index:KEY`` (a key of the member's entry in ``TAR.json`` beside the tar,
as webshart writes it).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from walt.core.errors import ConfigurationError
from walt.ingest.sources.items import Caption

LONGEST_TEXT = 1 << 20
_TEXTS = frozenset({"txt", "text", "caption", "prompt"})


@dataclass(frozen=True)
class Spec:
    """Where one caption of a sample is."""

    extension: str
    """Of the member; ``index``: the index beside the tar."""
    key: str
    """Of a JSON member; empty for a text."""

    @property
    def name(self) -> str:
        """The caption's name: its key, or the text's extension."""
        return self.key or self.extension

    @property
    def in_index(self) -> bool:
        """Whether it is beside the tar, not in it."""
        return self.extension == "index"

    def __str__(self) -> str:
        return f"{self.extension}:{self.key}" if self.key else self.extension


class BadValueError(Exception):
    """A member does not hold what a descriptor expects of it; the message is the cause of a refusal."""


def parse_specs(caption: str | tuple[str, ...], key: str = "source.caption") -> tuple[Spec, ...]:
    """The captions that a descriptor names. Raises ConfigurationError."""
    specs = []
    for text in (caption,) if isinstance(caption, str) else caption:
        extension, colon, of_json = text.partition(":")
        last = extension.rpartition(".")[2]
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", extension) or bool(colon) != bool(of_json) or (
            last not in _TEXTS if not of_json else last != "json" and extension != "index"
        ):  # fmt: skip
            wanted = "'txt', or 'json:' and a key, or 'index:' and a key"
            raise ConfigurationError(f"{key}: {wanted}, not '{text}'")
        specs.append(Spec(extension, of_json))
    if len(set(specs)) < len(specs):
        raise ConfigurationError(f"{key}: a caption is named twice")
    return tuple(specs)


Read = Callable[[str], bytes | None]
"""The bytes of a sample's member by its extension; None: it has none. Raises BadValueError: they are too many."""


class Sidecars:
    """The members of one sample that are no pictures; a JSON member is parsed once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._parsed: dict[str, object] = {}

    def captions(self, specs: tuple[Spec, ...], index: object = None) -> list[Caption]:
        """All captions of the sample, those that it lacks left out.

        Args:
            index: the sample's entry in the index beside the tar; None: it has none.

        Raises:
            BadValueError: a member is not text, not JSON, or has another type where a caption is expected.
        """
        found = []
        for spec in specs:
            if spec.in_index:
                texts = texts_at(index, spec.key)
            elif spec.key:
                texts = texts_at(self._json(spec.extension), spec.key)
            else:
                data = self._read(spec.extension)
                texts = [] if data is None else [data.decode("utf-8", "surrogateescape")]
            found += [Caption(spec.name, text) for text in texts]
        return found

    def numbers(self, keys: tuple[str, ...]) -> Mapping[str, float | None] | None:
        """The numbers under these keys of the JSON member; None where a key is absent. Raises BadValueError."""
        return {key: number_at(self._json("json"), key) for key in keys} if keys else None

    def label(self) -> int | None:
        """The class number in the member ``cls``. Raises BadValueError."""
        data = self._read("cls")
        if data is None:
            return None
        text = data.decode("ascii", "replace").strip()
        if not text.isdecimal() or len(text) > 9:
            raise BadValueError("does not hold a class number")
        return int(text)

    def _json(self, extension: str) -> object:
        if extension not in self._parsed:
            data = self._read(extension)
            self._parsed[extension] = None if data is None else parse_json(data, f".{extension}")
        return self._parsed[extension]


def parse_json(data: bytes, what: str) -> Any:
    """JSON; bytes that are not UTF-8 become surrogates. Raises BadValueError."""
    try:
        return json.loads(data.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise BadValueError(f"{what} is not JSON: line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise BadValueError(f"{what} is nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise BadValueError(f"{what} cannot be read: {error}") from None


def texts_at(found: object, key: str) -> list[str]:
    """The texts under a dotted key: a text, or a list of them; a list on the way is searched in all its elements.
    Nothing, or null, at any step is no text.

    Raises:
        BadValueError: there is something else.
    """
    return [text for value in _values_at(found, key) for text in _texts(value, key)]


def number_at(found: object, key: str) -> float | None:
    """The number under a dotted key; None: there is none. Raises BadValueError for anything else, and for NaN."""
    values = list(_values_at(found, key))
    if not values:
        return None
    if len(values) > 1 or isinstance(values[0], bool) or not isinstance(values[0], int | float):
        raise BadValueError(f"'{key}' holds {_what(values[0])}, not a number")
    try:
        number = float(values[0])
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadValueError(f"'{key}' is not a finite number")
    return number


def _values_at(found: object, key: str) -> list[object]:
    """Everything that is not null under a key: as it is written, or else its parts one in the other."""
    if isinstance(found, dict) and key in found:
        return [] if found[key] is None else [found[key]]
    here = [found]
    gone = ""
    for step in key.split("."):
        here = [element for value in here for element in (value if isinstance(value, list) and gone else [value])]
        if wrong := [value for value in here if value is not None and not isinstance(value, dict)]:
            place = f"'{gone}'" if gone else "the JSON"
            raise BadValueError(f"{place} holds {_what(wrong[0])}, not a map with the key '{step}'")
        here = [value.get(step) for value in here if isinstance(value, dict)]
        gone = f"{gone}.{step}" if gone else step
    return [value for value in here if value is not None]


def _texts(value: object, key: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if wrong := [one for one in values if one is not None and not isinstance(one, str)]:
        raise BadValueError(f"'{key}' holds {_what(wrong[0])}, not a text")
    return [one for one in values if isinstance(one, str)]


def _what(value: object) -> str:
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"), ((int, float), "a number"), (str, "a text"), (list, "a list"), (dict, "a map"),
    )  # fmt: skip
    return next((said for kind, said in kinds if isinstance(value, kind)), "null")
