"""Mapping over items on Ray: workers that die, a head that is lost. Each test starts a small cluster of its own."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.faults import cut_slowly
from tests.support.ingest_project import config, make_project, outputs
from tests.support.worker_tasks import compute, task
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.ingest import read_sources as reading
from walt.stages import ingest
from walt.workers.execute import map_items
from walt.workers.on_ray import join_ray

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")  # a minute otherwise
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else Ray's workers wait for all other tests of this machine


def dies_once(item: Any) -> Any:
    """The first time that an item with a file comes, the Ray worker is killed for which this process works."""
    match item:
        case ("once", marker) if not Path(marker).exists():
            Path(marker).touch()
            ray_worker = next(
                process for process in psutil.Process().parents() if "ray::" in " ".join(process.cmdline())
            )
            ray_worker.kill()
    return task(item)


def children() -> set[int]:
    """Processes under this one; other tests of the same run may have left theirs."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("given", [None, "127.0.0.1:6379"])
def test_only_a_cluster_that_is_named_is_joined(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    """Ray itself joins any that somebody has started on this machine, and then refuses a number of processors."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr("ray.init", asked.update)
    if given is not None:
        monkeypatch.setenv("RAY_ADDRESS", given)
    join_ray(2)
    assert asked.get("address") == (None if given else "local")
    assert ("num_cpus" in asked) == (given is None)


def test_items_of_dead_workers_are_retried_and_yielded_once(tmp_path: Path) -> None:
    before = children()
    once = [("once", str(tmp_path / str(number))) for number in range(2)]
    items = [0, once[0], 1, ("exit", 3), ("sleep", 60), once[1], ("allocate", 9000), 2, ("raise",), 3]
    found = map_items(dies_once, items, compute("ray"), timeout_seconds=8, memory_mb=2000)
    outcomes = list(islice(found, 8))
    assert [outcome.value for outcome in outcomes] == [0, once[0], 1, None, None, once[1], None, 2]
    assert [outcome.failure.code for outcome in outcomes if outcome.failure] == ["crash", "timeout", "memory"]
    assert all((tmp_path / str(number)).exists() for number in range(2))
    with pytest.raises(ConfigurationError, match="asked to"):
        next(found)
    assert children() <= before, "a process or a zombie is left"


def test_a_lost_head_ends_the_stage_and_a_rerun_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest on Ray; the head is killed when some sources are cut. Then again, and the same as with processes."""
    before = children()
    root, other = tmp_path / "root", tmp_path / "other"
    make_project(root)
    shutil.copytree(root, other)
    ingest.run(config(2, "process"), Paths(other))

    def kill_head(function: Any, items: Any, compute_config: Any, **options: Any) -> Any:
        for number, outcome in enumerate(map_items(function, items, compute_config, **options)):
            yield outcome
            if options and number == 2:
                family = psutil.Process().children(recursive=True)
                [head] = [process for process in family if "gcs_server" in process.name()]
                head.kill()

    with monkeypatch.context() as patch:
        patch.setattr(reading, "map_items", kill_head)
        patch.setattr(reading, "cut_sources", cut_slowly)
        with pytest.raises(StorageError, match="Ray: the cluster is lost") as caught:
            ingest.run(config(1, "ray"), Paths(root))
        assert caught.value.exit_status == 4
    assert children() <= before, "a process or a zombie is left"
    figures = ingest.run(config(2, "ray"), Paths(root))
    assert 0 < figures["decoded_now"] < 9, "what was cut before is not cut again"
    assert outputs(root) == outputs(other)
