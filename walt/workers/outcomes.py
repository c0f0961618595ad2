"""The outcome of an item that a worker was given: its result, or why it has none."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, Literal, TypeVar

from walt.workers.killable import Workers

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

AHEAD = 4
"""Items in progress or finished early, per worker."""


@dataclass(frozen=True)
class MapLimits:
    """How many workers a map may have, and what one of them may take: see ``walt.workers.execute.map_items``."""

    num_workers: int
    timeout_seconds: float | None
    memory_mb: int | None


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


OUT_OF_MEMORY = Failure("memory", "more memory than allowed")


def collect(workers: Workers, timeout_seconds: float | None) -> list[tuple[int, Outcome[Any]]]:
    """Wait until some worker answers, dies or exceeds its time; the latter two are removed from ``workers.alive``."""
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
        elif worker.is_overdue():
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
