"""SIGTERM while a training runs: noted, and obeyed by the loop at the next place where it can stop.

Of several ranks all stop where one has noted it: none waits for another that has gone.
"""

from __future__ import annotations

import threading

from walt.core.stopping import NotedSigterm
from walt.nn.collectives import any_rank

_asked = threading.Event()


def request_stop() -> None:
    """As if SIGTERM had come to this process, for as long as it lives; from any thread."""
    _asked.set()


class TerminationSignal(NotedSigterm):
    """True once SIGTERM has come, or ``request_stop`` was called, to any rank; to be asked by all ranks at the same
    places."""

    def __bool__(self) -> bool:
        found = any_rank(self.came or _asked.is_set())
        if found:  # and nothing else: a signal may have come while the ranks asked each other
            self.came = True
        return found
