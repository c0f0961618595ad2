"""The tars of a directory, open for reading at any place.

What a ``ShardReader`` needs of tars: that they are what the index says, where their members are, and their bytes. Here
for tars on this machine; ``walt.data.remote_tars`` for those on a server.
"""

from __future__ import annotations

import os
import resource
import weakref
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import verify_files, verify_open
from walt.core.verified_files import Stamp
from walt.data.tar_places import Places, Record, places_of


class RecordWithSize(Record, Protocol):
    """What an index says about a tar."""

    @property
    def bytes(self) -> int: ...


class Readable(Protocol):
    """A tar that is read at any place."""

    def read_into(self, offset: int, *buffers: memoryview) -> None:
        """Fill these buffers, one after another, with what lies from a place on.

        Raises:
            CorruptArtifactError: the tar ends before, or is another one now.
            StorageError: it cannot be read.
        """

    def will_need(self, start: int, stop: int) -> None:
        """Have this part read ahead."""

    @property
    def stamp(self) -> Stamp:
        """What its content was known by when it was last looked at: to be kept before reads, for ``has_changed``."""

    def has_changed(self, since: Stamp) -> bool:
        """Whether it was written to after it had this stamp, and is what the index says all the same: what was read
        meanwhile must be read again. See ``read_unchanged``.

        Raises:
            CorruptArtifactError: it is not what the index says any more.
            StorageError: it cannot be looked at.
        """


def read_unchanged(tars: Collection[Readable], read: Callable[[], object]) -> None:
    """Call ``read``, which reads from these tars, until none was written to meanwhile: then its bytes may be used.

    Each tar is looked at once for all its reads, since that takes as long as one of them (1.5 us on a local disk).
    What counts is how it was known before these reads: another thread, which looked at it meanwhile, knows it anew.

    Raises as ``read`` and ``Readable.has_changed``.
    """
    changed = True
    while changed:
        stamps = [tar.stamp for tar in tars]
        read()
        changed = any(tar.has_changed(stamp) for tar, stamp in zip(tars, stamps, strict=True))


class Tars(Protocol):
    """The tars of a directory, by number."""

    ahead: bool
    """Whether a part that is read again is worth reading ahead again."""

    def places(self, *, again: bool = False) -> Places:
        """Where their members are; ``again``: whatever is kept of that. Raises as ``places_of``."""

    def open(self, number: int) -> Readable:
        """One of them, open. Raises as ``verify``."""

    def path(self, number: int) -> str:
        """Where it is, for messages."""

    def verify(self, number: int) -> None:
        """Hash it again. Raises CorruptArtifactError: it is not what the index says."""


class LocalTars:
    """Tars on this machine, of which the most recent ones are open; safe where several threads read. See ``Tars``.

    Raises CorruptArtifactError: one is not what the index says.
    """

    ahead = False  # what was read lately is in the system's memory

    def __init__(self, directory: Path, records: Sequence[RecordWithSize]) -> None:
        self._directory, self._records = directory, records
        self._stamps = verify_files(directory, ((tar.shard, tar.bytes, tar.sha256) for tar in records))
        self._open: dict[int, OpenTar] = {}
        self._most = max(16, min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8))

    def places(self, *, again: bool = False) -> Places:
        """See ``Tars``."""
        return places_of(self._directory, self._records, again=again)

    def open(self, number: int) -> OpenTar:
        """See ``Tars``: when it is opened, after a look at whether it is still the one that was verified."""
        found = self._open.get(number)
        if found is None:
            if len(self._open) >= self._most:
                self._open = {}  # one that another thread uses is closed when that is done with it
            found = self._open[number] = OpenTar(self._directory, self._records[number])
            if found.stamp != self._stamps[number]:
                self.verify(number)
                self._stamps[number] = found.stamp
        return found

    def path(self, number: int) -> str:
        """See ``Tars``."""
        return str(self._directory / self._records[number].shard)

    def verify(self, number: int) -> None:
        """See ``Tars``."""
        record = self._records[number]
        verify_files(self._directory, [(record.shard, record.bytes, record.sha256)], again=True)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


class OpenTar:
    """A file that is read at any place; closed when nobody uses it any more.

    It is read, not mapped: where a file is cut short meanwhile, or its disk fails, to look at its map ends the process
    (SIGBUS), while a read says what is wrong.
    """

    def __init__(self, directory: Path, record: RecordWithSize) -> None:
        self.path, self._record = directory / record.shard, record
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._stamp = Stamp.of(os.fstat(self._descriptor))

    @property
    def stamp(self) -> Stamp:
        """See ``Readable``."""
        return self._stamp

    def read_into(self, offset: int, *buffers: memoryview) -> None:
        """Fill these buffers, one after another, with what lies from a place on.

        Raises:
            CorruptArtifactError: the file ends before.
            StorageError: it cannot be read.
        """
        left = sum(map(len, buffers))
        try:
            found = os.preadv(self._descriptor, buffers, offset)
            while found < left:  # a signal came, or the file ends
                if not found:
                    raise CorruptArtifactError(f"{self.path}: cut short while it was in use")
                left, offset, buffers = left - found, offset + found, _after(buffers, found)
                found = os.preadv(self._descriptor, buffers, offset)
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error

    def will_need(self, start: int, stop: int) -> None:
        """Have the system read a part ahead."""
        os.posix_fadvise(self._descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)

    def has_changed(self, since: Stamp) -> bool:
        """See ``Readable``: a file that is overwritten in place stays open, and has other bytes.

        Whoever writes to a file may set its mtime back, but not its ctime. That is also another where the file got
        another name or none, or other rights, and has the same bytes: what is open is hashed once more then.
        """
        try:
            now = Stamp.of(os.fstat(self._descriptor))
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error
        if now != self._stamp:
            self._stamp = self._verified(now)
        return self._stamp != since

    def _verified(self, now: Stamp) -> Stamp:
        """The stamp ``now`` of the open file, which is hashed again. Raises CorruptArtifactError."""
        try:
            verify_open(self._descriptor, self.path, now, self._record.bytes, self._record.sha256)
        except CorruptArtifactError as error:
            raise CorruptArtifactError(f"{error}; it was changed while it was in use") from error
        return now


def _after(buffers: Sequence[memoryview], count: int) -> tuple[memoryview, ...]:
    """What is left of buffers whose first ``count`` bytes are filled."""
    left = []
    for buffer in buffers:
        left.append(buffer[min(count, len(buffer)) :])
        count -= min(count, len(buffer))
    return tuple(buffer for buffer in left if len(buffer))
