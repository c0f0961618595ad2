"""Stages as processes that start in milliseconds, to be killed from outside.

One process has everything loaded that the stages import, and computes nothing. It forks for each stage's own process,
which forks for each of its ranks: they are children of whom they are children of when a person starts the stage, in
sessions of their own, with none of the parent's files. What differs from such a start is only that nothing is imported.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from walt.project.code_identity import code_digests
from walt.project.registry import STAGES

ROOT = Path(__file__).resolve().parents[2]
LOADED = (
    "walt.cli", "walt.project.launcher", "walt.project.rank", "walt.project.runner",
    "walt.stages.train_autoencoder", "walt.stages.train_transformer", "walt.stages.encode_text",
    "walt.stages.encode_video", "walt.stages.sample", "walt.stages.evaluate", "walt.stages.ingest",
    "walt.workers.killable", "torch._dynamo",
    "torch.distributed.launcher.api", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store", "mlflow.data.meta_dataset", "pyarrow.parquet",
)  # fmt: skip
PRINTED, ERRORS = "printed.txt", "errors.txt"
_RANK = "rank "
"""How the names of ranks begin, which the kernel keeps: their command line is the server's."""
_FORKABLE = {"jemalloc_bg_thd", "polars-ooc-clea"}
"""Threads that libraries begin when they are imported, and do without in a forked process."""


@dataclass
class ForkedStage:
    """The own process of a stage, a child of the server."""

    pid: int
    _root: Path
    _said: IO[str]
    _status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """As ``subprocess.Popen.wait``."""
        if self._status is None:
            if not select.select([self._said], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a stage", timeout or 0.0)
            self._status = int(self._said.readline())
        return self._status

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def communicate(self) -> tuple[str, str]:
        """Wait for the end; what it printed, and its errors."""
        self.wait()
        return (self._root / PRINTED).read_text(encoding="utf-8"), (self._root / ERRORS).read_text(encoding="utf-8")

    def ranks(self) -> list[int]:
        """Process ids of the ranks that it has started, in their order."""
        found = {}
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(OSError):
                found[Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
        return [found[name] for name in sorted(found) if name.startswith(_RANK)]


class ForkedStages:
    """Starts stages, one at a time. The fixture ``stages`` (``tests/support/warm.py``) is one for all tests."""

    def __init__(self, requests: IO[str], said: IO[str], temporary: Path) -> None:
        self._requests, self._said = requests, said
        self.temporary = temporary
        """Where the stages have their temporary files, and nobody else."""
        self._last: ForkedStage | None = None

    def __call__(self, root: Path, stage: str, *options: str, module: str = "walt.cli") -> ForkedStage:
        """Start ``walt STAGE`` in a process group of its own, what it prints in ``printed.txt``, its errors in
        ``errors.txt``. ``module`` is one that then runs ``walt``, as ``python -m`` would."""
        self.end()
        self._requests.write(json.dumps({"root": str(root), "arguments": [module, stage, *options]}) + "\n")
        self._requests.flush()
        self._last = ForkedStage(int(self._said.readline()), root, self._said)
        return self._last

    def end(self) -> None:
        """Kill the stage that was started last, if a test that failed has left it, and wait for its end."""
        if self._last is not None and self._last.poll() is None:
            os.kill(self._last.pid, signal.SIGKILL)
            self._last.wait()

    def finish(self, root: Path, stage: str, *options: str, module: str = "walt.cli") -> str:
        """Run a stage, which must succeed; what it printed."""
        process = self(root, stage, *options, module=module)
        printed, errors = process.communicate()
        assert process.wait() == 0, f"{stage} ended with {process.wait()}:\n{printed}\n{errors}"
        return printed


@contextmanager
def forked_stages(python: str = sys.executable) -> Iterator[ForkedStages]:
    """A server of such processes, with one thread each, which this Python runs."""
    command = [python, "-m", forked_stages.__module__]
    with (
        TemporaryDirectory() as temporary,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": temporary},
        ) as server,
    ):  # fmt: skip
        assert server.stdin
        assert server.stdout
        requests, said = os.fdopen(os.dup(server.stdin.fileno()), "w"), os.fdopen(os.dup(server.stdout.fileno()))
        with requests, said:
            assert said.readline() == "ready\n"
            start = ForkedStages(requests, said, Path(temporary))
            yield start
            start.end()
            server.stdin.close()


def _serve() -> list[str] | None:
    """Fork for each request. Returns in the forked process, with a module and its arguments; in the server at the
    end."""
    for name in LOADED:
        importlib.import_module(name)
    for stage in STAGES:
        code_digests(stage.module)  # kept in memory: a second of each process
    importlib.import_module("sqlalchemy.orm").configure_mappers()
    gc.freeze()  # what is loaded is there to stay: no search of a fork's goes through it
    names = {(thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir()}
    assert len(names - _FORKABLE) == 1, f"a process with the threads {sorted(names)} cannot be forked"
    _say("ready")
    server = os.getpid()
    while line := sys.stdin.readline():
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            importlib.import_module("walt.workers.killable").die_with(server)
            os.setsid()
            os.chdir(request["root"])
            _only_files(*(Path(request["root"]) / name for name in (PRINTED, ERRORS)))
            arguments: list[str] = request["arguments"]
            return arguments
        _say(str(child))
        _say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    return None


def _only_files(*standard: Path) -> None:
    """As after ``exec``: of the parent's open files there are none, but for the standard ones. The numbers stay taken,
    since objects of the parent that this process has no use for may close theirs.

    Args:
        standard: take standard output and standard error, where they are not to stay.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for file in list(Path("/proc/self/fd").iterdir()):
        number = int(file.name)
        if number > 2 and number != nothing and file.is_symlink():
            os.dup2(nothing, number)
    if standard:
        os.dup2(nothing, 0)
    for number, file in enumerate(standard, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)


class _ForkedRank:
    """What torch uses of a ``subprocess.Popen``, for a rank that is forked."""

    def __init__(self, pid: int) -> None:
        self.pid, self.args = pid, "a rank"
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._look(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """As ``subprocess.Popen.wait``."""
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def _look(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _fork_rank(self: Any, arguments: Sequence[str], environment: dict[str, str]) -> _ForkedRank:
    """Takes the place of ``SubprocessHandler._popen``."""
    child = os.fork()
    if child:
        return _ForkedRank(child)
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        _only_files()
        Path("/proc/self/comm").write_text(f"{_RANK}{environment['RANK']}")
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = list(arguments[2:])
        importlib.import_module(arguments[2]).main()
    except BaseException:  # noqa: BLE001 printed: nothing above this frame is of this process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)  # ``main`` ends the process


def _run(arguments: list[str]) -> None:
    from torch.distributed.elastic.multiprocessing.subprocess_handler import SubprocessHandler

    from walt import cli

    SubprocessHandler._popen = _fork_rank  # type: ignore[assignment, method-assign]
    module, *rest = arguments
    sys.argv = ["walt", *rest]
    if module == cli.__name__:
        cli.main()
    else:
        runpy.run_module(module, run_name="__main__")


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    asked = _serve()
    if asked is not None:
        _run(asked)
