"""Processes that work on one item at a time, and can be killed together with the processes they started.

On Linux they are forked from one process, the fork server, which has already imported the modules that the work needs:
a worker starts in milliseconds, so that a folder of files that crash their decoder costs no more than any other. On
other systems, where forking is not safe with the system's libraries, each is an interpreter of its own.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler, recv_handle, send_handle
from pathlib import Path
from typing import Any, Self

import psutil

from walt.core.errors import StorageError

_START_SECONDS = 120.0
_TELLS_STATES = sys.platform == "linux"
"""Whether the system tells a process that sleeps from one that waits for a processor; to macOS both run."""
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}  # fmt: skip
"""Of the processes, unless that of the parent says otherwise. They compute on one thread, since many run in parallel
and more threads would compete for cores. glibc keeps memory that was used for the next item's pictures, instead of
giving it back after each: new pages are 4 % of the time that ingest takes. 32 MB is the largest threshold it takes."""


def spawn(function: str, *arguments: object) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a Python process in its own session that calls ``module:name`` with the descriptor of its end of a socket,
    this process's id and the arguments. Returns the process and our end of the socket.

    It has the same module path as this process.

    Raises:
        StorageError: the system cannot start more processes, or open more files.
    """
    module, name = function.split(":")
    ours, theirs = _socket_pair()
    with theirs, ExitStack() as on_failure:
        on_failure.callback(ours.close)
        call = ", ".join(map(repr, (theirs.fileno(), os.getpid(), *arguments)))
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {module} import {name}; {name}({call})"], pass_fds=[theirs.fileno()],
                start_new_session=True, stdin=subprocess.DEVNULL,
                env=_ENVIRONMENT | os.environ | same_modules(),
            )  # fmt: skip
        except OSError as error:
            raise StorageError(f"a process could not be started: {error.strerror}") from error
        on_failure.pop_all()
    return process, ours


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:  # too many open files
        raise StorageError(f"a process could not be started: {error.strerror}") from error


def same_modules() -> dict[str, str]:
    """Environment of a process with the same module path as this process."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Worker:
    """A process in its own session that runs ``serve``. It has at most one item at a time."""

    def __init__(self, pid: int, connection: socket.socket, reap: Callable[[], int]) -> None:
        """``reap`` waits for the process to end and returns its exit status, negative for a signal."""
        self.pid = pid
        self.connection = Connection(connection.detach())
        self.index: int | None = None  # of the item it has
        self.deadline = float("inf")
        self._reap = reap
        self._status: int | None = None
        self._ready = False
        self._waited = 0.0  # for a processor, up to what ``deadline`` allows for
        self._computed = self._may_compute = 0.0  # at the last look, and up to the end of its item

    def send(self, index: int, job: memoryview, timeout_seconds: float | None) -> None:
        """Send it a pickled (function, item). Raises StorageError if it could not start."""
        if not self._ready:  # the time to start does not count for the item
            try:
                if not self.connection.poll(_START_SECONDS):
                    raise StorageError("a worker process did not start in time")
                self.connection.recv_bytes()
            except (EOFError, OSError):
                raise StorageError(f"a worker process could not start (exit status {self.kill()})") from None
            self._ready = True
        self.index = index
        self.deadline = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
        self._waited = seconds_waited(self.pid)
        self._computed = seconds_computed(self.pid)
        self._may_compute = self._computed + (timeout_seconds or 0.0)
        with suppress(OSError):  # it died between two items; reading its answer will show that
            self.connection.send_bytes(job)

    def is_overdue(self) -> bool:
        """Whether its item has had its time: it has computed for as long, or it sleeps when it is over. What its
        process waited for a processor does not count, and puts the deadline off: which files a busy machine accepts
        must not depend on what else it does."""
        waited = seconds_waited(self.pid)
        self.deadline += max(0.0, waited - self._waited)
        self._waited = waited
        if time.monotonic() < self.deadline:
            return False
        # not every system tells how long a process waited, and none counts what a host took from a virtual machine
        before, self._computed = self._computed, seconds_computed(self.pid)
        left = self._may_compute - self._computed
        goes_on = could_run(self.pid) if _TELLS_STATES else self._computed > before
        if left <= 0.0 or not goes_on:
            return True
        self.deadline = time.monotonic() + left
        return False

    def kill(self) -> int:
        """Kill the process group and return the exit status. No zombie is left."""
        if self._status is not None:  # its process id may have been reused
            return self._status
        for end in (os.killpg, os.kill):  # it may not have made its process group yet
            with suppress(ProcessLookupError):  # it ended by itself, and left no children
                end(self.pid, signal.SIGKILL)
        self.connection.close()
        self._status = self._reap()
        return self._status


def seconds_waited(pid: int) -> float:
    """How long the main thread of a process could have run, but had no processor; 0 where the system does not say.

    Of ``/proc/<pid>/schedstat``, the second number (Linux, ``Documentation/scheduler/sched-stats.rst``).
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def seconds_computed(pid: int) -> float:
    """How long a process has had a processor; infinite where it is no longer there."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return float("inf")
    return float(times.user + times.system)


def could_run(pid: int) -> bool:
    """Whether the main thread of a process computes, or waits for nothing but a processor."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_RUNNING)
    except psutil.Error:
        return False


