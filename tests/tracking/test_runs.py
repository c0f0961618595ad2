"""Runs: what reaches MLflow, and what happens when nothing does."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG, DOWN, client_of, runs_of
from tests.support.warm import WarmCommand
from walt.core.errors import ConfigurationError, TerminatedError
from walt.tracking import runs, server
from walt.tracking.provenance import git_tags
from walt.tracking.runs import deliver, start_run
from walt.tracking.spool import REFUSED_SUFFIX, Spool, spool_folder

pytestmark = pytest.mark.usefixtures("mlflow_is_asked_once")


def test_a_run_has_parameters_curves_files_and_ends(root: Path) -> None:
    (root / "grid.png").write_bytes(b"png")
    params = {"seed": 1, "optimizer": {"learning_rate": 2e-3}, "sizes": [[32, 32]]}
    with start_run(CONFIG, root, "train-base", params, {"who": "a test"}) as run:
        for step in (20, 40):
            run.log_metrics({"loss": 1.0 / step, "lr": 0.1}, step)
        run.log_metrics({"broken": math.nan}, 40)
        run.log_artifact(root / "grid.png", "samples")
    [stored] = runs_of(root)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"seed": "1", "optimizer.learning_rate": "0.002", "sizes": "[[32, 32]]"}
    assert stored.data.tags["stage"] == "train-base"
    assert stored.data.tags["who"] == "a test"
    curve = client_of(root).get_metric_history(stored.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(20, 0.05), (40, 0.025)]
    assert [file.path for file in client_of(root).list_artifacts(stored.info.run_id, "samples")] == ["samples/grid.png"]
    assert not spool_folder(root).exists()


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (TerminatedError, "KILLED"), (KeyboardInterrupt, "KILLED")]
)
def test_the_status_says_how_it_ended(root: Path, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), start_run(CONFIG, root, "train-base", {}, {}):
        raise error("now")
    assert runs_of(root)[0].info.status == status


def test_the_database_and_the_files_are_in_the_project_not_in_the_current_folder(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    (root / "a.txt").write_text("a")
    with start_run(CONFIG, root, "evaluate", {}, {}) as run:
        run.log_artifact(root / "a.txt")
    assert list((root / "mlartifacts").rglob("a.txt"))
    assert not list(elsewhere.iterdir())


def test_inputs_are_tagged_with_the_hashes_of_dvc_lock(root: Path) -> None:
    (root / "dvc.yaml").write_text(
        "stages:\n  encode-video: {cmd: x, outs: [data/latents]}\n"
        "  train-base: {cmd: x, deps: [data/latents, walt/nn/layers.py], outs: [models/base]}\n"
    )
    (root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  encode-video:\n    cmd: x\n    outs:\n"
        "    - {path: data/latents, hash: md5, md5: 4fa1b2c3d4e5f60718293a4b5c6d7e8f.dir, size: 7, nfiles: 2}\n"
    )
    with start_run(CONFIG, root, "train-base", {}, {}):
        pass
    [stored] = runs_of(root)
    assert stored.data.tags["input/data/latents"] == "4fa1b2c3d4e5f60718293a4b5c6d7e8f.dir"
    assert [data.dataset.name for data in stored.inputs.dataset_inputs] == ["data/latents"]


def test_the_git_commit_is_tagged(root: Path) -> None:
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (root / "a.txt").write_text("a")
    subprocess.run([*git, "add", "a.txt"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    with start_run(CONFIG, root, "train-base", {}, {}):
        pass
    (root / "a.txt").write_text("b")
    with start_run(CONFIG, root, "train-base", {}, {}):
        pass
    tags = [run.data.tags for run in runs_of(root)]
    assert {tag["git.commit"] for tag in tags} == {commit}
    assert sorted(tag["git.dirty"] for tag in tags) == ["false", "true"]


@pytest.mark.slow
def test_system_metrics_are_watched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    with start_run(CONFIG.model_copy(update={"system_metrics": True}), root, "train-base", {}, {}) as run:
        history: list[object] = []
        while not history:
            assert run.run_id is not None
            history = client_of(root).get_metric_history(run.run_id, "system/cpu_utilization_percentage")


@pytest.mark.slow
def test_the_same_files_are_one_version(root: Path, model: Callable[[str, bytes], Path]) -> None:
    with start_run(CONFIG, root, "train-base", {}, {}) as run:
        assert run.register_model(model("base", b"one"), "base") == "1"
        assert run.register_model(model("base", b"one"), "base") == "1"
        assert run.register_model(model("base", b"two"), "base") == "2"
    version = client_of(root).get_model_version("walt-base", "2")
    files = [file.path for file in client_of(root).list_logged_model_artifacts(version.tags[server.MODEL_TAG])]
    assert sorted(files) == ["config.json", "model.safetensors"], "the files as they are, no pickled flavour"


@pytest.mark.slow
def test_mlflow_down_is_loud_stops_nothing_and_everything_is_delivered_once(
    root: Path, model: Callable[[str, bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "grid.png").write_bytes(b"png")
    with start_run(DOWN, root, "train-base", {"seed": 3}, {"who": "offline"}) as run:
        run.log_metrics({"loss": 0.5}, 10)
        run.log_artifact(root / "grid.png", "samples")
        assert run.register_model(model("base", b"one"), "base") is None
    said = capsys.readouterr().out
    assert "cannot be reached" in said
    assert "will be delivered when the next run starts" in said
    (root / "grid.png").unlink()  # what was logged is what is delivered
    model("base", b"later")

    with start_run(CONFIG, root, "evaluate", {}, {}):
        pass
    assert "delivered 5 records of 'train-base'" in capsys.readouterr().out
    [late] = [run for run in runs_of(root) if run.data.tags["stage"] == "train-base"]
    assert late.info.status == "FINISHED"
    assert late.data.params == {"seed": "3"}
    assert late.data.metrics == {"loss": 0.5}
    assert [file.path for file in client_of(root).list_artifacts(late.info.run_id, "samples")] == ["samples/grid.png"]
    version = client_of(root).get_model_version("walt-base", "1")
    assert version.tags[server.DIGEST_TAG] != server.folder_digest(root / "models" / "base")
    assert not list(spool_folder(root).iterdir())

    deliver(CONFIG, root)
    assert len(runs_of(root)) == 2, "delivered twice"


def test_mlflow_lost_in_the_middle_keeps_one_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, lost = runs.write_record, False

    def write(connection: server.Connection, run_id: str, record: dict[str, object]) -> str | None:
        if lost:
            raise ConnectionError("the tracking server went away")
        return real(connection, run_id, record)

    monkeypatch.setattr(runs, "write_record", write)
    with start_run(CONFIG, root, "train-base", {}, {}) as run:
        run.log_metrics({"loss": 3.0}, 1)
        lost = True
        run.log_metrics({"loss": 2.0}, 2)
        lost = False
        run.log_metrics({"loss": 1.0}, 3)  # into the spool as well: the curve keeps its order
    [stored] = runs_of(root)  # delivered when the run ended
    assert stored.info.status == "FINISHED"
    curve = client_of(root).get_metric_history(stored.info.run_id, "loss")
    assert [point.value for point in curve] == [3.0, 2.0, 1.0]


def test_a_delivery_that_breaks_off_is_repeated_without_doubles(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_run(DOWN, root, "train-base", {}, {}) as run:
        run.log_metrics({"loss": 2.0}, 1)
        run.log_metrics({"loss": 1.0}, 2)
    real, calls = runs.write_record, 0

    def write(connection: server.Connection, run_id: str, record: dict[str, object]) -> str | None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionError("again")
        return real(connection, run_id, record)

    monkeypatch.setattr(runs, "write_record", write)
    with pytest.raises(server.UnreachableError, match="again"):
        deliver(CONFIG, root)
    deliver(CONFIG, root)
    [stored] = runs_of(root)
    assert len(client_of(root).get_metric_history(stored.info.run_id, "loss")) == 2


@pytest.mark.slow
def test_what_a_killed_process_left_is_delivered_as_killed(root: Path, warm_walt: WarmCommand) -> None:
    _kill_in_a_run(warm_walt, root, "DOWN", {})
    [folder] = spool_folder(root).iterdir()
    with open(folder / "records.jsonl", "a", encoding="utf-8") as stream:
        stream.write('{"kind": "metr')  # cut while it was written
    deliver(CONFIG, root)
    [stored] = runs_of(root)
    assert stored.info.status == "KILLED"
    assert stored.data.metrics == {"loss": 0.5}


def test_a_spool_that_is_being_written_is_left_alone(root: Path) -> None:
    spool = Spool.create(root)
    spool.append({"kind": "run", "run_id": None})
    deliver(CONFIG, root)
    assert spool.folder.is_dir()
    assert not runs_of(root)


def test_what_mlflow_refuses_is_set_aside_and_blocks_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with start_run(DOWN, root, "train-base", {}, {}) as run:
        run.log_metrics({"a name*with?signs": 1.0}, 1)
    with start_run(CONFIG, root, "evaluate", {}, {}):
        pass
    assert "MLflow refuses what was kept on disk" in capsys.readouterr().out
    [aside] = spool_folder(root).iterdir()
    assert aside.name.endswith(REFUSED_SUFFIX)


@pytest.mark.slow
def test_a_refused_name_ends_no_training_and_leaves_no_run_open(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with start_run(CONFIG, root, "train-base", {}, {}) as run:
        run.log_metrics({"a name*with?signs": 1.0}, 1)
    assert "refuses this run's figures" in capsys.readouterr().out
    assert runs_of(root)[0].info.status == "FINISHED"
    assert [folder.suffix for folder in spool_folder(root).iterdir()] == [REFUSED_SUFFIX]


def test_a_run_that_is_deleted_meanwhile_ends_no_training(
    root: Path, model: Callable[[str, bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "grid.png").write_bytes(b"png")
    with start_run(CONFIG, root, "train-base", {}, {}) as run:
        assert run.run_id is not None
        client_of(root).delete_run(run.run_id)
        run.log_metrics({"loss": 1.0}, 1)
        run.log_artifact(root / "grid.png")
        assert run.register_model(model("base", b"one"), "base") is None
    said = capsys.readouterr().out
    assert "refuses this run's figures" in said
    assert "MLflow refuses what was kept on disk" in said
    [aside] = spool_folder(root).iterdir()
    assert aside.name.endswith(REFUSED_SUFFIX)


def test_a_deleted_experiment_ends_no_training(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connection = server.connect(CONFIG, root)
    connection.client.delete_experiment(connection.experiment_id)
    with start_run(CONFIG, root, "train-base", {}, {}) as run:
        run.log_metrics({"loss": 1.0}, 1)
    assert "refuses this run's figures" in capsys.readouterr().out
    assert [folder.suffix for folder in spool_folder(root).iterdir()] == [REFUSED_SUFFIX]


def _kill_in_a_run(warm_walt: WarmCommand, root: Path, config: str, params: dict[str, int]) -> None:
    """A process that dies with a figure logged; ``config`` is the name of one here."""
    code = (
        f"import os, signal; from pathlib import Path; from tests.support.tracking import {config}\n"
        "from walt.tracking.runs import start_run\n"
        f"with start_run({config}, Path({str(root)!r}), 'train-base', {params}, {{}}) as run:\n"
        "    run.log_metrics({'loss': 0.5}, 10)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([warm_walt.python, "-c", code], cwd=Path(__file__).parents[2], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL


def _kill_in_a_stored_run(warm_walt: WarmCommand, root: Path) -> None:
    _kill_in_a_run(warm_walt, root, "CONFIG", {"seed": 1})
    assert [run.info.status for run in runs_of(root)] == ["RUNNING"]


@pytest.mark.slow
def test_a_training_that_continues_after_a_kill_is_one_run(root: Path, warm_walt: WarmCommand) -> None:
    _kill_in_a_stored_run(warm_walt, root)
    with suppress(TerminatedError), start_run(CONFIG, root, "train-base", {"seed": 1}, {}) as run:
        run.log_metrics({"loss": 0.4}, 20)
        raise TerminatedError("now")
    [stored] = runs_of(root)
    assert stored.info.status == "KILLED"
    with start_run(DOWN, root, "train-base", {"seed": 1}, {}) as run:  # MLflow is away, but the run is known
        run.log_metrics({"loss": 0.3}, 30)
    deliver(CONFIG, root)
    [stored] = runs_of(root)
    assert stored.info.status == "FINISHED"
    curve = client_of(root).get_metric_history(stored.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(10, 0.5), (20, 0.4), (30, 0.3)]
    with start_run(CONFIG, root, "train-base", {"seed": 1}, {}):
        pass
    assert len(runs_of(root)) == 2, "a training that finished is not continued"


@pytest.mark.slow
def test_other_parameters_after_a_kill_are_another_run_and_the_first_is_closed(
    root: Path, warm_walt: WarmCommand
) -> None:
    _kill_in_a_stored_run(warm_walt, root)
    with start_run(CONFIG, root, "train-base", {"seed": 2}, {}):
        pass
    assert {run.data.params["seed"]: run.info.status for run in runs_of(root)} == {"1": "KILLED", "2": "FINISHED"}


@pytest.mark.slow
def test_a_run_that_was_deleted_after_a_kill_is_made_again(root: Path, warm_walt: WarmCommand) -> None:
    _kill_in_a_stored_run(warm_walt, root)
    client_of(root).delete_run(runs_of(root)[0].info.run_id)
    with start_run(CONFIG, root, "train-base", {"seed": 1}, {}):
        pass
    assert [run.info.status for run in runs_of(root)] == ["FINISHED"]


def test_a_git_that_does_not_answer_costs_only_its_tags(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr(subprocess, "run", hang)
    assert git_tags(root) == {}


def test_an_unknown_kind_of_uri_is_a_configuration_error(root: Path) -> None:
    config = CONFIG.model_copy(update={"uri": "mlruns"})
    with pytest.raises(ConfigurationError, match=r"tracking\.uri: 'mlruns'"), start_run(config, root, "x", {}, {}):
        pass
