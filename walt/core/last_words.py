"""What is known of a process that dies by a signal, or hangs: how far it was, and where in the code.

A process that others watch notes its progress in a few bytes of memory that is a file's, so that it is there whatever
ends the process, and costs no write. Its Python stack goes to a second file when it crashes, and when it is asked
(``ASK``), by the interpreter's own handler, which needs no Python to run.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
from contextlib import suppress
from pathlib import Path

ASK = signal.SIGUSR2
"""Tells such a process to write its stack, and to go on."""
_KERNELS_LOG = Path("/dev/kmsg")
_KERNELS_COUNTS = Path("/proc/vmstat")
_NOTE_BYTES = 128
_PROGRESS_SUFFIX, _STACK_SUFFIX = ".progress", ".stack"

_note: list[mmap.mmap] = []


def keep(folder: Path, name: str) -> None:
    """From here on, leave in ``folder``, under ``name``, how far this process is and where it crashes."""
    path = folder / f"{name}{_PROGRESS_SUFFIX}"
    path.write_bytes(bytes(_NOTE_BYTES))
    with open(path, "r+b") as file:
        _note[:] = [mmap.mmap(file.fileno(), _NOTE_BYTES)]
    stack = os.open(folder / f"{name}{_STACK_SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    faulthandler.enable(stack)
    faulthandler.register(ASK, stack)


def note_progress(text: str) -> None:
    """How far this process is: a few words, where somebody keeps them. Takes a microsecond."""
    if _note:
        _note[0][:] = text.encode()[:_NOTE_BYTES].ljust(_NOTE_BYTES, b"\0")


def progress_of(folder: Path, name: str) -> str:
    """How far a process was; empty where it had not begun to count."""
    with suppress(OSError):
        return (folder / f"{name}{_PROGRESS_SUFFIX}").read_bytes().rstrip(b"\0").decode(errors="ignore")
    return ""


def stack_of(folder: Path, name: str) -> str:
    """The stacks of a process's threads when it crashed, or when it was asked; empty where neither was so."""
    with suppress(OSError):
        return (folder / f"{name}{_STACK_SUFFIX}").read_text(encoding="utf-8", errors="replace")
    return ""


def kernels_words(process: int, log: Path = _KERNELS_LOG) -> str:
    """What the kernel says of a process that has crashed: the address and the library. Empty where it says nothing, or
    may not be asked."""
    found = []
    with suppress(OSError):
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while record := _next_record(descriptor):
                found += [line.partition(";")[2] for line in record.splitlines() if f"[{process}]: " in line]
        finally:
            os.close(descriptor)
    return "\n".join(found[-2:])


def kills_for_memory(counts: Path = _KERNELS_COUNTS) -> int | None:
    """How many processes the kernel has killed for lack of memory since it began, the whole machine's or a group's.
    None where it does not say."""
    with suppress(OSError, ValueError):
        for line in counts.read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def _next_record(descriptor: int) -> str:
    """A record of the kernel's log; empty at the end."""
    while True:
        try:
            return os.read(descriptor, 8192).decode(errors="replace")
        except BrokenPipeError:  # it was overwritten while we read
            continue
        except BlockingIOError:
            return ""
