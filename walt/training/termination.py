"""SIGTERM while a training runs: noted, and obeyed by the loop at the next place where it can stop.

Of several ranks all stop where one has noted it: none waits for another that has gone.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from walt.nn.collectives import any_rank

_asked = threading.Event()


def request_stop() -> None:
    """As if SIGTERM had come to this process, for as long as it lives; from any thread."""
    _asked.set()


class TerminationSignal:
    """True once SIGTERM has come, to any rank; to be asked by all ranks at the same places.

    The previous handler is back when the block ends. Outside the main thread, a process does not see the signal, but
    what ``request_stop`` asks.
    """

    def __init__(self) -> None:
        self._came = False
        self._installed = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._installed:
            self._previous = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, self._previous)

    def __bool__(self) -> bool:
        self._came = any_rank(self._came or _asked.is_set())
        return self._came

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._came = True
