"""A stage on several machines: what is refused; on a Ray cluster here a rank is killed, and no bit differs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from tests.support.forked_stages import ForkedStages
from tests.support.ranks_project import parameters, set_parameters, start, steps_saved, wait_for, write_project
from tests.support.settings import compute_settings
from tests.support.tiny_loop import files_of
from tests.support.waiting import SECONDS
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError, LockedError, StorageError, TerminatedError
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.project.cluster import _Ranks, choose_devices, launch_on_cluster
from walt.project.cluster_rank import NOTES, SharedFolder, _alone
from walt.project.params import Params
from walt.project.registry import get_stage
from walt.workers.train_on_ray import ClusterRun, Event, Node

STAGE = get_stage("train-base")
CPUS = [Node("a", 4, 0), Node("b", 2, 0)]
GPUS = [Node("head", 8, 0), Node("a", 64, 8), Node("b", 64, 4)]


@pytest.mark.parametrize(
    ("changes", "nodes", "expected"),
    [
        ({"device": "cpu", "devices": "auto"}, CPUS, (False, 1)),
        ({"device": "cpu", "devices": 2}, CPUS, (False, 2)),
        ({"device": "auto", "devices": "auto"}, CPUS, (False, 1)),
        ({"device": "auto", "devices": "auto"}, GPUS, (True, 4)),
        ({"device": "cuda", "devices": 2}, GPUS, (True, 2)),
        ({"device": "cpu", "devices": "auto"}, GPUS, (False, 1)),
    ],
)
def test_each_machine_gives_the_same_number_of_devices(changes: Any, nodes: list[Node], expected: Any) -> None:
    assert choose_devices(compute_settings(nodes=2, **changes), nodes) == expected


@pytest.mark.parametrize(
    ("changes", "nodes", "message"),
    [
        ({"nodes": 3}, CPUS, "^compute.nodes is 3, but the Ray cluster has 2$"),
        ({"devices": 3}, CPUS, "^compute.nodes is 2 with 3 processor cores each, but .* has these: a 4, b 2$"),
        ({"device": "cuda", "devices": 8}, GPUS, r"8 GPUs and .* has these: head 0 and 8, a 8 and 64, b 4 and 64$"),
        ({"device": "cuda", "devices": 8}, [Node("a", 64, 8), Node("b", 4, 8)], r"has these: a 8 and 64, b 8 and 4$"),
        ({"device": "cuda", "devices": "auto"}, CPUS, "with 1 GPUs and"),
    ],
)
def test_too_few_machines_or_devices(changes: Any, nodes: list[Node], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        choose_devices(compute_settings(**{"nodes": 2, **changes}), nodes)


def test_without_an_address_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    params = parse_section(parameters(compute={"nodes": 2}), Params, "params.yaml")
    with pytest.raises(ConfigurationError, match=r"^compute.nodes is 2, which needs a Ray cluster: RAY_ADDRESS names"):
        launch_on_cluster(STAGE, params, tmp_path, lambda: pytest.fail("it has begun"))


def test_a_machine_that_sees_another_folder_or_has_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.project.cluster_rank._FOLDER_SECONDS", 0.0)
    (tmp_path / "data").mkdir()
    shared = SharedFolder.seen_from_here(tmp_path, "token", STAGE)
    with pytest.raises(ConfigurationError, match=r"work/train-base/cluster: .* does not see what this machine"):
        shared.check(STAGE)
    write_json(tmp_path / "work/train-base" / NOTES / "token.json", {})
    shared.check(STAGE)
    other = SharedFolder(**{**shared.as_json(), "code": "0"})
    with pytest.raises(ConfigurationError, match=r"has another version of walt's code, of Python or of torch$"):
        other.check(STAGE)
    Paths(tmp_path).base.mkdir(parents=True)  # by a rank that was faster
    (tmp_path / "data/.text.tmp").mkdir()
    shared.check(STAGE)
    Paths(tmp_path).latents.mkdir()
    with pytest.raises(ConfigurationError, match=r"reads, .* sees data/latents, and this machine nothing$"):
        shared.check(STAGE)


def test_a_rank_waits_for_an_earlier_one_that_still_writes(tmp_path: Path) -> None:
    with (
        _alone(tmp_path, STAGE, 1, 0.0),
        _alone(tmp_path, STAGE, 0, 0.0),
        pytest.raises(StorageError, match=r"an earlier rank 1, which did not end") as refused,
        _alone(tmp_path, STAGE, 1, 0.0),
    ):
        pytest.fail("it holds the lock of another")
    assert not isinstance(refused.value, LockedError)
    with _alone(tmp_path, STAGE, 1, 0.0):
        pass


class FakeRun:
    """A run on a cluster whose ranks say what is given, one event a look; and stop when they are asked."""

    def __init__(self, *events: Event | None, after_stop: Sequence[Event] = ()) -> None:
        self._events, self._after_stop, self.stopped = list(events), after_stop, 0

    def next_event(self, seconds: float) -> Event | None:
        event = self._events.pop(0) if self._events else None
        if event == ("signal", None):
            signal.raise_signal(signal.SIGTERM)
            return None
        return event

    def stop(self) -> None:
        self.stopped += 1
        self._events += self._after_stop


def follow(run: FakeRun, root: Path, stage: str = "train-base") -> dict[str, Any]:
    params = parse_section(parameters(compute={"nodes": 2}), Params, "params.yaml")
    return _Ranks(get_stage(stage), params, root, 2).follow(cast("ClusterRun", run))


def ended(rank: int, status: int = 0, **more: Any) -> Event:
    return "report", (rank, {"status": status, "time": float(rank), "lost": False, **more})


BEGAN: list[Event] = [("began", (0, "a")), ("began", (1, "b"))]


def test_sigterm_reaches_the_ranks_once_and_theirs_is_the_stages_end(tmp_path: Path) -> None:
    stopping = [ended(0, 143, message="base: SIGTERM at step 3")]
    run = FakeRun(*BEGAN, ("signal", None), None, after_stop=stopping)
    with pytest.raises(TerminatedError, match=r"^base: SIGTERM at step 3$"):
        follow(run, tmp_path)
    assert run.stopped == 1
    with pytest.raises(StorageError, match="SIGTERM, and the ranks did not stop in time; run again"):
        follow(FakeRun(*BEGAN, ("signal", None)), tmp_path, "sample")  # it has no checkpoint to write


def test_ranks_that_begin_again_are_said_once_and_the_last_figures_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = ended(0, figures={"made": 1}), ended(0, figures={"made": 2})
    lost: Event = ("lost", (1, {"message": "gone"}))
    run = FakeRun(*BEGAN, first, lost, *BEGAN, again, ended(1, figures={}), ("ended", None))
    assert follow(run, tmp_path) == {"made": 2}
    assert " ".join(capsys.readouterr().out.split()).count("ranks were lost: all start again") == 1
    with pytest.raises(StorageError, match=r"were lost, after up to \d+ restarts .* a node has gone; run again"):
        follow(FakeRun(*BEGAN, lost, ("ended", "a node has gone")), tmp_path)


def ranks() -> list[psutil.Process]:
    """Ray Train's workers on this machine."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "RayTrainWorker" in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def no_rank_is_left() -> None:
    """Ray ends the processes of a driver that has gone, but the driver does not wait for it."""
    _, alive = psutil.wait_procs(ranks(), timeout=SECONDS)
    assert not alive, "a rank goes on"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two nodes of one core each; the address."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else Ray's processes wait for all others of this machine
        yield from _two_nodes(Cluster)


