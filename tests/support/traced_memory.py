"""What a call allocates, while threads that earlier tests left behind may allocate beside it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import TypeVar

_ATTEMPTS = 3
_Result = TypeVar("_Result")


def call_within(limit: float, call: Callable[[], _Result]) -> _Result:
    """The result of a call that may be repeated, in which fewer than ``limit`` bytes of Python objects live at once.

    All threads of the process are counted. What the call itself needs it needs every time: it fails where no attempt
    stays below.
    """
    peaks: list[int] = []
    for _ in range(_ATTEMPTS):
        tracemalloc.start()
        try:
            result = call()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        if peaks[-1] < limit:
            return result
    raise AssertionError(f"{peaks} bytes, all above {limit:.0f}")
