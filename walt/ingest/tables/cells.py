"""What a table's row holds: its cells, each of the kind that an adapter asks for.

Text stays text. Bytes in it that are not UTF-8 become surrogates, as in file names. Whole numbers become their digits
where text is expected, so that an id column may have either type.
"""

from __future__ import annotations

import ast
import io
import json
import math
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal

from walt.core.printable import printable

_LONGEST_LITERAL = 1 << 20
LONGEST_LIST = 10_000
_NO_CAPTION = frozenset(("\\N", "nan", "NaN", "NULL", "null", "None", "<NA>", "N/A", "NA", "n/a", "#N/A"))
"""What databases, spreadsheets and pandas write where there is no text."""

ColumnKind = Literal["text", "texts", "number", "moment", "list", "any"]
"""``text``: a string, or a whole number as its digits. ``texts``: a string or several. ``number``: a float. ``moment``:
text or a float, see ``spans.seconds``. ``list``: of anything. ``any``: as it is."""
Columns = Mapping[str, ColumnKind]
Cell = Any
"""str, tuple of str, float or tuple by the column's kind; None: the cell is empty; BadValue: it holds anything else."""
Record = Mapping[str, Any]
"""A row as its format holds it, before its cells are converted."""


@dataclass(frozen=True, slots=True)
class BadValue:
    """A cell that cannot be read as its column's kind, or a row that cannot be read."""

    cause: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its position, and its values in the order of the requested columns."""

    table: str
    line: int
    """In a CSV the line at which it ends, in JSON lines its line; elsewhere its number, counted from 1."""
    values: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The name of an input of which only the row is known."""
        return f"{self.table} line {self.line}"

    @property
    def texts(self) -> tuple[str, ...]:
        """The values if all columns are text; an empty cell, and one that is bad, becomes an empty string."""
        return tuple(value if isinstance(value, str) else "" for value in self.values)

    @property
    def problem(self) -> str | None:
        """The cause of the first bad value."""
        return next((value.cause for value in self.values if isinstance(value, BadValue)), None)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that follow each other, by column."""

    table: str
    lines: Sequence[int]
    """Of each row; as in ``Row``."""
    columns: tuple[list[Cell], ...]
    """In the order of the requested columns, a value of each row in each."""

    def __len__(self) -> int:
        return len(self.lines)

    def row(self, number: int) -> Row:
        """One of the rows, from 0."""
        return Row(self.table, self.lines[number], tuple([column[number] for column in self.columns]))


def convert(value: Any, kind: ColumnKind) -> Cell:
    """A value of CSV, JSON or Parquet as a cell of this kind."""
    if value is None or isinstance(value, BadValue) or kind == "any":
        return value
    if isinstance(value, float) and math.isnan(value):
        return None  # how pandas writes that there is none
    if kind == "text":
        return _text(value)
    if kind == "texts":
        return _texts(value)
    if kind == "moment":
        return value if isinstance(value, str) else _number(value)
    return _number(value) if kind == "number" else _list(value)


def convert_column(values: list[Any], kind: ColumnKind) -> list[Cell]:
    """The same as ``convert`` of each value; where all are of one type, at once."""
    types = set(map(type, values))
    if kind == "text" and types <= {str, NoneType}:
        return values
    if kind == "text" and types == {int}:
        return list(map(str, values))
    if kind == "texts" and types == {str} and _are_plain(values):
        return list(zip(values, strict=True))
    if kind in ("number", "moment") and types == {float} and all(map(math.isfinite, values)):
        return values
    return [convert(value, kind) for value in values]


def _text(value: Any) -> Cell:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return BadValue(f"{short(value)} is {_kind(value)}, expected text")


def _texts(value: Any) -> Cell:
    if isinstance(value, str):
        if value in _NO_CAPTION:
            return None
        value = spelled(value) if value.startswith(("[", "{")) else (value,)
    if isinstance(value, Mapping):
        keys = ", ".join(map(str, [*value][:5]))
        return BadValue(f"a record with the keys {keys}: name one of them, as in 'caption.{[*value, 'short'][0]}'")
    if not isinstance(value, list | tuple):
        return _as_single(_text(value))
    if (whole := _rich_text(value)) is not None:
        return (whole,)
    found: list[str] = []
    for part in _flat(value):
        text = _text(part)
        if isinstance(text, BadValue):
            return text
        found.append(text)
        if len(found) > LONGEST_LIST:
            return BadValue(f"more than {LONGEST_LIST} texts")
    return tuple(found)


def _rich_text(parts: Sequence[Any]) -> str | None:
    """The text of which some parts have a form, as messengers export it (``["see ", {"type": "link", "text": "x"}]``);
    None: it is something else, such as several texts."""
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    mixed = {isinstance(part, Mapping) for part in parts} == {True, False}
    return "".join(map(str, texts)) if mixed and all(isinstance(text, str) for text in texts) else None


def _as_single(text: str | BadValue) -> Cell:
    return text if isinstance(text, BadValue) else (text,)


def _flat(values: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        elif value is not None:
            yield value


def _are_plain(values: list[str]) -> bool:
    """Whether each text is one caption."""
    return _NO_CAPTION.isdisjoint(values) and {value[:1] for value in values}.isdisjoint("[{")


def spelled(text: str) -> Any:
    """The list of texts or the record that a text spells, as JSON, as a Python literal, or as numpy prints lists of
    texts (without commas); any other text in a tuple of its own."""
    inner = text.strip()
    if f"{inner[:1]}{inner[-1:]}" not in ("[]", "{}") or len(inner) > _LONGEST_LITERAL:
        return (text,)
    try:
        found = json.loads(inner)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(inner)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return (text,)
        if isinstance(found, list) and len(found) == 1:
            found = _without_commas(inner) or found
    if isinstance(found, dict) and found and all(isinstance(key, str) for key in found):
        return found
    texts = isinstance(found, list) and bool(found) and all(isinstance(part, str) for part in found)
    return found if texts else (text,)


def _without_commas(text: str) -> list[str] | None:
    """The texts of ``['a' 'b']``, which Python takes for one; None: it has commas."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    if any(token.string == "," for token in tokens):
        return None
    return [ast.literal_eval(token.string) for token in tokens if token.type == tokenize.STRING]


