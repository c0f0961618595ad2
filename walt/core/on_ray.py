"""``map_items`` on a Ray cluster."""

from __future__ import annotations

import atexit
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from walt.core.errors import StorageError
from walt.core.execute import AHEAD, OUT_OF_MEMORY, Failure, ItemT, Outcome, ResultT, limit_memory, same_modules

_HEARTBEAT_SECONDS = 2.0
_HEAD_SECONDS = 20.0
"""So long a head may be away."""


def map_on_ray(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    num_workers: int,
    timeout_seconds: float | None,
    memory_mb: int | None,
) -> Iterator[Outcome[ResultT]]:
    """The same on a Ray cluster (``RAY_ADDRESS``, or one started here).

    An item whose worker or node is lost is tried again twice; it is yielded once whatever happened. A head that is gone
    is a StorageError. Results are in the object store until their turn, and of a bounded number of items.
    """
    import ray
    from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayError, RayTaskError, WorkerCrashedError

    _join_ray(num_workers)
    remote = ray.remote(num_cpus=1, max_retries=2)(_call_on_ray)
    head_node = _RayHead(ray.get_runtime_context().gcs_address)
    pending: deque[Any] = deque()
    source = iter(items)
    exhausted = False
    try:
        while True:
            while not exhausted and len(pending) < AHEAD * num_workers:
                for item in source:
                    pending.append(remote.remote(function, item, memory_mb))
                    break
                else:
                    exhausted = True
            if not pending:
                return
            first = pending[0]
            # the clock starts when the item is the first: it was started before, or starts now
            deadline = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
            try:
                while not ray.wait([first], timeout=min(_HEARTBEAT_SECONDS, max(deadline - time.monotonic(), 0)))[0]:
                    head_node.check()
                    if time.monotonic() >= deadline:
                        raise GetTimeoutError
                head_node.check()
                yield Outcome(ray.get(first))
            except GetTimeoutError:
                ray.cancel(first, force=True)
                yield Outcome(None, Failure("timeout", f"longer than {timeout_seconds:g} seconds"))
            except (OutOfMemoryError, MemoryError):
                yield Outcome(None, OUT_OF_MEMORY)
            except WorkerCrashedError:
                yield Outcome(None, Failure("crash", "its worker process died"))
            except RayTaskError as error:
                raise error.cause or RuntimeError(str(error)) from None
            except RayError as error:
                raise StorageError(f"Ray: {error}") from None
            pending.popleft()
    finally:
        for left in pending if head_node.answers else ():
            ray.cancel(left, force=True)


def _join_ray(num_workers: int) -> None:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or start one on this machine. Raises StorageError."""
    import ray

    if ray.is_initialized():
        return
    here: dict[str, Any] = (
        {} if "RAY_ADDRESS" in os.environ else {"num_cpus": num_workers, "runtime_env": {"env_vars": same_modules()}}
    )
    try:
        ray.init(include_dashboard=False, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise StorageError(f"Ray: {error}") from None


class _RayHead:
    """Whether a cluster's head answers. Ray itself ends this whole process a minute after it is lost, with status 1."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address, self._place = address, (host.strip("[]"), int(port))
        self.answers = True
        self._asked = self._answered = time.monotonic()

    def check(self) -> None:
        """Ask now and then. Raises StorageError when there was no answer for a while."""
        import ray

        if time.monotonic() - self._asked < _HEARTBEAT_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            socket.create_connection(self._place, timeout=_HEARTBEAT_SECONDS).close()
            self._answered = time.monotonic()
        except OSError:
            if time.monotonic() - self._answered > _HEAD_SECONDS:
                self.answers = False
                atexit.unregister(ray.shutdown)  # it would wait for the head, and be ended with status 1
                raise StorageError(f"Ray: the head at {self.address} does not answer") from None


def _call_on_ray(function: Callable[[Any], Any], item: Any, memory_mb: int | None) -> Any:
    """Runs in a Ray worker, which has no memory limit of its own."""
    if memory_mb:
        limit_memory(memory_mb)
    return function(item)
