"""``map_items`` on a Ray cluster.

Ray runs in a process of its own, which requests items and returns outcomes over a pipe: when the head of its cluster is
lost, Ray exits its process, and there is no exception to catch. Here that becomes a StorageError.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from walt.core.errors import StorageError
from walt.workers.killable import Workers, die_with, open_workers, pickled_error, same_modules, spawn
from walt.workers.outcomes import (
    AHEAD,
    OUT_OF_MEMORY,
    Failure,
    ItemT,
    MapLimits,
    Outcome,
    ResultT,
    collect,
)

_GOODBYE_SECONDS = 30.0


def map_on_ray(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    limits: MapLimits,
) -> Iterator[Outcome[ResultT]]:
    """As ``map_items``, on the cluster that ``RAY_ADDRESS`` names, or a new one on this machine.

    An item whose worker or node is lost is retried twice, and always yielded once. Results wait for their turn in the
    object store; their number is bounded.

    Raises:
        StorageError: there is no cluster, or it is lost.
    """
    leader, ours = spawn("walt.workers.on_ray:lead")
    connection = Connection(ours.detach())
    source = iter(items)
    message: Any = (function, limits)
    try:
        while True:
            kind, value = _exchange(connection, message, leader)
            message = None
            if kind == "next":
                message = list(islice(source, 1))
            elif kind == "outcome":
                yield value
            elif kind == "raised":
                raise value
            else:
                return
    finally:
        connection.close()
        try:
            leader.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            leader.kill()
            leader.wait()


def _exchange(connection: Connection, message: Any, leader: subprocess.Popen[bytes]) -> tuple[str, Any]:
    """Send a message, if there is one, and wait for the next."""
    try:
        if message is not None:
            connection.send_bytes(ForkingPickler.dumps(message))
        kind, value = ForkingPickler.loads(connection.recv_bytes())
    except (EOFError, OSError):
        status = leader.wait()
        raise StorageError(f"Ray: the cluster is lost (its driver ended with status {status}); run again") from None
    return kind, value


def lead(descriptor: int, parent: int) -> None:
    """Run Ray's driver, in a process of its own, until the items are done, or the parent closes its end or dies."""
    die_with(parent)
    connection = Connection(descriptor)

    def items() -> Iterator[Any]:
        while True:
            connection.send_bytes(ForkingPickler.dumps(("next", None)))
            batch = ForkingPickler.loads(connection.recv_bytes())
            if not batch:
                return
            yield from batch

    try:
        function, limits = ForkingPickler.loads(connection.recv_bytes())
        for outcome in _drive(function, items(), limits):
            connection.send_bytes(ForkingPickler.dumps(("outcome", outcome)))
        connection.send_bytes(ForkingPickler.dumps(("done", None)))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent wants no more results
        return
    except Exception as error:  # noqa: BLE001 sent to the parent, which raises it
        connection.send_bytes(pickled_error(error))


def _drive(
    function: Callable[[ItemT], ResultT],
    items: Iterator[ItemT],
    limits: MapLimits,
) -> Iterator[Outcome[ResultT]]:
    """Keep a bounded number of items in progress, and yield their outcomes in order."""
    import ray
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, WorkerCrashedError

    join_ray(limits.num_workers)
    remote = ray.remote(num_cpus=1, max_retries=2)(_call_on_ray)
    pending: deque[Any] = deque()
    exhausted = False
    while True:
        while not exhausted and len(pending) < AHEAD * limits.num_workers:
            for item in items:
                pending.append(remote.remote(function, item, limits.timeout_seconds, limits.memory_mb))
                break
            else:
                exhausted = True
        if not pending:
            return
        try:
            yield ray.get(pending.popleft())
        except OutOfMemoryError:
            yield Outcome(None, OUT_OF_MEMORY)
        except WorkerCrashedError:
            yield Outcome(None, Failure("crash", "its worker process died, three times"))
        except RayTaskError as error:
            raise error.cause or RuntimeError(str(error)) from None
        except RayError as error:
            raise StorageError(f"Ray: {error}") from None


def join_ray(num_workers: int) -> None:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or start one on this machine, also where another one runs
    here. Raises StorageError."""
    import ray

    here: dict[str, Any] = {}
    if "RAY_ADDRESS" not in os.environ:
        here = {"address": "local", "num_cpus": num_workers, "runtime_env": {"env_vars": same_modules()}}
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise StorageError(f"Ray: {str(error).splitlines()[0]}") from None


_WORKERS: list[Workers] = []
"""In a Ray worker: the killable process that does its work."""


def _call_on_ray(
    function: Callable[[Any], Any], item: Any, timeout_seconds: float | None, memory_mb: int | None
) -> Outcome[Any]:
    """Runs in a Ray worker, and lets a process that can be killed and whose memory can be limited do the work.

    Ray's own worker allows neither: it maps the object store into its address space, and Ray handles its death.
    """
    if not _WORKERS:
        _WORKERS.append(open_workers(function, memory_mb))
    (workers,) = _WORKERS
    worker = workers.alive[0] if workers.alive else workers.start()
    worker.send(0, ForkingPickler.dumps((function, item)), timeout_seconds)
    while not (outcomes := collect(workers, timeout_seconds)):
        pass
    return outcomes[0][1]
