"""SIGTERM or SIGUSR1 to a stage: noted until it can stop, and how long that takes, which whoever stops it waits for.

A training writes a checkpoint when SIGTERM comes. How long that takes is known from its last one, and kept beside its
checkpoints in ``work/<stage>/stopping.json``, where ``flows/guard.py`` reads it too.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from walt.core.storage import read_json, write_json

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""Which ask a stage to stop. Slurm sends the second before its time is up, where ``--signal`` says so."""
STOPPING_FILE = "stopping.json"
LEAST_SECONDS = 60.0
"""For a stage that has not said how long it takes."""


def note_checkpoint_seconds(work: Path, seconds: float) -> None:
    """Keep that the last checkpoint took so long: twice that is what stopping may take, since one may be half written
    when the signal comes. Raises StorageError."""
    write_json(work / STOPPING_FILE, {"seconds": max(LEAST_SECONDS, 2.0 * seconds)})


def seconds_to_stop(work: Path) -> float:
    """How long to wait after SIGTERM for the stage that works in ``work``: at least ``LEAST_SECONDS``."""
    try:
        noted: Any = read_json(work / STOPPING_FILE)["seconds"]
        return max(LEAST_SECONDS, float(noted))
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not whole
        return LEAST_SECONDS


class NotedSigterm:
    """Notes SIGTERM or SIGUSR1, instead of ending the process, while the block runs.

    The previous handlers are back when it ends. Outside the main thread, a process does not see the signal.
    """

    def __init__(self) -> None:
        self.came, self.name = False, signal.SIGTERM.name
        self._installed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._installed:
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came, self.name = True, signal.Signals(number).name
