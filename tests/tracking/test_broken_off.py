"""What is written to MLflow and killed before any of its writes is, when it is done again, as if nothing had been."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from tests.support.tracking import CONFIG, DOWN
from tests.support.watched_writes import announce
from walt.media.images import png_bytes
from walt.tracking import server
from walt.tracking.imported import register_imported
from walt.tracking.releases import release_digests
from walt.tracking.runs import deliver, start_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mlflow_is_asked_once")]

WRITES = (
    "create_registered_model", "create_logged_model", "log_model_artifacts", "finalize_logged_model",
    "create_model_version", "set_logged_model_tags", "set_model_version_tag", "update_model_version", "create_run",
    "log_batch", "log_inputs", "log_artifact", "log_artifacts", "log_image", "set_tag", "update_run", "set_terminated",
)  # fmt: skip
_VOLATILE = re.compile(r"[0-9a-f]{32}")
_ITS_OWN = {"mlflow.user", "walt.origin"}


class Killed(BaseException):
    """Nothing is written any more, as after ``kill -9``."""


@pytest.fixture
def folders(root: Path) -> dict[str, Path]:
    """A release of two models."""
    made = {}
    for name in ("base", "autoencoder"):
        made[name] = root / "models" / name
        made[name].mkdir(parents=True)
        (made[name] / "model.safetensors").write_bytes(name.encode())
        (made[name] / "config.json").write_text("{}")
    return made


def train(root: Path, folders: dict[str, Path], config: Any = CONFIG) -> None:
    (root / "grid.png").write_bytes(png_bytes(np.zeros((4, 8, 3), np.uint8)))
    (root / "dvc.yaml").write_text("stages:\n  train-base: {cmd: x, deps: [data], outs: [models/base]}\n")
    (root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  encode-video:\n    cmd: x\n    outs:\n    - {path: data, hash: md5, md5: 4fa1.dir}\n"
    )
    with start_run(config, root, "train-base", {"seed": 1, "training": {"steps": 2}}, {"who": "a test"}) as run:
        run.log_metrics({"loss": 0.5}, 1)
        run.log_artifact(root / "grid.png", "samples")
        run.log_picture(root / "grid.png", "grid", 1)
        run.log_metrics({"loss": 0.25}, 2)
        run.register_model(folders["base"], "base")


def evaluate(root: Path, folders: dict[str, Path]) -> None:
    samples = root / "videos"
    samples.mkdir(exist_ok=True)
    for name in ("00000", "00001"):
        (samples / f"{name}.mp4").write_bytes(b"video")
        (samples / f"{name}.png").write_bytes(png_bytes(np.zeros((4, 8, 3), np.uint8)))
    with start_run(CONFIG, root, "evaluate", {"seed": 0}, {}) as run:
        figures = {"adherence/both": (0.75, "0.75 [0.1, 1]", "on")}
        run.log_release(release_digests(folders), {"seed": 0}, figures, samples, "its digest")


def train_and_evaluate(root: Path, folders: dict[str, Path]) -> None:
    """A training that ended is not begun again."""
    if not (root / "trained").is_file():
        train(root, folders)
        (root / "trained").touch()
    evaluate(root, folders)


def take_in(root: Path, folders: dict[str, Path]) -> None:
    register_imported(CONFIG, root, folders, {"from": "someone/model"})


def train_away_from_mlflow(root: Path, folders: dict[str, Path]) -> None:
    """The figures of a run are on disk, and are delivered by the next."""
    if not (root / "trained").is_file():
        train(root, folders, DOWN)
        (root / "trained").touch()
    deliver(CONFIG, root)


def registry(root: Path) -> dict[str, Any]:
    """All that MLflow has, without names and moments that it chooses itself."""
    connection = server.connect(CONFIG, root)
    client = connection.client
    runs = client.search_runs([connection.experiment_id], run_view_type=ViewType.ALL)
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = {f"run {number}": _run(client, run, names) for number, run in enumerate(sorted(runs, key=_name))}
    for model in client.search_registered_models():
        for version in client.search_model_versions(f"name = '{model.name}'"):
            logged = client.get_logged_model(version.tags["walt.model"]) if "walt.model" in version.tags else None
            found[f"{model.name}/{version.version}"] = {
                "aliases": version.aliases, "said": _VOLATILE.sub("ID", version.description or ""),
                "tags": {key: _VOLATILE.sub("ID", value) for key, value in version.tags.items() if key != "walt.model"},
                "run": names.get(version.run_id),
                "linked": None if logged is None else (str(logged.status), logged.tags.get("mlflow.modelVersions")),
            }  # fmt: skip
    return found


def _run(client: MlflowClient, run: Run, names: dict[str, str]) -> dict[str, Any]:
    curves = {
        key: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, key)] for key in run.data.metrics
    }
    tags = {key: names.get(value, _VOLATILE.sub("ID", value)) for key, value in run.data.tags.items()}
    inputs = sorted((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs)
    files = set(_files(client, run.info.run_id, ""))  # half a picture may stay beside the whole one
    said = {key: value for key, value in tags.items() if key not in _ITS_OWN}
    return {
        "name": run.info.run_name, "status": run.info.status, "params": run.data.params, "curves": curves, "tags": said,
        "inputs": inputs, "files": files,
    }  # fmt: skip


def _name(run: Run) -> str:
    return str(run.info.run_name)


def _files(client: MlflowClient, run_id: str, folder: str) -> Iterator[str]:
    for file in client.list_artifacts(run_id, folder):
        if file.is_dir:
            yield from _files(client, run_id, file.path)
        else:
            yield re.sub(r"\+\d{13}\+[^.]*", "", file.path)


@pytest.mark.parametrize(
    ("work", "every"), [(train, 2), (take_in, 2), (train_away_from_mlflow, 4), (train_and_evaluate, 6)]
)
def test_killed_before_any_write_and_done_again(
    work: Callable[[Path, dict[str, Path]], None], every: int, root: Path, folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    undisturbed = another(root, "undisturbed")
    work(undisturbed, {name: undisturbed / "models" / name for name in folders})
    expected = registry(undisturbed)
    for number in range(1, 100, every):
        place = another(root, str(number))  # MLflow keeps a database open by its name
        own = {name: place / "models" / name for name in folders}
        if not killed(partial(work, place, own), number, monkeypatch):
            break
        work(place, own)
        found = registry(place)
        assert found.keys() == expected.keys(), f"killed before write {number}"
        for name, content in expected.items():
            assert found[name] == content, f"killed before write {number}"
        shutil.rmtree(place)
    assert 5 < number < 99


def another(root: Path, name: str) -> Path:
    """A copy of the project as it was before any work."""
    return shutil.copytree(root, root.with_name(f"{root.name}-{name}"))


def killed(work: Callable[[], None], number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether ``work`` came as far as this write to MLflow, counted from 1, before which it was killed."""
    ended = False

    def act(made: int) -> None:
        nonlocal ended
        ended = ended or made == number
        if ended:
            raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        announce([(MlflowClient, name) for name in WRITES], act, patch)
        work()
    return ended
