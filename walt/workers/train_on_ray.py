"""One function on all devices of several machines, by Ray Train on the cluster that ``RAY_ADDRESS`` names.

As in ``walt.workers.on_ray``, Ray's driver is a process of its own, which the caller talks to over a pipe. The ranks
answer through an actor, the relay, on the driver's node: it carries what they say to the caller, and the caller's wish
to stop to them. When the caller dies, the driver is killed with it, and the cluster ends what belonged to the driver.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import platform
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

from walt.core.errors import StorageError
from walt.workers.killable import die_with, pickled_error, spawn
from walt.workers.on_ray import join_ray

_GOODBYE_SECONDS = 30.0
_TAKE_SECONDS = 1.0
Event = tuple[str, Any]


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class RanksPlan:
    """How many ranks there are to be, and what Ray Train needs to know of them."""

    count: int
    gpus: bool
    """Whether each has a GPU; else each has a processor core reserved."""
    restarts: int
    """How often lost ranks are replaced, all of them together each time."""
    timeout_seconds: float
    """After which a rank that is waited for is taken for lost; so long Ray also waits for devices that are missing."""
    storage: str
    """A folder for Ray Train's own notes, which all machines see."""
    environment: Mapping[str, str]
    """Of the ranks, besides that of their machine."""


class ClusterRun:
    """Ranks on a cluster; a context manager that ends them on leaving.

    Raises:
        StorageError: the cluster cannot be reached, or is lost; also from every method.
    """

    def __init__(self) -> None:
        self._leader, ours = spawn("walt.workers.train_on_ray:lead")
        self._connection = Connection(ours.detach())
        try:
            _, nodes = self._receive()
        except BaseException:
            self.__exit__()
            raise
        self.nodes = [Node(**node) for node in nodes]
        """The machines that are alive."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        try:
            self._leader.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self._leader.kill()
            self._leader.wait()

    def start(self, function: str, argument: Mapping[str, Any], plan: RanksPlan) -> None:
        """Call ``module:name`` with the argument and a ``RankLink`` on each rank. What it raises restarts all ranks."""
        self._send((function, dict(argument), plan))

    def stop(self) -> None:
        """Ask the ranks to stop: see ``RankLink.on_stop``."""
        self._send("stop")

    def next_event(self, seconds: float) -> Event | None:
        """What has happened, None if nothing has in these seconds.

        ``began``: (rank, name of its machine). ``said``: a line. ``lost`` and ``report``: (rank, its report).
        ``ended``, the last one: why the function did not end well on all ranks, or None.
        """
        return self._receive() if self._connection.poll(seconds) else None

    def _send(self, message: Any) -> None:
        try:
            self._connection.send_bytes(ForkingPickler.dumps(message))
        except OSError:
            self._lost()

    def _receive(self) -> Event:
        try:
            kind, value = ForkingPickler.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            self._lost()
        if kind == "raised":
            raise value
        return kind, value

    def _lost(self) -> Any:
        status = self._leader.wait()
        raise StorageError(f"Ray: the cluster is lost (its driver ended with status {status}); run again") from None


class RankLink:
    """What a rank says to the stage that started it, and hears from it."""

    def __init__(self, relay: Any, rank: int) -> None:
        self._relay, self._rank = relay, rank

    def say(self, line: str) -> None:
        """Show a line to whoever looks at the stage."""
        self._relay.tell.remote(("said", line))

    def report(self, report: Mapping[str, Any], lost: bool = False) -> None:
        """How this rank ended; returns when the stage can know."""
        import ray

        ray.get(self._relay.tell.remote(("lost" if lost else "report", (self._rank, dict(report)))))

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call this, from another thread, when the stage wants to stop."""
        import ray

        def wait() -> None:
            ray.get(self._relay.wait_for_stop.remote())
            callback()

        threading.Thread(target=wait, daemon=True, name="wait-for-stop").start()