def _two_nodes(Cluster: Any) -> Iterator[str]:

    resources = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, connect=False, head_node_args=resources)
    try:
        made.add_node(num_cpus=1, num_gpus=0, object_store_memory=80 * 2**20)
        yield made.address
    finally:
        made.shutdown()


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """Of trainings that are stopped on the way."""
    return on_disk


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_rank_is_replaced_and_not_a_bit_differs(
    cluster: str, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, stages: ForkedStages
) -> None:
    """The same training on two ranks of one machine and on two nodes, of which one rank is killed; then SIGTERM."""
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    long = {"steps": 60, "batch_size": 8, "checkpoint_every": 1, "log_every": 1}
    whole = write_project(tmp_path / "one", empty_database, train_base=long, compute={"devices": 2})
    stages.finish(whole, "train-base")

    root = write_project(tmp_path / "two", empty_database, train_base=long, compute={"devices": 1, "nodes": 2})
    work = root / "work/train-base"
    process = start(root, "train-base")
    wait_for(process, lambda: steps_saved(work))
    process.send_signal(signal.SIGTERM)
    printed, errors = process.communicate()
    assert process.returncode == 143, printed + errors
    assert errors.splitlines()[-1].startswith("walt: train-base: SIGTERM at step")
    no_rank_is_left()
    first = max(steps_saved(work))
    assert first < 60

    process = start(root, "train-base")
    wait_for(process, lambda: max(steps_saved(work)) > first)
    os.kill(int((work / "rank-1.lock").read_text().split()[0]), signal.SIGKILL)
    printed, errors = process.communicate()
    assert process.returncode == 0, printed + errors
    assert printed.count("ranks were lost: all start again") == 1, printed
    assert printed.count("resumed at step") == 2, printed
    assert "2 ranks: " in printed
    no_rank_is_left()
    assert not (work / NOTES).exists()
    one, two = (files_of(folder / "models/base") for folder in (whole, root))
    assert one == two

    set_parameters(root, train_base=long, compute={"devices": 2, "nodes": 2})
    process = start(root, "train-base")
    printed, errors = process.communicate()
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("walt: compute.nodes is 2 with 2 processor cores each, but")