def _number(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return BadValue(f"{short(value)} is {_kind(value)}, expected a number")
    if isinstance(value, str) and not value.strip():
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return BadValue(f"{short(value)} is not a number")
    return number if math.isfinite(number) else BadValue(f"{short(value)} is not a finite number")


def _list(value: Any) -> Cell:
    if isinstance(value, str):
        return literal_list(value)
    if not isinstance(value, list | tuple):
        return BadValue(f"{short(value)} is not a list")
    return _checked_list(value)


def literal_list(text: str) -> tuple[Any, ...] | BadValue | None:
    """A list written as a Python literal that holds only values: names, calls and arithmetic are refused."""
    if not text.strip():
        return None
    if len(text) > _LONGEST_LITERAL:
        return BadValue(f"a list of {len(text)} characters, {_LONGEST_LITERAL} are allowed")
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return BadValue(f"{short(text)} is not a list")
    if not isinstance(value, list | tuple):
        return BadValue(f"{short(text)} is not a list")
    return _checked_list(value)


def _checked_list(value: list[Any] | tuple[Any, ...]) -> tuple[Any, ...] | BadValue:
    if len(value) > LONGEST_LIST:
        return BadValue(f"a list of {len(value)} values, {LONGEST_LIST} are allowed")
    return tuple(value)


def short(value: Any) -> str:
    """A value for a message: at most 40 characters of it, nothing that moves a cursor."""
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= 40 else f"{text[:40]}..."
    return printable(repr(cut) if isinstance(value, str) else cut)


def _kind(value: Any) -> str:
    names: dict[type, str] = {bool: "a truth value", float: "a fraction", list: "a list", dict: "a record"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), type(value).__name__)
