"""Waiting for what must come, however busy the machine is: only what never comes is a failure."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 600.0
"""Many times what anything here takes on an idle machine: a busy one has been a hundred times slower for a while."""


def comes_true(condition: Callable[[], object], pause: float = 0.02) -> bool:
    """Whether the condition holds at some moment; looked at every ``pause`` seconds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
