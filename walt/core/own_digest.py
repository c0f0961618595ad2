"""Files that hold the SHA-256 of their own content: whoever reads one needs no other file to find that it was damaged.

JSON has it as the key ``sha256``, of everything else in the mapping. Parquet has it in the footer, of the whole file
with zeros in its place, and says a second time that it is there: a file of an earlier version has neither, and one in
which a bit was flipped cannot pass for such a file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError
from walt.core.storage import atomic_write, write_json

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

KEY = "sha256"

_PARQUET_KEY, _PARQUET_MARK = "walt.sha256", "walt.checked"
_DIGITS = 64
_ZEROS = b"0" * _DIGITS
_BEFORE_DIGEST = _PARQUET_KEY.encode() + bytes([0x18, _DIGITS])  # Thrift's compact protocol: a string of 64 bytes
_END_BYTES = 1 << 20
"""The key is so near to the end of a file: behind the row groups, before a few bytes per column."""
_DIFFERS = "differs from its own digest"


def write_json_with_digest(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping of JSON values atomically, with its digest. Raises StorageError."""
    write_json(path, {**value, KEY: sha256_json(value)})


def read_json_with_digest(path: Path) -> tuple[dict[str, Any], bool]:
    """The mapping without its digest, and whether it has one: those that earlier versions wrote have none.

    Raises:
        FileNotFoundError: there is no file.
        CorruptArtifactError: it is not a mapping in JSON, or differs from its digest.
    """
    data = path.read_bytes()
    try:
        value = json.loads(data)
    except ValueError as error:
        raise CorruptArtifactError(f"{path}: not JSON: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise CorruptArtifactError(f"{path}: expected a mapping, found {type(value).__name__}")
    digest = value.pop(KEY, None)
    if digest is not None and digest != sha256_json(value):
        raise CorruptArtifactError(f"{path}: {_DIFFERS}")
    return value, digest is not None


@contextmanager
def parquet_writer(
    path: Path, schema: pa.Schema, *, keep_equal: bool = False, **options: Any
) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file atomically, with its digest in the footer.

    Args:
        keep_equal: as ``atomic_write``.
        options: of ``pyarrow.parquet.ParquetWriter``.

    Raises:
        StorageError: the disk is full or read-only.
    """
    import pyarrow.parquet as pq

    with atomic_write(path, keep_equal=keep_equal) as stream:
        with pq.ParquetWriter(stream, schema, **options) as writer:
            yield writer
            writer.add_key_value_metadata({_PARQUET_KEY: _ZEROS.decode(), _PARQUET_MARK: _PARQUET_KEY})
        stream.flush()
        with open(stream.name, "rb") as written:
            place = _place(written)
            assert place is not None, "the key was written a moment ago"
            digest = _digest(written, place)
        stream.seek(place)
        stream.write(digest.encode())


def check_parquet(path: Path) -> None:
    """Raise CorruptArtifactError where a Parquet file differs from its own digest; one of an earlier version has none.

    All of it is read.
    """
    with open(path, "rb") as stream:
        place = _place(stream)
        if place is None:
            return
        stream.seek(place)
        if stream.read(_DIGITS).decode("ascii", "replace") != _digest(stream, place):
            raise CorruptArtifactError(f"{path}: {_DIFFERS}")


def _place(stream: IO[bytes]) -> int | None:
    """Where the digest begins; 0 where it was and is no more, None where there was none."""
    begin = max(0, os.fstat(stream.fileno()).st_size - _END_BYTES)
    stream.seek(begin)
    end = stream.read()
    found = end.rfind(_BEFORE_DIGEST)
    if found >= 0:
        return begin + found + len(_BEFORE_DIGEST)
    return 0 if _PARQUET_MARK.encode() in end else None


def _digest(stream: IO[bytes], place: int) -> str:
    """Hex SHA-256 of the file with zeros in the digest's place."""
    found = hashlib.sha256()
    stream.seek(0)
    left = place
    while left and (data := stream.read(min(left, _END_BYTES))):
        found.update(data)
        left -= len(data)
    found.update(_ZEROS)
    stream.seek(place + _DIGITS)
    while data := stream.read(_END_BYTES):
        found.update(data)
    return found.hexdigest()
