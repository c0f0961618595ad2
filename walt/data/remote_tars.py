"""Tars that stay on S3 while they are read: ranges of them, many at a time, ahead of need.

A directory whose index has a file ``tars.json`` beside it, ``{"tars": "s3://bucket/prefix"}``, has its tars there
(``walt attach`` makes such directories). When it is opened, the server lists the tars, with sizes and ETags. One that
was not seen before on this machine is read whole, once: its SHA-256 is compared with the index (docs/decisions/0020),
and its headers say where its members are. That is remembered for its ETag, and each range is asked for under the
condition that the ETag is still that one. So no byte comes from a tar that was not verified, and another opening costs
a listing.

Nothing is kept on this machine but what is remembered, 40 bytes a member, and the ranges that were read last.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from walt.core import servers
from walt.core.errors import CorruptArtifactError
from walt.core.storage import write_json
from walt.core.verified_files import Stamp, StampedFiles
from walt.data.open_tars import LocalTars, RecordWithSize, Tars
from walt.data.tar_places import Places, Samples, members_of, places_of

TARS_ELSEWHERE = "tars.json"
"""Beside the index of a directory whose tars are elsewhere."""
_REQUESTS = 32
"""Made at the same time, for ranges."""
_TARS_AT_ONCE = 4
"""Read whole at the same time."""
_PIECE = 8 << 20
"""Bytes of a tar that are asked for at once, where it is read whole."""
_MOST_BYTES = 512 << 20
"""Of ranges in memory, those that are asked for included."""


def tars_of(directory: Path, records: Sequence[RecordWithSize]) -> Tars:
    """The tars of a directory, wherever they are. Raises as ``LocalTars`` and ``RemoteTars``."""
    elsewhere = directory / TARS_ELSEWHERE
    if not elsewhere.is_file():
        return LocalTars(directory, records)
    try:
        prefix = json.loads(elsewhere.read_bytes())["tars"]
        if not (isinstance(prefix, str) and prefix.startswith("s3://")):
            raise ValueError("tars is not a prefix on S3")
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptArtifactError(f"{elsewhere}: {error}") from error
    return RemoteTars(directory, prefix, records)


def leave_elsewhere(directory: Path, prefix: str) -> None:
    """Say that a directory's tars are under this prefix. Raises StorageError."""
    write_json(directory / TARS_ELSEWHERE, {"tars": prefix.rstrip("/")})


class RemoteTars:
    """Tars on S3; safe where several threads read. See ``Tars``.

    Args:
        directory: on this machine, with the index.
        prefix: where the tars are.

    Raises:
        CorruptArtifactError: one is missing there, or is not what the index says.
        StorageError: the server fails, also when it is asked again.
    """

    ahead = True

    def __init__(self, directory: Path, prefix: str, records: Sequence[RecordWithSize]) -> None:
        self._directory, self._prefix, self._records = directory, prefix, records
        listed = {file.url.rpartition("/")[2]: file for file in servers.list_s3(prefix, f"{prefix[5:]}/")}
        self._etags: list[str] = []
        for number, record in enumerate(records):
            file = listed.get(record.shard)
            if file is None or file.etag is None:
                raise CorruptArtifactError(f"{self.path(number)}: the index names it, but it is missing")
            if file.size != record.bytes:
                said = f"{file.size} bytes, but the index says {record.bytes}"
                raise CorruptArtifactError(f"{self.path(number)}: {said}")
            self._etags.append(file.etag)
        self._members: dict[str, Samples] = {}
        """Of tars that were read whole by this object, until ``places`` has them."""
        stamped = StampedFiles.of(directory)
        new = [i for i, one in enumerate(records) if not stamped.has(one.shard, self._stamp(i), one.sha256)]
        self._read_whole(new)
        self._ranges = _Ranges()

    def places(self, *, again: bool = False) -> Places:
        """See ``Tars``."""
        found = places_of(self._directory, self._records, again=again, read=self._members_of)
        self._members = {}
        return found

    def open(self, number: int) -> _RemoteTar:
        """See ``Tars``."""
        return _RemoteTar(self.path(number), self._etags[number], self._records[number].bytes, self._ranges)

    def path(self, number: int) -> str:
        """See ``Tars``."""
        return f"{self._prefix}/{self._records[number].shard}"

    def verify(self, number: int) -> None:
        """See ``Tars``."""
        record, stamped = self._records[number], StampedFiles.of(self._directory)
        tar = _WholeTar(self.path(number), self._etags[number], record.bytes)
        try:
            samples, refused = members_of(tar.url, tar), None
        except CorruptArtifactError as error:
            samples, refused = {}, error
        if tar.sha256() != record.sha256:
            stamped.forget(record.shard)
            raise CorruptArtifactError(f"{tar.url}: its sha256 differs from the index")
        if refused is not None:
            raise refused
        self._members[record.shard] = samples
        stamped.remember(record.shard, self._stamp(number), record.sha256)

    def _members_of(self, shard: str) -> Samples:
        if shard not in self._members:
            self.verify([record.shard for record in self._records].index(shard))
        return self._members.pop(shard)

    def _read_whole(self, numbers: Iterable[int]) -> None:
        """Read these tars, and compare each with the index."""
        with ThreadPoolExecutor(_TARS_AT_ONCE, thread_name_prefix="tars") as pool:
            for done in [pool.submit(self.verify, number) for number in numbers]:
                done.result()

    def _stamp(self, number: int) -> Stamp:
        """What identifies a tar's content without reading it: its size and its ETag, as a number."""
        digest = hashlib.sha256(f"{self.path(number)} {self._etags[number]}".encode()).digest()
        return Stamp(self._records[number].bytes, int.from_bytes(digest[:7], "big"), 0, 0)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ranges": _Ranges()}


