"""A stage on several machines: its ranks are started by Ray Train on the cluster that ``RAY_ADDRESS`` names.

The stage's own process stays, as on one machine (``walt.project.launcher``): it holds the lock, passes SIGTERM on,
shows what the first rank says, and ends with one result or one error. Where a rank or its machine is lost, Ray Train
starts all ranks again, a training goes on from its last checkpoint, and the stage ends only when that has happened too
often.

The machines share the project's folder. That they do, and that they have the same code, each rank checks before work.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from walt.core import environment
from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import console, info, warning
from walt.core.paths import Paths
from walt.core.stopping import NotedSigterm, seconds_to_stop
from walt.core.storage import write_json
from walt.project.cluster_rank import NOTES, SharedFolder
from walt.project.devices import check_batches, is_training
from walt.project.launcher import result_of
from walt.project.params import Params
from walt.project.registry import Stage
from walt.workers.train_on_ray import ClusterRun, Event, Node, RanksPlan

_LOOK_SECONDS = 0.2


def launch_on_cluster(stage: Stage, params: Params, root: Path, begin: Callable[[], None]) -> dict[str, Any]:
    """Run the stage on ``compute.nodes`` machines and return its figures.

    Args:
        begin: called when it is clear that it can run there, before the ranks start.

    Raises:
        ConfigurationError: there is no cluster, or it has too few machines or devices; the devices do not divide a
            batch; a machine does not share the folder, or has other code. No work was done.
        StorageError: the cluster cannot be reached or is lost, or ranks were lost more than ``compute.restarts`` times.
        WaltError, RuntimeError: what a rank raised.
    """
    _check_ray(params.compute)
    notes = Paths(root).work(stage.name) / NOTES
    shutil.rmtree(notes, ignore_errors=True)  # of a run that was killed
    with ClusterRun() as cluster:
        gpus, per_node = choose_devices(params.compute, cluster.nodes)
        count = params.compute.nodes * per_node
        if is_training(stage):
            check_batches(stage, params, count)
        begin()
        try:
            token = uuid.uuid4().hex
            write_json(notes / f"{token}.json", {"root": str(root)})
            job = {
                "stage": stage.name,
                "params": params.model_dump_json(),
                "shared": SharedFolder.seen_from_here(root, token, stage).as_json(),
            }
            plan = RanksPlan(
                count, gpus, params.compute.restarts, 60 * params.compute.rank_timeout_minutes, str(notes),
                _rank_environment(cluster.nodes, per_node),
            )  # fmt: skip
            cluster.start("walt.project.cluster_rank:run_on_cluster", job, plan)
            return _Ranks(stage, params, root, count).follow(cluster)
        finally:
            shutil.rmtree(notes, ignore_errors=True)


def _check_ray(compute: ComputeConfig) -> None:
    if importlib.util.find_spec("ray") is None:
        raise ConfigurationError(f"compute.nodes is {compute.nodes}, which needs Ray: pip install '/path/to/walt[ray]'")
    if not os.environ.get("RAY_ADDRESS"):
        raise ConfigurationError(
            f"compute.nodes is {compute.nodes}, which needs a Ray cluster: RAY_ADDRESS names none (host:port, or auto "
            "for the one of this machine)"
        )


def choose_devices(compute: ComputeConfig, nodes: Sequence[Node]) -> tuple[bool, int]:
    """Whether the ranks have GPUs, and how many ranks a machine has.

    Raises:
        ConfigurationError: there are not so many machines, or devices on them.
    """
    wanted = compute.nodes
    if len(nodes) < wanted:
        raise ConfigurationError(f"compute.nodes is {wanted}, but the Ray cluster has {len(nodes)}")
    least = sorted((node.gpus for node in nodes), reverse=True)[wanted - 1]  # GPUs of the poorest machine that is taken
    gpus = compute.device == "cuda" or (compute.device == "auto" and least > 0)
    per_node = compute.devices if compute.devices != "auto" else max(least, 1) if gpus else 1
    fitting = [node for node in nodes if min(node.cpus, node.gpus if gpus else node.cpus) >= per_node]
    if len(fitting) < wanted:
        what = "GPUs and as many processor cores" if gpus else "processor cores"
        there = ", ".join(f"{node.name} {f'{node.gpus} and {node.cpus}' if gpus else node.cpus}" for node in nodes)
        raise ConfigurationError(
            f"compute.nodes is {wanted} with {per_node} {what} each, but the Ray cluster has these: {there}"
        )
    return gpus, per_node


def _rank_environment(nodes: Sequence[Node], per_node: int) -> dict[str, str]:
    """Variables of the ranks: those that all processes of walt have, and threads that share the processors."""
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, min(node.cpus for node in nodes) // per_node))
    return {**environment.defaults({}), "OMP_NUM_THREADS": threads}


class _Ranks:
    """The ranks of one stage, as its own process sees them."""

    def __init__(self, stage: Stage, params: Params, root: Path, count: int) -> None:
        self._stage, self._params, self._count = stage, params, count
        self._patience = seconds_to_stop(Paths(root).work(stage.name)) if is_training(stage) else 0.0
        self._reports: dict[int, dict[str, Any]] = {}
        self._machines: dict[int, str] = {}
        self._lost = ""

    def follow(self, cluster: ClusterRun) -> dict[str, Any]:
        """Pass on what they say until they have ended; the stage's figures. Raises as ``launch_on_cluster``."""
        terminated_at: float | None = None
        with NotedSigterm() as terminated:
            while True:
                event = cluster.next_event(_LOOK_SECONDS)
                if event and self._take(event):
                    break
                if terminated.came and terminated_at is None:
                    terminated_at = time.monotonic()
                    cluster.stop()
                if terminated_at is not None and time.monotonic() > terminated_at + self._patience:
                    raise StorageError(f"{self._stage.name}: SIGTERM, and the ranks did not stop in time; run again")
        if self._lost and not any(report["status"] for report in self._reports.values()):
            raise StorageError(self._lost)
        return result_of(self._reports, {}, self._count, self._params.compute.rank_timeout_minutes)

    def _take(self, event: Event) -> bool:
        """Note an event; whether it is the last one that matters."""
        kind, value = event
        if kind == "said":
            console.print(value, markup=False)
        elif kind == "began":
            self._begin(*value)
        elif kind == "lost":
            warning(f"{self._stage.name}: rank {value[0]} of {self._count} lost another one: {value[1]['message']}")
        elif kind == "report":
            self._reports[value[0]] = value[1]
            return bool(value[1]["status"])  # the error of one is the stage's
        elif kind == "ended" and value is not None:
            restarts = self._params.compute.restarts
            self._lost = (
                f"the ranks of {self._stage.name} were lost, after up to {restarts} restarts (compute.restarts): "
                f"{value}; run again: a training goes on from its last checkpoint, on any number of machines"
            )
        return kind == "ended"

    def _begin(self, rank: int, machine: str) -> None:
        if rank in self._machines:  # they were started again
            self._machines, self._reports = {}, {}
            warning(f"{self._stage.name}: ranks were lost: all start again, a training from its last checkpoint")
        self._machines[rank] = machine
        if len(self._machines) == self._count:
            found = Counter(self._machines.values())
            where = ", ".join(f"{count} on {name}" for name, count in sorted(found.items()))
            info(f"{self._stage.name}: {self._count} ranks: {where}")
