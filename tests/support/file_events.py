"""Changes of the files under a folder, as Linux tells them (inotify): to act in the middle of a certain one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

_CHANGES: list[type[FileSystemEvent]] = [
    FileModifiedEvent, FileClosedEvent, FileMovedEvent, FileCreatedEvent, FileDeletedEvent,
    DirMovedEvent, DirCreatedEvent, DirDeletedEvent,
]  # fmt: skip


class FileEvents(FileSystemEventHandler):
    """``with FileEvents(folder) as events: events.wait(5, seconds=1.0)``.

    They come in order, some milliseconds after the change: the writer may have made the next two or three.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._changes = folder, SimpleQueue[Path]()
        self._observer = Observer()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by the observer's thread; what was renamed is where it is now."""
        self._changes.put(Path(os.fsdecode(event.dest_path or event.src_path)))

    def __enter__(self) -> Self:
        self._observer.schedule(self, str(self._folder), recursive=True, event_filter=_CHANGES)
        self._observer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observer.stop()
        self._observer.join()

    def wait(self, count: int, seconds: float, unless: Callable[[], object] = lambda: False) -> Path | None:
        """Wait for that many changes from now on; the path of the last, None where there were not so many in time.

        Args:
            unless: asked now and then; where it is true, there will be no more.
        """
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            try:
                path = self._changes.get(timeout=max(0.0, min(left, 0.05)))
            except Empty:
                if left <= 0 or unless():
                    return None
                continue
            count -= 1
            if count <= 0:
                return path

    def count(self) -> int:
        """How many there were since the last call, as many as the system keeps."""
        found = 0
        while not self._changes.empty():
            self._changes.get()
            found += 1
        return found
