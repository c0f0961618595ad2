"""Whether somebody else's DVC works in the project, and who.

DVC says so itself, but after it has tried for long, and advises to remove a lock that is in use (DVC 3.67). It holds
``.dvc/tmp/lock`` while it thinks, and while a stage runs it notes in ``.dvc/tmp/rwlock`` what the stage writes.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from walt.core.errors import LockedError

_BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")


def check_free(root: Path) -> None:
    """Raises LockedError where a running DVC holds the project at ``root``; the message names its process."""
    for holder in _holders(root / ".dvc/tmp"):
        raise LockedError(f"{holder} works in this project; wait until it has ended, or stop it")


def says_busy(lines: Sequence[str]) -> bool:
    """Whether DVC ended since another one was at work."""
    return any(sign in line for line in lines for sign in _BUSY)


def _holders(folder: Path) -> Iterator[str]:
    for pid, command in _writers(folder / "rwlock"):
        if _is_dvc(pid):  # the note of one that was killed stays
            yield f"`{command}` (process {pid})"
    lock = folder / "lock"
    if lock.is_file():
        with open(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"DVC (process {file.read().strip() or 'unknown'})"


def _is_dvc(pid: int) -> bool:
    try:
        return any("dvc" in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:  # it has ended
        return False


def _writers(file: Path) -> Iterator[tuple[int, str]]:
    """Process and command of each stage that DVC runs, as it notes them."""
    try:
        noted: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["write"]
        yield from {(int(entry["pid"]), str(entry["cmd"])) for entry in noted.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or half written
        return
