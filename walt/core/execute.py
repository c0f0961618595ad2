"""Map a function over many items: in this process, in a pool of killable processes, or on a Ray cluster.

What may go wrong with one item (it hangs, crashes the interpreter, takes too much memory) becomes a value for it.
Exceptions that the function raises are the caller's: they end the map. Results come in the order of the items whatever
the number of workers, and only a bounded number of items is under way at any time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from walt.core.errors import StorageError

if TYPE_CHECKING:  # a worker process reads no settings, and need not load what checks them
    from walt.core.compute import ComputeConfig

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_START_SECONDS = 120.0
AHEAD = 4
"""Items under way or finished early, for each worker."""


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    code: Literal["timeout", "memory", "crash"]
    cause: str


@dataclass(frozen=True)
class Outcome(Generic[ResultT]):
    """The result of one item, or its failure."""

    value: ResultT | None
    failure: Failure | None = None


def map_items(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    compute: ComputeConfig,
    *,
    timeout_seconds: float | None = None,
    memory_mb: int | None = None,
) -> Iterator[Outcome[ResultT]]:
    """Yield ``function(item)`` for each item, in order.

    Args:
        function: importable by its module's name (no lambda, no closure) unless the backend is ``inline``.
        compute: backend and number of workers. ``inline`` can stop neither a hang nor a crash.
        timeout_seconds: for one item; its worker's process group is killed.
        memory_mb: address space of one worker.

    Raises:
        Whatever the function raises, but for MemoryError. StorageError where no worker can be started.
    """
    if compute.backend == "ray":
        from walt.core.on_ray import map_on_ray

        return map_on_ray(function, items, compute.workers, timeout_seconds, memory_mb)
    if compute.backend == "process":
        return _map_in_processes(function, items, compute.workers, timeout_seconds, memory_mb)
    return _map_inline(function, items)


def _map_inline(function: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[Outcome[ResultT]]:
    for item in items:
        try:
            yield Outcome(function(item))
        except MemoryError:
            yield Outcome(None, OUT_OF_MEMORY)


OUT_OF_MEMORY = Failure("memory", "more memory than allowed")


def same_modules() -> dict[str, str]:
    """Environment of a worker that finds the modules that this process finds."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Worker:
    """A Python process of its own session that answers items one at a time, and can be killed with its children."""

    def __init__(self, memory_mb: int | None) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = f"from walt.core.execute import serve; serve({theirs.fileno()}, {os.getpid()}, {memory_mb or 0})"
            self.process = subprocess.Popen(
                [sys.executable, "-c", command], pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, env=os.environ | same_modules(),
            )  # fmt: skip
            self.connection = Connection(ours.detach())
        self.index: int | None = None  # of the item it has
        self.deadline = float("inf")
        self._ready = False

    def send(self, index: int, job: memoryview, timeout_seconds: float | None) -> None:
        if not self._ready:  # the time an interpreter takes to start is not the item's
            try:
                if not self.connection.poll(_START_SECONDS):
                    raise StorageError("a worker process did not start in time")
                self.connection.recv_bytes()
            except (EOFError, OSError):
                raise StorageError(f"a worker process could not start (exit status {self.process.wait()})") from None
            self._ready = True
        self.index = index
        self.deadline = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
        with contextlib.suppress(OSError):  # it died between two items; reading its answer says so
            self.connection.send_bytes(job)

    def kill(self) -> int:
        """End the process group; gives the exit status. No zombie is left."""
        with contextlib.suppress(ProcessLookupError):  # it ended by itself, and left no children
            os.killpg(self.process.pid, signal.SIGKILL)
        self.connection.close()
        return self.process.wait()


def _map_in_processes(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    num_workers: int,
    timeout_seconds: float | None,
    memory_mb: int | None,
) -> Iterator[Outcome[ResultT]]:
    source = enumerate(items)
    early: dict[int, Outcome[ResultT]] = {}  # finished before their turn
    turn = 0
    exhausted = False
    workers: list[Worker] = []
    try:
        while True:
            while not exhausted and len(early) + _busy(workers) < AHEAD * num_workers:
                idle = next((worker for worker in workers if worker.index is None), None)
                if idle is None and len(workers) >= num_workers:
                    break
                index, item = next(source, (None, None))
                if index is None:
                    exhausted = True
                    break
                if idle is None:
                    idle = Worker(memory_mb)
                    workers.append(idle)
                idle.send(index, ForkingPickler.dumps((function, item)), timeout_seconds)
            for index, outcome in collect(workers, timeout_seconds):
                early[index] = outcome
            while turn in early:
                yield early.pop(turn)
                turn += 1
            if exhausted and not early and not _busy(workers):
                return
    finally:
        for worker in workers:
            worker.kill()


def _busy(workers: list[Worker]) -> int:
    return sum(worker.index is not None for worker in workers)


def collect(workers: list[Worker], timeout_seconds: float | None) -> list[tuple[int, Outcome[Any]]]:
    """Wait until some worker answers, dies or is late; dead ones leave the list."""
    busy = [worker for worker in workers if worker.index is not None]
    if not busy:
        return []
    patience = min(worker.deadline for worker in busy) - time.monotonic()
    answered = wait([worker.connection for worker in busy], None if patience == float("inf") else max(patience, 0.0))
    outcomes: list[tuple[int, Outcome[Any]]] = []
    for worker in busy:
        index = worker.index
        assert index is not None
        if worker.connection in answered:
            try:
                kind, value = ForkingPickler.loads(worker.connection.recv_bytes())
            except (EOFError, OSError):
                workers.remove(worker)
                outcomes.append((index, Outcome(None, _death(worker.kill()))))
                continue
            if kind == "raised":
                raise value
            worker.index = None
            outcomes.append((index, Outcome(value) if kind == "value" else Outcome(None, OUT_OF_MEMORY)))
        elif time.monotonic() >= worker.deadline:
            workers.remove(worker)
            worker.kill()
            outcomes.append((index, Outcome(None, Failure("timeout", f"longer than {timeout_seconds:g} seconds"))))
    return outcomes


def _death(status: int) -> Failure:
    if status == -signal.SIGKILL:
        return Failure("memory", "killed by the system, most likely for lack of memory")
    if status < 0:
        return Failure("crash", f"the process died of {signal.Signals(-status).name}")
    return Failure("crash", f"the process ended with exit status {status}")


def serve(descriptor: int, parent: int, memory_mb: int) -> None:
    """Life of a worker process: answer jobs until the parent closes its end, or dies."""
    die_with(parent)
    if memory_mb:
        limit_memory(memory_mb)
    connection = Connection(descriptor)
    connection.send_bytes(b"ready")
    while True:
        try:
            job = connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            function, item = ForkingPickler.loads(job)
            answer = ForkingPickler.dumps(("value", function(item)))
        except MemoryError:
            answer = ForkingPickler.dumps(("memory", None))
        except Exception as error:  # noqa: BLE001 handed to the parent, which raises it
            answer = pickled_error(error)
        connection.send_bytes(answer)


def pickled_error(error: Exception) -> memoryview:
    try:
        answer = ForkingPickler.dumps(("raised", error))
        ForkingPickler.loads(answer)
    except Exception:  # noqa: BLE001 other libraries' exceptions need not survive pickling; their text does
        return ForkingPickler.dumps(("raised", RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


def limit_memory(memory_mb: int) -> None:
    """Cap this process's address space where the system can (Linux)."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))


def die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies: it may hang, and then nobody would read the closed pipe."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)
