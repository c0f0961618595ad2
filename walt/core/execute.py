"""Map a function over many items: in this process, in a pool of killable processes, or on a Ray cluster.

What may go wrong with one item (it hangs, crashes the interpreter, takes too much memory) becomes a value for it.
Exceptions that the function raises are the caller's: they end the map. Results come in the order of the items whatever
the number of workers, and only a bounded number of items is under way at any time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from walt.core.workers import Workers, open_workers

if TYPE_CHECKING:  # a worker process reads no settings, and need not load what checks them
    from walt.core.compute import ComputeConfig

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

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
    with open_workers(function, memory_mb) as workers:
        while True:
            while not exhausted and len(early) + _busy(workers) < AHEAD * num_workers:
                idle = next((worker for worker in workers.alive if worker.index is None), None)
                if idle is None and len(workers.alive) >= num_workers:
                    break
                index, item = next(source, (None, None))
                if index is None:
                    exhausted = True
                    break
                (idle or workers.start()).send(index, ForkingPickler.dumps((function, item)), timeout_seconds)
            for index, outcome in collect(workers, timeout_seconds):
                early[index] = outcome
            while turn in early:
                yield early.pop(turn)
                turn += 1
            if exhausted and not early and not _busy(workers):
                return


def _busy(workers: Workers) -> int:
    return sum(worker.index is not None for worker in workers.alive)


def collect(workers: Workers, timeout_seconds: float | None) -> list[tuple[int, Outcome[Any]]]:
    """Wait until some worker answers, dies or is late; such ones leave the workers that are alive."""
    busy = [worker for worker in workers.alive if worker.index is not None]
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
                workers.alive.remove(worker)
                outcomes.append((index, Outcome(None, _death(worker.kill()))))
                continue
            if kind == "raised":
                raise value
            worker.index = None
            outcomes.append((index, Outcome(value) if kind == "value" else Outcome(None, OUT_OF_MEMORY)))
        elif time.monotonic() >= worker.deadline:
            workers.alive.remove(worker)
            worker.kill()
            outcomes.append((index, Outcome(None, Failure("timeout", f"longer than {timeout_seconds:g} seconds"))))
    return outcomes


def _death(status: int) -> Failure:
    if status == -signal.SIGKILL:
        return Failure("memory", "killed by the system, most likely for lack of memory")
    if status < 0:
        return Failure("crash", f"the process died of {signal.Signals(-status).name}")
    return Failure("crash", f"the process ended with exit status {status}")