class _RemoteTar:
    """One tar on S3. See ``Readable``."""

    def __init__(self, url: str, etag: str, size: int, ranges: _Ranges) -> None:
        self._url, self._etag, self._size, self._ranges = url, etag, size, ranges

    def read_into(self, offset: int, *buffers: memoryview) -> None:
        """See ``Readable``."""
        stop = offset + sum(map(len, buffers))
        data, place = memoryview(self._ranges.get(self._url, offset, stop, self._etag)), 0
        for buffer in buffers:
            buffer[:] = data[place : place + len(buffer)]
            place += len(buffer)

    def will_need(self, start: int, stop: int) -> None:
        """See ``Readable``."""
        self._ranges.ask(self._url, start, min(stop, self._size), self._etag)

    @property
    def stamp(self) -> Stamp:
        """See ``Readable``: it does not change while the tar is open."""
        return Stamp(self._size, 0, 0, 0)

    def has_changed(self, since: Stamp) -> bool:
        """See ``Readable``: what is read is asked for by its ETag."""
        return False


class _Ranges:
    """Ranges that were asked for, the latest ones: bounded, and each asked for once."""

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[str, int, int], Future[bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="ranges")

    def ask(self, url: str, start: int, stop: int, etag: str) -> Future[bytes]:
        """The bytes of a range, as soon as they are there."""
        key = (url, start, stop)
        with self._lock:
            found = self._asked.get(key)
            if found is None or (found.done() and found.exception() is not None):  # what failed is asked for again
                self._bytes += 0 if found else stop - start
                found = self._asked[key] = self._pool.submit(servers.read_range, url, start, stop, etag)
            self._asked.move_to_end(key)
            while self._bytes > _MOST_BYTES and len(self._asked) > 1:
                (_, first, end), _ = self._asked.popitem(last=False)
                self._bytes -= end - first
        return found

    def get(self, url: str, start: int, stop: int, etag: str) -> bytes:
        """The bytes of a range. Raises as ``servers.read_range``."""
        return self.ask(url, start, stop, etag).result()


class _WholeTar(io.RawIOBase):
    """A tar on S3 that is read in order and hashed meanwhile."""

    def __init__(self, url: str, etag: str, size: int) -> None:
        self.url, self._etag, self._size = url, etag, size
        self._hash, self._next, self._piece = hashlib.sha256(), 0, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece and self._next < self._size:
            stop = min(self._next + _PIECE, self._size)
            self._piece = memoryview(servers.read_range(self.url, self._next, stop, self._etag))
            self._hash.update(self._piece)
            self._next = stop
        count = min(len(buffer), len(self._piece))
        buffer[:count], self._piece = self._piece[:count], self._piece[count:]
        return count

    def sha256(self) -> str:
        """Of all of it: what is left is read."""
        rest = bytearray(_PIECE)
        while self.readinto(rest):
            pass
        return self._hash.hexdigest()
