"""Experiments of DVC in a copy of the project: what they track is in the project, not in the copy that is removed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.tracking import CONFIG
from walt.tracking import server
from walt.tracking.experiments import NAME_TAG, lasting_root
from walt.tracking.runs import start_run
from walt.tracking.spool import spool_folder

COPIES = (".dvc/tmp/exps/standalone/tmpa1b2", ".dvc/tmp/exps/tmpa1b2", ".dvc/tmp/exps/standalone/tmpa1b2/sub/project")


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_belongs_to_the_project_that_it_was_made_from(tmp_path: Path, copy: str) -> None:
    assert lasting_root(tmp_path / copy) == tmp_path
    assert spool_folder(tmp_path / copy) == tmp_path / "work/tracking"
    for other in (tmp_path, tmp_path / "exps/tmpa1b2", tmp_path / ".dvc/tmp/exps"):
        assert lasting_root(other) == other


@pytest.mark.slow
def test_runs_and_models_of_a_copy_are_in_the_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = root / COPIES[0]
    (copy / "model").mkdir(parents=True)
    (copy / "model/config.json").write_text("{}")
    monkeypatch.setenv("DVC_EXP_NAME", "whole-kite")
    with start_run(CONFIG, copy, "train-base", {"seed": 1}, {}) as run:
        run.register_model(copy / "model", "base")
    shutil.rmtree(copy)
    connection = server.connect(CONFIG, root)
    (found,) = connection.client.search_runs([connection.experiment_id])
    assert found.data.tags[NAME_TAG] == "whole-kite"
    (version,) = connection.client.search_model_versions()
    assert len(list((root / "mlartifacts").rglob("config.json"))) == 1
    assert version.run_id == found.info.run_id


_STAGE = """
import sys
from pathlib import Path
from tests.support.tracking import CONFIG
from walt.tracking.runs import start_run
with start_run(CONFIG, Path.cwd(), "train-base", {"seed": Path("seed.yaml").read_text()}, {}) as run:
    run.log_metrics({"loss": 0.5}, step=1)
Path("out.json").write_text('{"loss": 0.5}')
"""


def _workers_lines(root: Path) -> str:
    return "\n".join(file.read_text() for file in (root / ".dvc/tmp/exps/celery").glob("*.out"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", ["--temp", "--queue"])
def test_a_real_experiment_in_a_copy_is_tracked_in_the_project(root: Path, tmp_path: Path, how: str) -> None:
    """That DVC makes its copies where they are looked for, and names experiments as is believed, only DVC can show."""
    commands = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # where a queue's worker is
    environment = {**os.environ, "PATH": commands, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    said = tmp_path / "said.txt"

    def call(*command: str) -> str:
        with open(said, "wb") as stream:  # no pipe: the worker of a queue would keep it open
            subprocess.run(command, cwd=root, env=environment, check=True, stdout=stream, stderr=subprocess.STDOUT)
        return said.read_text()

    (root / "stage.py").write_text(_STAGE)
    (root / "seed.yaml").write_text("seed: 1\n")
    (root / ".gitignore").write_text("mlflow.db*\n/mlartifacts/\n/work/\n/said.txt\n")
    stage = f"{{cmd: {sys.executable} stage.py, deps: [stage.py], params: [seed.yaml: [seed]], metrics: [out.json]}}"
    (root / "dvc.yaml").write_text(f"stages: {{train: {stage}}}\n")
    dvc = [sys.executable, "-m", "dvc"]
    call("git", "init", "-q")
    call(*dvc, "init", "-q")
    call("git", "add", "-A")
    call("git", "-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "first")
    call(*dvc, "exp", "run", how, "-q", "-n", "tried", "-S", "seed.yaml:seed=2")
    if how == "--queue":
        call(*dvc, "queue", "start", "-j", "1")
        try:
            patience = time.monotonic() + 300
            while not re.search("Success|Failed", status := call(*dvc, "queue", "status")):
                assert time.monotonic() < patience, f"{status}\n{_workers_lines(root)}"
                time.sleep(1)
        finally:
            call(*dvc, "queue", "stop")
        assert "Success" in status
    connection = server.connect(CONFIG, root)
    (run,) = connection.client.search_runs([connection.experiment_id])
    assert (run.data.tags[NAME_TAG], run.info.status) == ("tried", "FINISHED")
    assert run.data.params["seed"].strip() == "seed: 2"
    assert not list((root / ".dvc/tmp/exps").rglob("mlflow.db"))
    assert "tried" in call(*dvc, "exp", "show", "--csv")
