"""Changes of the files under a folder, as Linux tells them (inotify): to act in the middle of a certain one."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_MODIFY, _CLOSED, _FROM, _TO, _CREATE, _DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
_MASK = _MODIFY | _CLOSED | _FROM | _TO | _CREATE | _DELETE
_FOLDER, _NON_BLOCKING, _CLOSE_ON_EXEC = 0x40000000, 0o4000, 0o2000000
_HEADER = struct.Struct("iIII")


class FileEvents:
    """``with FileEvents(folder) as events: events.wait(5, seconds=1.0)``.

    A folder that is made meanwhile is watched from when its event is read on; what happened in it before has no event.
    Not by watchdog (7.1): where a folder that it watches is replaced by a rename, as outputs here are, its thread ends.
    """

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folder, self._watched = folder, dict[int, Path]()
        self._left: list[Path] = []

    def __enter__(self) -> Self:
        self._descriptor = self._libc.inotify_init1(_NON_BLOCKING | _CLOSE_ON_EXEC)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        self._watch(self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def wait(self, count: int, seconds: float, unless: Callable[[], object] = lambda: False) -> Path | None:
        """Wait for that many changes from now on; the path of the last, None where there were not so many in time.

        Args:
            unless: asked now and then; where it is true, there will be no more.
        """
        until = time.monotonic() + seconds
        while True:
            while self._left:
                path = self._left.pop(0)
                count -= 1
                if count <= 0:
                    return path
            left = until - time.monotonic()
            if left <= 0 or unless():
                return None
            if select.select([self._descriptor], [], [], min(left, 0.05))[0]:
                self._left.extend(self._read())

    def count(self) -> int:
        """How many there were since the last call, as many as the system keeps."""
        found = len(self._left)
        self._left.clear()
        while select.select([self._descriptor], [], [], 0)[0]:
            found += len(list(self._read()))
        return found

    def _watch(self, folder: Path) -> None:
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MASK)
        if number < 0:
            return  # it has gone
        self._watched[number] = folder
        try:
            inside = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for entry in inside:
            self._watch(folder / entry.name)

    def _read(self) -> Iterator[Path]:
        data, at = os.read(self._descriptor, 1 << 16), 0
        while at < len(data):
            number, mask, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            if number not in self._watched:
                continue  # the queue was full, or the folder has gone
            path = self._watched[number] / name
            if mask & _FOLDER and mask & (_CREATE | _TO):
                self._watch(path)
            yield path
