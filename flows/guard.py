"""Runs one command in its own session and leaves no process behind, even when the caller is killed.

``python -P flows/guard.py GRACE FILE COMMAND...`` with a pipe as standard input. The caller keeps the pipe open while
it wants the command to continue; when the pipe closes, because the caller closed it, failed, or was killed with
SIGKILL, then everything that the command has started is stopped: first the stage itself, which gets SIGTERM and time to
write a checkpoint while its workers live; then the rest; then, with SIGKILL, what is still there. The time is GRACE
seconds, or what the stage says in FILE that it needs, if that is more (``walt.core.stopping``).

Runs as a script and imports nothing of this project, so that it starts in a tenth of a second.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

_LEFTOVERS_SECONDS = 3.0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_WRAPPERS = frozenset({"dvc", "sh", "bash", "dash", "zsh"})


def main(arguments: list[str]) -> int:
    """Run the command; its exit status, 128 + n when signal n ended it, 143 when it was stopped."""
    least, file, command = float(arguments[0]), Path(arguments[1]), arguments[2:]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    _adopt_orphans()
    child = psutil.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
    status: int | None = None
    while status is None and not stop.is_set():
        try:
            status = child.wait(timeout=0.1)
        except psutil.TimeoutExpired:
            continue
    started = _members()
    if status is None:
        _signal_and_wait(_stage_processes(child), signal.SIGTERM, _grace(least, file))
        psutil.wait_procs([child], timeout=_LEFTOVERS_SECONDS)  # dvc releases its locks
        status = 128 + signal.SIGTERM
    _signal_and_wait(started | _members(), signal.SIGTERM, _LEFTOVERS_SECONDS)
    _signal_and_wait(started | _members(), signal.SIGKILL, _LEFTOVERS_SECONDS)
    return status if status >= 0 else 128 - status


def _grace(least: float, file: Path) -> float:
    """How long the stage may take to stop: as it noted after its last checkpoint."""
    try:
        return max(least, float(json.loads(file.read_text(encoding="utf-8"))["seconds"]))
    except (OSError, ValueError, KeyError, TypeError):  # it has noted nothing
        return least


def _wait_for_end_of_input(stop: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


def _adopt_orphans() -> None:
    """On Linux, orphans of a process that ended become children of this one, so that they can still be found."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _members() -> set[psutil.Process]:
    """Every other process of this session, and every descendant that opened a session of its own."""
    me = psutil.Process()
    found = set(me.children(recursive=True))
    session = os.getsid(0)
    for process in psutil.process_iter():
        try:
            if process.pid != me.pid and os.getsid(process.pid) == session:
                found.add(process)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _stage_processes(child: psutil.Process) -> list[psutil.Process]:
    """The command's own processes, below dvc and the shells around them.

    dvc and a shell die of SIGTERM at once and forget what they have started, so they are passed over: when the stage
    ends, they notice, release their locks, and end by themselves.
    """
    try:
        words = child.cmdline()
        below = child.children()
    except psutil.NoSuchProcess:
        return []
    if below and _WRAPPERS & {Path(word).name for word in words[:3]}:
        return [process for other in below for process in _stage_processes(other)]
    return [child]


def _signal_and_wait(
    processes: set[psutil.Process] | list[psutil.Process], number: signal.Signals, seconds: float
) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
