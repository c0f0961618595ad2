"""SIGTERM, SIGUSR1 or SIGHUP to a stage: noted until it can stop, and how long that takes, which its stopper waits for.

A training writes a checkpoint when SIGTERM comes. How long that takes is known from its last one, and kept beside its
checkpoints in ``work/<stage>/stopping.json``, where ``flows/guard.py`` reads it too.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from walt.core.storage import read_json, write_json

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Which ask a stage to stop. Slurm sends the second before its time is up, where ``--signal`` says so; the third comes
when the stage's terminal is closed."""
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
    """Notes SIGTERM, SIGUSR1 or SIGHUP, instead of ending the process, while the block runs. Where SIGHUP is ignored,
    as under ``nohup``, it stays so.

    The previous handlers are back when it ends. Outside the main thread, a process does not see the signal.
    """

    def __init__(self) -> None:
        self.came, self.name = False, signal.SIGTERM.name
        self._installed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._installed:
            hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
            noted = [number for number in SIGNALS if hangs_up or number != signal.SIGHUP]
            self._previous = {number: signal.signal(number, self._note) for number in noted}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came, self.name = True, signal.Signals(number).name
        if number == signal.SIGHUP:
            _leave_terminal()


def _leave_terminal() -> None:
    """Have what is written to the terminal, which has gone, go nowhere: it would be an error, before the checkpoint."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(number).st_mode):
                os.dup2(nothing, number)
    os.close(nothing)
