"""JSON as records: a list of records, a map of records or captions, either of them under a key, or a record per line.

What a key holds twice is refused, since a reader that takes the last would lose the others without a word.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.core.suggestions import did_you_mean
from walt.ingest.tables.cells import BadValue, Record
from walt.ingest.tables.fields import EVERY, FILE, KEY, VALUE, getter

LONGEST_LINE = 1 << 26
_MOST_AT_ONCE = 1 << 28
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BETWEEN = re.compile(r"[\s,]*")
_MARK = "\ufeff"

Numbered = Iterator[tuple[int, Record | BadValue]]


class _Refused(ValueError):
    """Valid JSON that is refused all the same."""


def json_records(
    where: str, stream: IO[bytes], records: str | None, join: tuple[str, str, str] | None = None
) -> Numbered:
    """The records of a ``.json`` file, as (number from 1, or line, record).

    A file of several JSON values, one after the other or one per line, is read whatever its name.

    Args:
        records: the field that holds the list or map of records; None: the file's whole content is it; ``EVERY``: each
            field is a list of them, or is a map: then a record is what all maps say of one key.
        join: a second field, the key by which one of its records belongs to each of the first, and the name of that
            key in the first: its fields are seen where the record has none of that name.

    Raises:
        ConfigurationError: not JSON, or there are no records at that field; the message names the line.
    """
    stream = as_utf8(stream)
    text = stream.read().decode("utf-8", "surrogateescape").removeprefix(_MARK)
    try:
        content = _parse(text)
    except json.JSONDecodeError as error:
        several = records is None and join is None and error.msg == "Extra data"
        if several and (values := _one_after_the_other(text)):
            yield from values
            return
        if several and "\n" in text[: error.pos]:
            stream.seek(0)
            yield from json_lines(where, stream)
            return
        raise _no_json(where, error) from None
    except (_Refused, RecursionError) as error:
        raise _no_json(where, error) from None
    further = _joined(where, content, *join[:2]) if join else {}
    by = getter(join[2]) if join else None
    for number, record in _of_content(where, content, records):
        if isinstance(record, BadValue):
            yield number, record
            continue
        whole = {FILE: content, **record}
        yield number, {**further.get(_identity(by(record)), {}), **whole} if by else whole


def json_content(where: str, stream: IO[bytes]) -> Any:
    """The one value that a file holds; None: it holds several. Raises ConfigurationError: it is damaged."""
    text = as_utf8(stream).read().decode("utf-8", "surrogateescape").removeprefix(_MARK)
    try:
        return _parse(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return None
        raise _no_json(where, error) from None
    except (_Refused, RecursionError) as error:
        raise _no_json(where, error) from None


def _no_json(where: str, error: Exception) -> ConfigurationError:
    if isinstance(error, json.JSONDecodeError):
        return ConfigurationError(f"{where}, line {error.lineno}: not valid JSON: {error.msg}")
    cause = str(error) if isinstance(error, _Refused) else "nested too deeply"
    return ConfigurationError(f"{where}: {printable(cause)}")


def json_lines(where: str, stream: IO[bytes]) -> Numbered:
    """The records of JSON lines, as (line, record); a line that is not a record is a BadValue, blank lines are skipped.

    Raises:
        ConfigurationError: a line is longer than 64 MB.
    """
    stream = as_utf8(stream)
    return json_records(where, stream, None) if is_whole(stream) else numbered_lines(where, stream, 1)


def is_whole(stream: IO[bytes]) -> bool:
    """Whether a file that should hold JSON lines is read as a whole: it is a list of records, or they follow each other
    whatever its lines. The stream is at its beginning before and afterwards."""
    size = stream.seek(0, 2)
    stream.seek(0)
    first = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    stream.seek(0)
    return first.startswith(b"[") or (size <= _MOST_AT_ONCE and not _begins_with_a_line(stream))


def as_utf8(stream: IO[bytes]) -> IO[bytes]:
    """A stream at its beginning; where the file is UTF-16 and begins with its mark, one of the same text in UTF-8."""
    begin = stream.read(2)
    stream.seek(0)
    return io.BytesIO(stream.read().decode("utf-16", "replace").encode()) if begin in _UTF_16 else stream


def _begins_with_a_line(stream: IO[bytes]) -> bool:
    """Whether the first line may be a record, not the beginning of one, or several. The stream is at its beginning
    afterwards."""
    line = b""
    while not line.strip() and (line := stream.readline(LONGEST_LINE + 1)):
        pass
    stream.seek(0)
    text = line.decode("utf-8", "surrogateescape").strip().removeprefix(_MARK)
    if not text.startswith("{") or not isinstance(_record_of_line(text), BadValue):
        return True
    whole = stream.read().decode("utf-8", "surrogateescape").removeprefix(_MARK)
    stream.seek(0)
    return not _one_after_the_other(whole)


def _one_after_the_other(text: str) -> list[tuple[int, Record | BadValue]] | None:
    """Records that follow each other, whatever their lines, with the line at which each begins; None: there is
    something else among them."""
    found: list[tuple[int, Record | BadValue]] = []
    at, line, counted = _BETWEEN.match(text).end(), 1, 0  # type: ignore[union-attr]
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            record, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found.append((line, record if isinstance(record, dict) else BadValue("not a JSON object")))
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    return found


def numbered_lines(where: str, stream: IO[bytes], first: int) -> Numbered:
    """The same as ``json_lines`` from where the stream is, whose next line has the number ``first``."""
    for number in itertools.count(first):
        line = stream.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise ConfigurationError(f"{where}, line {number}: longer than {LONGEST_LINE >> 20} MB")
        text = line.decode("utf-8", "surrogateescape").strip().removeprefix(_MARK)
        if text:
            yield number, _record_of_line(text)


def _record_of_line(text: str) -> Record | BadValue:
    try:
        record = _parse(text.removesuffix(","))
    except json.JSONDecodeError as error:
        return BadValue(f"not valid JSON: {error.msg}")
    except _Refused as error:
        return BadValue(str(error))
    except RecursionError:
        return BadValue("nested too deeply")
    return record if isinstance(record, dict) else BadValue("not a JSON object")


def _parse(text: str) -> Any:
    return _DECODER.decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key '{twice}' is there twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _of_content(where: str, content: Any, records: str | None) -> Numbered:
    """The records at a field of the content."""
    if records == EVERY and isinstance(content, dict):
        yield from _of_every(content)
        return
    found = content if records is None else getter(records)(content) if isinstance(content, dict) else None
    if isinstance(found, dict):
        for number, (key, value) in enumerate(found.items(), 1):
            fields = value if isinstance(value, dict) else {}
            yield number, {**fields, KEY: key, VALUE: value}
    elif isinstance(found, list):
        for number, record in enumerate(found, 1):
            yield number, record if isinstance(record, dict) else BadValue("not a JSON object")
    elif records is not None and isinstance(content, dict):
        hint = did_you_mean(records, content)
        keys = printable(", ".join(list(content)[:10]))
        raise ConfigurationError(f"{where}: no list or map of records at '{records}'{hint} (keys: {keys})")
    else:
        raise ConfigurationError(f"{where}: neither a list of records nor a map")


def _of_every(content: dict[str, Any]) -> Numbered:
    """The records of all lists, each with the name of its list as its key; or of maps what all say of each key."""
    maps = {name: value for name, value in content.items() if isinstance(value, dict)}
    if maps and not any(isinstance(value, list) for value in content.values()):
        keys = dict.fromkeys(key for value in maps.values() for key in value)
        for number, key in enumerate(keys, 1):
            yield number, {KEY: key, **{name: value.get(key) for name, value in maps.items()}}
        return
    number = 0
    for key, records in content.items():
        for record in records if isinstance(records, list) else (None,):
            number += 1
            yield number, {**record, KEY: key} if isinstance(record, dict) else BadValue(f"no JSON object at '{key}'")


def _joined(where: str, content: Any, field: str, key: str) -> dict[str, Mapping[str, Any]]:
    """The records at a field, by the value of their key."""
    find = getter(key)
    found: dict[str, Mapping[str, Any]] = {}
    for _, record in _of_content(where, content, field):
        value = None if isinstance(record, BadValue) else find(record)
        if isinstance(record, BadValue) or value is None:
            raise ConfigurationError(f"{where}: a record of '{field}' has no '{key}', by which it is joined")
        if _identity(value) in found:
            raise ConfigurationError(f"{where}: two records of '{field}' have the {key} {value!r}")
        found[_identity(value)] = record
    return found


def _identity(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
