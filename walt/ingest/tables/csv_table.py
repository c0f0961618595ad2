"""CSV and TSV as records. A row that would be read wrongly is refused, not guessed."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.core.suggestions import did_you_mean
from walt.ingest.tables.cells import BadValue, Record, short
from walt.ingest.tables.fields import root

if TYPE_CHECKING:
    import _csv

LONGEST_FIELD = 1 << 24
_QUOTED = re.compile(r'""|"(?:[^"]|"")*""(?:[^"]|"")*"')
_DELIMITERS = (",", ";", "\t", "|")
_SAID = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def csv_records(
    where: str, table: str, stream: IO[bytes], wanted: dict[str, bool]
) -> Iterator[tuple[int, Record | BadValue]]:
    """The rows as (line at which the row ends, record); blank lines are skipped.

    A CSV is separated by the first of ``,``, ``;``, tab and ``|`` by which its header has all required columns. In a
    TSV quotes are part of the text, unless they stand around the names of its header, or around a field in which all
    others are doubled. Where the header has blanks after its commas, so may the rows. UTF-16 is read where the file
    begins with its mark, and a line ``sep=;`` before the header, as Excel writes and heeds it, says the delimiter.

    Args:
        wanted: columns, and whether each is required.

    Raises:
        ConfigurationError: a required column is missing or there twice, or a quoted field never ends.
    """
    tabs = table.lower().endswith(".tsv")
    header_line, delimiter = _header(stream, wanted, tabs)
    blanks = any(name.startswith(" ") for name in header_line)
    reader = _reader(stream, tabs, delimiter, blanks)
    begun = 0
    try:
        header = [name.strip() for name in next(reader, [])]
        roots = _check_columns(where, header, wanted)
        for line, fields in _without_quoting(reader, len(header)) if _quotes_are_text(reader) else _numbered(reader):
            begun = reader.line_num
            if isinstance(fields, BadValue):
                yield line, fields
            elif fields:
                yield line, _record(header, fields, roots, blanks or tabs)
    except csv.Error as error:
        open_quote = "unexpected end" in str(error)
        cause = "a quoted field begins here and never ends" if open_quote else f"not valid CSV: {error}"
        line = begun + 1 if open_quote else reader.line_num
        raise ConfigurationError(f"{where}, line {line}: {cause}") from None


def csv_columns(table: str, stream: IO[bytes]) -> list[str]:
    """The names in the header, by the delimiter that gives the most of them."""
    tabs = table.lower().endswith(".tsv")
    rows = []
    for delimiter in ("\t",) if tabs else _DELIMITERS:
        try:
            rows.append([name.strip() for name in next(_reader(stream, tabs, delimiter, True), [])])
        except csv.Error:
            continue
    return max(rows, key=len, default=[])


def _reader(stream: IO[bytes], tabs: bool, delimiter: str, blanks: bool) -> _csv.Reader:
    csv.field_size_limit(LONGEST_FIELD)
    text = _text(stream)
    if tabs:
        quoted = stream.read(4).removeprefix(codecs.BOM_UTF8)[:1] == b'"'
        stream.seek(0)
        return csv.reader(text, delimiter="\t", quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    said = _SAID.fullmatch(text.readline(16))
    reader = csv.reader(_text(stream), delimiter=said[1] if said else delimiter, strict=True, skipinitialspace=blanks)
    if said:
        next(reader)
    return reader


def _text(stream: IO[bytes]) -> io.TextIOWrapper:
    """A stream from its beginning, as text."""
    stream.seek(0)
    encoding = _BYTE_ORDER_MARKS.get(stream.read(2), "utf-8-sig")
    stream.seek(0)
    return io.TextIOWrapper(_Unclosed(stream), encoding=encoding, errors="surrogateescape", newline="")  # type: ignore[arg-type]


def _numbered(reader: _csv.Reader) -> Iterator[tuple[int, list[str]]]:
    for fields in reader:
        yield reader.line_num, fields


def _quotes_are_text(reader: _csv.Reader) -> bool:
    """Whether a reader leaves quotes as they are."""
    return reader.dialect.quoting == csv.QUOTE_NONE


def _without_quoting(reader: _csv.Reader, count: int) -> Iterator[tuple[int, list[str] | BadValue]]:
    """The rows of a reader that leaves quotes as they are, those of single fields taken off where they can be nothing
    else (``"a ""red"" cat"``). A quote that may end in a later line, which has too few fields, refuses both lines."""
    held: tuple[int, list[str]] | None = None
    for line, fields in _numbered(reader):
        if held is not None and 0 < len(fields) < count:
            cause = "a quote begins in it and may end in the next line, but the header has no quotes"
            yield held[0], BadValue(cause)
            yield line, BadValue(f"{len(fields)} fields, but the header has {count}: part of the quote before it?")
            held = None
            continue
        if held is not None:
            yield held
        fields = [field[1:-1].replace('""', '"') if _QUOTED.fullmatch(field) else field for field in fields]
        held = (line, fields) if fields and fields[-1].startswith('"') and fields[-1].count('"') % 2 else None
        if held is None:
            yield line, fields
    if held is not None:
        yield held


class _Unclosed(io.RawIOBase):
    """A stream whose end of life is not that of the text wrapper around it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _header(stream: IO[bytes], wanted: dict[str, bool], tabs: bool) -> tuple[list[str], str]:
    """The header's names as they stand there, and the delimiter by which they are separated."""
    first: list[str] = []
    for delimiter in ("\t",) if tabs else _DELIMITERS:
        try:
            names: list[str] = next(_reader(stream, tabs, delimiter, False), [])
        except csv.Error:
            continue
        first = first or names
        stripped = [name.strip() for name in names]
        if all(_root(name, stripped) for name, required in wanted.items() if required):
            return names, delimiter
    return first, "\t" if tabs else ","


def _root(name: str, header: list[str]) -> str | None:
    """The column that holds a field: the name itself, or what it begins with."""
    return name if name in header else root(name) if root(name) in header else None


def _check_columns(where: str, header: list[str], wanted: dict[str, bool]) -> set[str]:
    """The columns that hold the wanted fields. Raises ConfigurationError."""
    found: set[str] = set()
    for name, required in wanted.items():
        column = _root(name, header)
        if column is None:
            if required:
                raise no_column(where, header, name)
            continue
        if header.count(column) > 1:
            raise ConfigurationError(f"{where}: column '{column}' is there {header.count(column)} times")
        found.add(column)
    return found


def no_column(where: str, columns: list[str], wanted: str) -> ConfigurationError:
    """The error of a table that lacks a column."""
    hint = did_you_mean(wanted, columns)
    names = printable(", ".join(columns)) if columns else "none: the table is empty"
    return ConfigurationError(f"{where}: no column '{printable(wanted)}'{hint} (columns: {names})")


def _record(header: list[str], fields: list[str], roots: set[str], blanks: bool) -> Record | BadValue:
    if len(fields) > len(header):
        cause = "a text with a comma needs quotes around it"
        return BadValue(f"{len(fields)} fields, but the header has {len(header)}: {cause}")
    if not blanks:
        for field in fields:
            if field[:1] == " " and field.lstrip()[:1] == '"':
                return BadValue(
                    f"{short(field)}: a quote after a blank does not begin a quoted field; remove the blank"
                )
    return {name: field for name, field in zip(header, fields, strict=False) if name in roots}
