"""Running a command so that its output can be watched and it never outlives the flow run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from walt.core import environment
from walt.core.secrets import without_secrets
from walt.core.stopping import LEAST_SECONDS

_GUARD = Path(__file__).with_name("guard.py")
_KEPT_LINES = 400
_TICK_SECONDS = 1.0
_DVC_STATUS = re.compile(r"exited with (-?\d+)$")
_DVC_HOUSEKEEPING = (
    "Generating lock file", "Updating lock file", "Use `dvc push`", "To track the changes with git", "git add ",
    "To enable auto staging", "dvc config core.autostage",
)  # fmt: skip
"""What DVC says after every stage, and what no reader of a flow's log needs."""
_DVC_NOISE = (
    *_DVC_HOUSEKEEPING, "ERROR: failed to reproduce", "Having any troubles?", "Running stage", "> ", "Traceback",
    "Use `dvc",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (128 + n for signal n) and the last lines it printed."""

    status: int
    lines: tuple[str, ...]


class StageFailedError(Exception):
    """A stage ended with an exit status other than 0; the message has its last words."""

    def __init__(self, name: str, ended: Ended) -> None:
        self.status = _exit_status(ended)
        super().__init__(f"{name} ended with exit status {self.status}: {_last_words(ended)}")


def tools_folder() -> Path:
    """The folder of this interpreter's commands: ``walt``, ``dvc``, ``prefect``."""
    return Path(sys.executable).parent


def command_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with the tools' folder first on PATH."""
    path = os.pathsep.join([str(tools_folder()), os.environ.get("PATH", os.defpath)])
    return {**environment.defaults(os.environ), **os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **extra}


def guarded(command: Sequence[str], grace_seconds: float, stopping_file: Path | None = None) -> list[str]:
    """The command under its guard, which stops it when the pipe that is its standard input is closed.

    Args:
        grace_seconds: what it gets to end after SIGTERM.
        stopping_file: where a stage says that it needs longer (``walt.core.stopping``).
    """
    file = os.devnull if stopping_file is None else str(stopping_file)
    return [sys.executable, "-P", str(_GUARD), str(grace_seconds), file, *command]


def run_command(
    command: Sequence[str],
    root: Path,
    extra_environment: Mapping[str, str],
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    grace_seconds: float = LEAST_SECONDS,
    stopping_file: Path | None = None,
) -> Ended:
    """Run ``command`` in ``root`` until it ends; then nothing that it started is left.

    ``on_line`` gets each line of its output, from another thread; ``on_tick`` is called every second. When this thread
    is interrupted (KeyboardInterrupt, Prefect's TerminationSignal), the command is stopped before the error is raised
    again; when this process dies, its guard stops it.

    Args:
        grace_seconds: what a stage gets to write a checkpoint when it is stopped.
        stopping_file: where it says that it needs longer (``walt.core.stopping``).
    """
    process = subprocess.Popen(
        guarded(command, grace_seconds, stopping_file),
        cwd=root, env=command_environment(extra_environment), start_new_session=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdin is not None
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    # in its own thread: a slow API must not fill the pipe and make the stage wait
    reader = threading.Thread(target=_read_lines, args=(process, lines, on_line), daemon=True)
    reader.start()
    try:
        while True:
            try:
                process.wait(timeout=_TICK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                on_tick()
    finally:
        process.stdin.close()  # the guard's signal to stop; nothing to stop after a normal end
        process.wait()
    reader.join(timeout=5.0)
    on_tick()
    return Ended(process.returncode if process.returncode >= 0 else 128 - process.returncode, tuple(lines))


def _read_lines(process: subprocess.Popen[str], lines: deque[str], on_line: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        line = without_secrets(line.rstrip())  # DVC's and git's own lines may have an address with a password in it
        if line:
            lines.append(line)
            if not line.strip().startswith(_DVC_HOUSEKEEPING):
                on_line(line)


def _exit_status(ended: Ended) -> int:
    """The stage's own status where dvc prints it (dvc itself always ends with the same one)."""
    found = [match.group(1) for line in ended.lines if (match := _DVC_STATUS.search(line))]
    status = int(found[-1]) if found else ended.status
    return status if status >= 0 else 128 - status  # DVC says -9 where a shell says 137


def _last_words(ended: Ended) -> str:
    """The last line that the stage itself printed, which is its error."""
    own = [line for line in ended.lines if not line.strip().startswith(_DVC_NOISE)]
    return (own or list(ended.lines) or ["no output"])[-1].strip()
