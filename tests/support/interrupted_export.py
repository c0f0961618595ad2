"""An export that is killed at each of its writes: what a child process of the test runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.export_project import exported, files_in
from tests.support.watched_writes import announce
from walt.core.paths import Paths

WRITES = ((os, "fsync"), (Path, "replace"), (Path, "unlink"))
"""Calls that change the disk."""


def run(root: Path, folder: Path, layout: str, act: Callable[[int], None]) -> int:
    """Export; ``act`` is called with a running number before each flush, rename and removal. Returns their number."""
    with pytest.MonkeyPatch.context() as patch:
        count = announce(WRITES, act, patch)
        exported(Paths(root), folder, layout)
        return count()


def killed_at_each_write(root: Path, layout: str, every: int) -> None:
    """Kill an export at every so many of its writes, then the next run too; the one after must make the same bytes."""
    exported(Paths(root), root / "whole", layout)
    whole = files_in(root / "whole")
    writes = run(root, root / "counted", layout, lambda _: None)
    assert writes > 20
    for moment in range(1, writes + 1, every):
        folder = root / f"killed-{moment}"
        exported(Paths(root), folder, layout, size=(16, 16))  # other clips are there, which go first
        for _ in range(2):
            _killed(root, folder, layout, moment)
        exported(Paths(root), folder, layout)
        assert files_in(folder) == whole, f"killed at write {moment} of {writes}"
    print(writes)


def _killed(root: Path, folder: Path, layout: str, moment: int) -> None:
    child = os.fork()
    if not child:
        run(root, folder, layout, lambda count: os.kill(os.getpid(), 9) if count == moment else None)
        os._exit(0)  # the second run has fewer writes
    os.waitpid(child, 0)
