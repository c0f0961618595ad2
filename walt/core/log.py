"""Output while a stage runs: log lines, and a progress bar with rate and time left.

On a terminal the bar is drawn by rich; otherwise a line is printed every 15 seconds. If ``WALT_PROGRESS_FILE`` names a
file, the same figures are written there as JSON, so that a workflow engine can show them without parsing output.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from walt.core.last_words import note_progress
from walt.core.secrets import without_secrets

console = Console(stderr=False, highlight=False, soft_wrap=True)

PROGRESS_FILE_VARIABLE = "WALT_PROGRESS_FILE"
_LINE_EVERY_SECONDS = 15.0
_FILE_EVERY_SECONDS = 1.0


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """A text for the console, without markup and credentials; control characters, which terminals obey, as \\x1b."""
    return escape(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", without_secrets(text)))


def info(message: str) -> None:
    """Print a line for the user."""
    console.print(harmless(message))


def warning(message: str) -> None:
    """Print a line that is marked as a warning."""
    console.print(f"[yellow]warning:[/] {harmless(message)}")


class _Unheard(io.FileIO):
    """What cannot be written to it is lost, and that is not an error."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """From here on this process goes on where nothing can be said any more: its terminal was closed, whoever read its
    pipe has ended, the disk of its log is full. Weeks of work are worth more than a line, and there is nowhere to say
    that it was lost; what ends the work all the same is a signal. Streams that somebody has replaced stay as they are.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        with suppress(OSError):
            stream.flush()
        raw = io.BufferedWriter(_Unheard(stream.fileno(), "w", closefd=False))
        lasting = io.TextIOWrapper(raw, encoding=stream.encoding, errors=stream.errors, line_buffering=True)
        setattr(sys, name, lasting)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "")


class ProgressBar:
    """``with ProgressBar("train-base", total=900, unit="steps") as bar: bar.advance(1, "loss 0.31")``.

    Other things can be counted besides the units: ``meters`` are shown per second (``41.2 clips/s``), ``counters`` as
    totals (``3 rejects``); ``bar.advance(1, clips=4, MB=0.7, rejects=1)``.
    """

    def __init__(
        self,
        description: str,
        total: int,
        unit: str,
        completed: int = 0,
        meters: tuple[str, ...] = (),
        counters: tuple[str, ...] = (),
    ) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.completed = self._completed_at_start = completed
        self.meters, self.counters = dict.fromkeys(meters, 0.0), dict.fromkeys(counters, 0.0)
        self._started = self._last_line = self._last_file = time.monotonic()
        self._file = os.environ.get(PROGRESS_FILE_VARIABLE)
        note_progress(self._count())
        self._rich: Progress | None = None
        if console.is_terminal:
            self._rich = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn(),
                TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
            )  # fmt: skip
            self._task = self._rich.add_task(description, total=total, completed=completed, unit=unit, note="")

    def __enter__(self) -> Self:
        if self._rich:
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich:
            self._rich.stop()
        elif kind is None:
            self._print_line(note=self._with_counts("done"))
        self._write_file(note=self._with_counts(""))

    def advance(self, amount: int = 1, note: str = "", **counts: float) -> None:
        """Count ``amount`` more units as done; ``note`` is shown after the figures. ``counts`` add to meters."""
        self.completed += amount
        note_progress(self._count())
        for name, count in counts.items():
            (self.meters if name in self.meters else self.counters)[name] += count
        note = self._with_counts(note)
        now = time.monotonic()
        if self._rich:
            self._rich.update(self._task, advance=amount, note=note)
        elif now - self._last_line > _LINE_EVERY_SECONDS:
            self._last_line = now
            self._print_line(note)
        if now - self._last_file > _FILE_EVERY_SECONDS:
            self._last_file = now
            self._write_file(note)

    @property
    def rate(self) -> float:
        """Units per second since the bar was made."""
        return self._per_second(self.completed - self._completed_at_start)

    @property
    def seconds_left(self) -> float:
        """Time left at the rate so far; 0 while there is no rate yet."""
        return (self.total - self.completed) / self.rate if self.rate else 0.0

    def _count(self) -> str:
        return f"{self.completed}/{self.total} {self.unit}"

    def _per_second(self, count: float) -> float:
        return count / max(time.monotonic() - self._started, 1e-9)

    def _with_counts(self, note: str) -> str:
        meters = [f"{self._per_second(count):.1f} {name}/s" for name, count in self.meters.items()]
        counters = [f"{count:g} {name}" for name, count in self.counters.items()]
        return ", ".join(filter(None, [*meters, *counters, note]))

    def _print_line(self, note: str) -> None:
        console.print(
            escape(
                f"{self.description}: {self._count()}, {self.rate:.1f} {self.unit}/s, "
                f"{self.seconds_left:.0f} s left{', ' if note else ''}{note}"
            )
        )
        sys.stdout.flush()

    def _write_file(self, note: str) -> None:
        if not self._file:
            return
        state = {
            "description": self.description, "completed": self.completed, "total": self.total, "unit": self.unit,
            "rate": self.rate, "seconds_left": self.seconds_left, "note": note,
            "per_second": {name: self._per_second(count) for name, count in self.meters.items()},
            "counts": self.counters,
        }  # fmt: skip
        temporary = f"{self._file}.tmp"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(state, stream)
        Path(temporary).replace(self._file)
