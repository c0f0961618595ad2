"""MLflow's database in the project: made by one process however many begin, and its paths follow the project."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.tracking import CONFIG
from tests.support.warm import WarmCommand
from walt.tracking import own_database, server
from walt.tracking.runs import start_run

REPOSITORY = Path(__file__).resolve().parents[2]


def test_while_one_process_connects_for_the_first_time_no_other_does(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that make MLflow's tables at once end with "duplicate column name"."""
    make, held = server._experiment_id, []

    def experiment_id(*arguments: Any) -> str:
        with open(root / "mlflow.db.lock") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(True)
        return make(*arguments)

    monkeypatch.setattr(server, "_experiment_id", experiment_id)
    server.connect(CONFIG, root)
    assert held
    with open(root / "mlflow.db.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


CONNECT = """
import sys
from pathlib import Path
from tests.support.tracking import CONFIG
from walt.tracking import server
import mlflow.store.tracking.sqlalchemy_store
print("ready", flush=True)
sys.stdin.readline()
print(server.connect(CONFIG, Path.cwd()).experiment_id)
"""


@pytest.mark.slow
def test_processes_that_begin_together_make_one_database(tmp_path: Path, warm_walt: WarmCommand) -> None:
    both = [
        subprocess.Popen(
            [warm_walt.python, "-c", CONNECT], cwd=tmp_path, text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    first, second = (printed.splitlines()[-1] for printed, _ in said)
    assert first == second, "the same experiment"


def tracked_project(root: Path) -> Path:
    """One run with an artifact, and one model version."""
    (root / "grid.png").write_bytes(b"png")
    (root / "model").mkdir()
    (root / "model/config.json").write_text("{}")
    with start_run(CONFIG, root, "train-base", {"seed": 1}, {}) as run:
        run.log_artifact(root / "grid.png", "samples")
        run.register_model(root / "model", "base")
    return root


def places(root: Path) -> list[str]:
    """Where MLflow looks for the artifacts of the project's runs and models."""
    connection = server.connect(CONFIG, root)
    runs = connection.client.search_runs([connection.experiment_id])
    versions = connection.client.search_model_versions()
    return [run.info.artifact_uri for run in runs] + [version.source for version in versions]


@pytest.mark.slow
@pytest.mark.parametrize("moved", [False, True], ids=["copied", "moved"])
def test_a_copied_project_reads_and_writes_its_own_artifacts(
    root: Path, tmp_path_factory: pytest.TempPathFactory, moved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_project(root)
    other = tmp_path_factory.mktemp("other") / "project"
    shutil.copytree(root, other)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and "mlflow.db" not in path.name}
    if moved:
        shutil.rmtree(root)
    assert all(place.startswith(f"file://{other}/mlartifacts/") for place in places(other))
    assert f"the project was {root} before" in " ".join(capsys.readouterr().out.split())
    connection = server.connect(CONFIG, other)
    (run,) = connection.client.search_runs([connection.experiment_id])
    assert [file.path for file in connection.client.list_artifacts(run.info.run_id, "samples")] == ["samples/grid.png"]
    with start_run(CONFIG, other, "train-base", {"seed": 2}, {}) as new:
        new.log_artifact(other / "grid.png", "samples")
    assert len(list((other / "mlartifacts").rglob("grid.png"))) == 2
    assert capsys.readouterr().out.count("before") == 0, "said once"
    if not moved:
        assert all(path.read_bytes() == content for path, content in before.items())
        assert all(place.startswith(f"file://{root}/mlartifacts/") for place in places(root))


@pytest.mark.slow
def test_artifacts_that_did_not_come_along_stay_where_they_are(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tracked_project(root)
    other = tmp_path_factory.mktemp("database-only")
    shutil.copy(root / "mlflow.db", other)
    assert all(place.startswith(f"file://{root}/mlartifacts/") for place in places(other))
    connection = server.connect(CONFIG, other)
    experiment = connection.client.get_experiment(connection.experiment_id)
    assert experiment.artifact_location == f"file://{other}/mlartifacts"


def test_a_database_outside_of_the_project_is_left_alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Several projects may share it."""
    tracked_project(root)
    other = tmp_path_factory.mktemp("sharing")
    (other / "mlartifacts").mkdir()
    shared = CONFIG.model_copy(update={"uri": f"sqlite:///{root}/mlflow.db"})
    assert server.connect(shared, other).experiment_id == server.connect(CONFIG, root).experiment_id
    assert all(place.startswith(f"file://{root}/mlartifacts/") for place in places(root))


def test_a_process_that_never_ends_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_database, "_PATIENCE_SECONDS", 0.1)
    with open(tmp_path / "mlflow.db.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(server.UnreachableError, match="held by another process"), server.errors():
            server.connect(CONFIG, tmp_path)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://db/mlflow"])
def test_a_server_is_left_alone(tmp_path: Path, uri: str) -> None:
    with own_database.prepared(uri, tmp_path, "walt"):
        pass
    assert not list(tmp_path.iterdir())
