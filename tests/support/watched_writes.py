"""Calls that change a disk or a bucket, each announced before it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def announce(
    calls: Iterable[tuple[Any, str]], act: Callable[[int], None], patch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """Let ``act`` be called with a running number before each of the calls, which are owners and names.

    Returns:
        A function that says how many calls there were so far.
    """
    made = 0

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            act(made)
            return call(*arguments, **options)

        return watching

    for owner, name in calls:
        patch.setattr(owner, name, watched(getattr(owner, name)))
    return lambda: made