class Workers:
    """Workers that run a function, each a separate interpreter; a context manager that kills them on leaving."""

    def __init__(self, function: Callable[..., Any], memory_mb: int | None) -> None:
        """``memory_mb`` limits the address space of each."""
        self.alive: list[Worker] = []
        self._function, self._memory_mb = function, memory_mb or 0

    def start(self) -> Worker:
        """Start another worker, and add it to ``alive``. Raises StorageError if it cannot be started."""
        worker = self._start()
        self.alive.append(worker)
        return worker

    def _start(self) -> Worker:
        process, connection = spawn("walt.workers.killable:serve", self._memory_mb)
        return Worker(process.pid, connection, process.wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.alive:
            worker.kill()


class _Forked(Workers):
    """Workers that are forked from a fork server. It is their parent, so it also reaps them."""

    _fork_server: tuple[subprocess.Popen[bytes], Connection] | None = None

    def _start(self) -> Worker:
        if self._fork_server is None:
            process, connection = spawn("walt.workers.killable:serve_forks")
            self._fork_server = process, Connection(connection.detach())
            with suppress(OSError):  # it died; the first answer will show that
                self._fork_server[1].send_bytes(ForkingPickler.dumps(self._function))
        ours, theirs = _socket_pair()
        with theirs, ExitStack() as on_failure:
            on_failure.callback(ours.close)
            pid = self._ask(("start", self._memory_mb), theirs.fileno())
            on_failure.pop_all()
        return Worker(pid, ours, lambda: self._ask(("reap", pid)))

    def _ask(self, request: tuple[str, int], descriptor: int | None = None) -> int:
        assert self._fork_server is not None
        process, connection = self._fork_server
        try:
            connection.send(request)
            if descriptor is not None:
                send_handle(connection, descriptor, process.pid)
            answer: int | str = connection.recv()
        except (EOFError, OSError):
            status = process.wait()
            raise StorageError(f"the process that starts workers died (exit status {status}); run again") from None
        if isinstance(answer, str):
            raise StorageError(f"a worker process could not be started: {answer}")
        return answer

    def __exit__(self, *_: object) -> None:
        try:
            super().__exit__()
        finally:
            if self._fork_server is not None:
                process, connection = self._fork_server
                connection.close()
                process.kill()
                process.wait()


def open_workers(function: Callable[..., Any], memory_mb: int | None) -> Workers:
    """Workers for a function that is importable by its module's name."""
    return (_Forked if sys.platform == "linux" else Workers)(function, memory_mb)


def serve_forks(descriptor: int, parent: int) -> None:
    """Run the fork server: import modules, then start and reap workers until the parent closes its end, or dies."""
    die_with(parent)
    connection = Connection(descriptor)
    function = connection.recv_bytes()
    with suppress(Exception):  # the worker will raise it again, and send it to the parent
        ForkingPickler.loads(function)
    gc.freeze()  # objects that the workers share
    while True:
        try:
            order, number = connection.recv()
        except (EOFError, OSError):
            return
        if order == "start":
            connection.send(_fork(connection, recv_handle(connection), number))
        else:
            connection.send(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))


def _fork(connection: Connection, descriptor: int, memory_mb: int) -> int | str:
    """Fork a worker: its process id, or why it could not be started. In the worker itself, run it and exit."""
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(descriptor)
        return str(error.strerror)
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        connection.close()
        os.setsid()
        serve(descriptor, parent, memory_mb)
        status = 0
    except Exception:  # noqa: BLE001 printed for the user; to the parent the worker has died
        traceback.print_exc()
    finally:  # it must not continue as a second fork server
        os._exit(status)


def serve(descriptor: int, parent: int, memory_mb: int) -> None:
    """Run a worker: answer jobs until the sender closes its end, or the parent dies."""
    die_with(parent)
    if memory_mb:
        limit_memory(memory_mb)
    connection = Connection(descriptor)
    connection.send_bytes(b"ready")
    fresh = True
    while True:
        try:
            job = connection.recv_bytes()
        except (EOFError, OSError):
            return
        connection.send_bytes(_answer(job))
        gc.collect()  # decoders and their frames refer to each other, and hold megabytes that Python does not count
        if fresh:
            gc.freeze()  # modules that the first job loaded: later collections skip them
            fresh = False


def _answer(job: bytes) -> memoryview:
    try:
        function, item = ForkingPickler.loads(job)
        return ForkingPickler.dumps(("value", function(item)))
    except MemoryError:
        return ForkingPickler.dumps(("memory", None))
    except Exception as error:  # noqa: BLE001 sent to the parent, which raises it
        return pickled_error(error)


def pickled_error(error: Exception) -> memoryview:
    """The message that sends an exception to the parent."""
    try:
        answer = ForkingPickler.dumps(("raised", error))
        ForkingPickler.loads(answer)
    except Exception:  # noqa: BLE001 other libraries' exceptions may not survive pickling, but their text does
        return ForkingPickler.dumps(("raised", RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


def limit_memory(memory_mb: int) -> None:
    """Limit this process's address space (Linux only)."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies: if it hangs, it would not notice that the pipe is closed."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before this call
        os._exit(1)