class Relay:
    """The actor between the ranks and the driver."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._came, self._stopping = asyncio.Event(), asyncio.Event()

    async def tell(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)
        self._came.set()

    async def take(self) -> list[Event]:
        """The events since the last call, in order; waits a second for one."""
        try:
            await asyncio.wait_for(self._came.wait(), _TAKE_SECONDS)
        except TimeoutError:
            return []
        self._came.clear()
        taken, self._events = self._events, []
        return taken

    async def stop(self) -> None:
        """The ranks are to stop."""
        self._stopping.set()

    async def wait_for_stop(self) -> None:
        """Return when they are."""
        await self._stopping.wait()


def lead(descriptor: int, parent: int) -> None:
    """Run Ray's driver, in a process of its own, until the ranks have ended, or the parent closes its end or dies."""
    die_with(parent)
    connection = Connection(descriptor)
    try:
        join_ray(1)
        _send(connection, ("nodes", _nodes()))
        function, argument, plan = ForkingPickler.loads(connection.recv_bytes())
        for event in _drive(function, argument, plan, connection):
            _send(connection, event)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent wants no more
        pass
    except Exception as error:  # noqa: BLE001 sent to the parent, which raises it
        connection.send_bytes(pickled_error(error))
    _leave()


def _leave() -> None:
    import ray

    if ray.is_initialized():
        ray.shutdown()
    os._exit(0)  # Ray Train's driver thread may still wait for its controller, which is gone


def _send(connection: Connection, message: Any) -> None:
    connection.send_bytes(ForkingPickler.dumps(message))


def _nodes() -> list[dict[str, Any]]:
    import ray

    nodes: Any = ray.nodes  # untyped
    alive = [(node["NodeManagerHostname"], node["Resources"]) for node in nodes() if node["Alive"]]
    return [asdict(Node(name, int(has.get("CPU", 0)), int(has.get("GPU", 0)))) for name, has in alive]


def _drive(function: str, argument: dict[str, Any], plan: RanksPlan, connection: Connection) -> Iterator[Event]:
    """Start the ranks, and yield what happens until they have ended."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Relay)
    relay = actor.options(num_cpus=0, max_concurrency=1000, scheduling_strategy=here).remote()
    trainer = _trainer(plan, {"function": function, "argument": argument, "relay": relay})

    def fit() -> None:
        try:
            trainer.fit()
            why = None
        except Exception as error:  # noqa: BLE001 reported to the parent
            why = _last_line(str(error)) or type(error).__name__
        ray.get(relay.tell.remote(("ended", why)))

    left = threading.Event()

    def listen() -> None:
        try:
            while True:
                connection.recv_bytes()  # the only message is "stop"
                relay.stop.remote()
        except (EOFError, OSError):
            left.set()

    for target in (fit, listen):
        threading.Thread(target=target, daemon=True, name=target.__name__).start()
    while not left.is_set():
        try:
            events = ray.get(relay.take.remote())
        except RayError as error:
            raise StorageError(f"Ray: {_last_line(str(error))}; run again") from None
        for event in events:
            yield event
            if event[0] == "ended":
                return


def _trainer(plan: RanksPlan, config: dict[str, Any]) -> Any:
    seconds = str(max(1.0, plan.timeout_seconds))
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", seconds)
    os.environ.setdefault("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", seconds)
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    import ray.train
    import ray.train.torch

    api: Any = ray.train  # typed as its first version
    return api.torch.TorchTrainer(
        _run_rank,
        train_loop_config=config,
        torch_config=api.torch.TorchConfig(
            backend="cpu:gloo,cuda:nccl" if plan.gpus else "gloo", timeout_s=plan.timeout_seconds
        ),
        scaling_config=api.ScalingConfig(
            num_workers=plan.count,
            use_gpu=plan.gpus,
            resources_per_worker={"CPU": 1, "GPU": 1} if plan.gpus else {"CPU": 1},
            placement_strategy="SPREAD",
        ),
        run_config=api.RunConfig(
            name=f"run-{os.getpid()}",
            storage_path=plan.storage,
            failure_config=api.FailureConfig(max_failures=plan.restarts, controller_failure_limit=plan.restarts),
            worker_runtime_env={"env_vars": dict(plan.environment)},
            logging_config=api.LoggingConfig(log_level="CRITICAL"),
        ),
    )


def _run_rank(config: dict[str, Any]) -> None:
    """What Ray Train calls in each of its workers, when torch's process group is there."""
    import ray.train

    rank = ray.train.get_context().get_world_rank()
    link = RankLink(config["relay"], rank)
    config["relay"].tell.remote(("began", (rank, platform.node())))
    module, name = config["function"].split(":")
    getattr(importlib.import_module(module), name)(config["argument"], link)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
