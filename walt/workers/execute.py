"""Map a function over many items: in this process, in a pool of killable processes, or on a Ray cluster.

If one item hangs, crashes the interpreter or takes too much memory, its outcome is a failure. Exceptions that the
function raises are passed on to the caller, and end the map. Results come in the order of the items whatever the number
of workers, and only a bounded number of items is in progress at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING

from walt.workers.killable import Workers, open_workers
from walt.workers.on_ray import map_on_ray
from walt.workers.outcomes import AHEAD, OUT_OF_MEMORY, ItemT, MapLimits, Outcome, ResultT, collect

if TYPE_CHECKING:  # a worker process reads no settings, and need not load the code that validates them
    from walt.core.compute import ComputeConfig


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
        timeout_seconds: limit for one item, after which its worker's process group is killed. Waiting for a processor
            that others keep busy does not count, where the system tells how long that was (Linux).
        memory_mb: limit on the address space of one worker.

    Raises:
        Whatever the function raises, except MemoryError. StorageError if no worker can be started.
    """
    limits = MapLimits(compute.workers, timeout_seconds, memory_mb)
    if compute.backend == "ray":
        return map_on_ray(function, items, limits)
    if compute.backend == "process":
        return map_in_processes(function, items, limits)
    return _map_inline(function, items)


def _map_inline(function: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[Outcome[ResultT]]:
    for item in items:
        try:
            yield Outcome(function(item))
        except MemoryError:
            yield Outcome(None, OUT_OF_MEMORY)


def map_in_processes(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], limits: MapLimits
) -> Iterator[Outcome[ResultT]]:
    """As ``map_items`` in a pool of this machine, where no settings say how many workers there are."""
    source = enumerate(items)
    early: dict[int, Outcome[ResultT]] = {}  # finished before their turn
    turn = 0
    exhausted = False
    with open_workers(function, limits.memory_mb) as workers:
        while True:
            while not exhausted and len(early) + _busy(workers) < AHEAD * limits.num_workers:
                idle = next((worker for worker in workers.alive if worker.index is None), None)
                if idle is None and len(workers.alive) >= limits.num_workers:
                    break
                index, item = next(source, (None, None))
                if index is None:
                    exhausted = True
                    break
                (idle or workers.start()).send(index, ForkingPickler.dumps((function, item)), limits.timeout_seconds)
            for index, outcome in collect(workers, limits.timeout_seconds):
                early[index] = outcome
            while turn in early:
                yield early.pop(turn)
                turn += 1
            if exhausted and not early and not _busy(workers):
                return


def _busy(workers: Workers) -> int:
    return sum(worker.index is not None for worker in workers.alive)
