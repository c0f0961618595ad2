"""The run of a release: what a person compares, in one row, for every release under the same names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run as MlflowRun

from tests.support.tracking import CONFIG, DOWN
from walt.evaluation.resampling import share_figure
from walt.media.images import png_bytes
from walt.tracking import server
from walt.tracking.models import promote
from walt.tracking.promotion import BetterBeyondChance
from walt.tracking.release_runs import DECISION_TAG, NOTE_TAG, PARENT_TAG, RELEASE_TAG, STAGE
from walt.tracking.releases import METRIC_TAG, release_digests
from walt.tracking.runs import deliver, start_run

Model = Callable[[str, bytes], Path]
SETTINGS = {"seed": 0, "sample": {"steps": 25}, "evaluate": {"real_clips": 8}, "protocol": "demo (0a)"}


def train(root: Path, name: str, folder: Path, rate: float, loss: float) -> None:
    params = {"seed": 0, "training": {"steps": 4, "optimizer": {"learning_rate": rate}}}
    with start_run(CONFIG, root, f"train-{name}", params, {}) as run:
        run.log_metrics({"loss": 2 * loss, "lr": rate}, 2)
        run.log_metrics({"loss": loss, "loss/band_0": 1.0, "lr": rate}, 4)
        run.register_model(folder, name)


def evaluate(root: Path, folders: dict[str, Path], value: float, config: Any = CONFIG, seed: int = 0) -> None:
    samples = root / "some samples"
    samples.mkdir(exist_ok=True)
    (samples / "00000.mp4").write_bytes(b"video")
    (samples / "00000.png").write_bytes(png_bytes(np.zeros((4, 8, 3), np.uint8)))
    with start_run(config, root, "evaluate", SETTINGS, {}) as run:
        figures = {
            "adherence/both": (value, f"{value} [0.1, 1]", "on"),
            "held_out_loss/base/band_00": (0.5, "0.5 [0, 1]", "on"),
        }
        run.log_release(release_digests(folders), {**SETTINGS, "seed": seed}, figures, samples, "its digest")


def runs(root: Path, stage: str) -> list[MlflowRun]:
    connection = server.connect(CONFIG, root)
    query = f"tags.stage = '{stage}'"
    return list(connection.client.search_runs([connection.experiment_id], query, order_by=["attribute.start_time"]))


@pytest.mark.slow
def test_a_release_is_a_run_with_figure_and_cause_and_the_stages_below_it(root: Path, model: Model) -> None:
    folders = {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"a")}
    train(root, "autoencoder", folders["autoencoder"], 1e-3, 0.01)
    train(root, "base", folders["base"], 2e-3, 0.25)
    evaluate(root, folders, 0.75)
    [release], [evaluation] = runs(root, STAGE), runs(root, "evaluate")
    client = server.connect(CONFIG, root).client
    assert release.info.run_name == "release walt-base/1"
    assert release.info.status == "FINISHED"
    assert release.data.metrics == {
        "adherence/both": 0.75, "held_out_loss/base/band_00": 0.5, "train/base/loss": 0.25,
        "train/autoencoder/loss": 0.01,
    }  # fmt: skip
    causes = {
        "seed": "0", "sample.steps": "25", "evaluate.real_clips": "8", "protocol": "demo (0a)", "models.walt-base": "1",
        "models.walt-autoencoder": "1", "base.training.optimizer.learning_rate": "0.002",
        "autoencoder.training.optimizer.learning_rate": "0.001", "base.seed": "0",
    }  # fmt: skip
    assert causes.items() <= release.data.params.items()
    assert causes.items() <= evaluation.data.params.items()
    assert release.data.tags["version.walt-base"] == "1"
    for run in (evaluation, *runs(root, "train-base"), *runs(root, "train-autoencoder")):
        assert run.data.tags[PARENT_TAG] == release.info.run_id
    files = {file.path for file in client.list_artifacts(release.info.run_id)}
    assert files == {"00000.mp4", "00000.png", "images"}
    pictures = [file.path for file in client.list_artifacts(release.info.run_id, "images")]
    assert [path.split("+")[0] for path in pictures if path.endswith(".png")] == ["images/samples~00000"]
    assert "adherence/both: 0.75 [0.1, 1]\n\nProtocol: demo (0a).\n" in release.data.tags[NOTE_TAG]


def test_a_version_says_what_it_is_and_reached_before_any_promotion(root: Path, model: Model) -> None:
    folders = {"base": model("base", b"1"), "autoencoder": model("autoencoder", b"a")}
    train(root, "base", folders["base"], 2e-3, 0.25)
    train(root, "autoencoder", folders["autoencoder"], 1e-3, 0.01)
    evaluate(root, folders, 0.75)
    version = server.connect(CONFIG, root).client.get_model_version("walt-base", "1")
    release = runs(root, STAGE)[0].data.tags[RELEASE_TAG]
    assert version.description.startswith(
        f"Part of the release {release}, with walt-autoencoder version 1. Trained for 4"
    )
    assert version.description.endswith(
        "By the protocol demo (0a), in brackets intervals of 95 %, its release reached: adherence/both 0.75 [0.1, 1]."
    )
    assert version.tags[METRIC_TAG + "adherence/both"] == "0.75 [0.1, 1]"


@pytest.mark.slow
def test_doing_it_again_changes_nothing_and_other_settings_are_another_row(root: Path, model: Model) -> None:
    folders = {"base": model("base", b"1")}
    train(root, "base", folders["base"], 2e-3, 0.25)
    evaluate(root, folders, 0.75)
    evaluate(root, folders, 0.75)
    [release] = runs(root, STAGE)
    assert [run.data.tags[PARENT_TAG] for run in runs(root, "evaluate")] == [release.info.run_id] * 2
    images = server.connect(CONFIG, root).client.list_artifacts(release.info.run_id, "images")
    assert len([file for file in images if file.path.endswith(".png")]) == 1
    evaluate(root, folders, 0.5, seed=7)
    assert [run.data.metrics["adherence/both"] for run in runs(root, STAGE)] == [0.75, 0.5]
    assert runs(root, "train-base")[0].data.tags[PARENT_TAG] == release.info.run_id


@pytest.mark.slow
def test_a_model_that_two_releases_share_stays_below_the_first(root: Path, model: Model) -> None:
    autoencoder = model("autoencoder", b"a")
    train(root, "autoencoder", autoencoder, 1e-3, 0.01)
    for number, rate in ((b"1", 2e-3), (b"2", 1e-3)):
        base = model("base", number)
        train(root, "base", base, rate, 0.25)
        evaluate(root, {"base": base, "autoencoder": autoencoder}, 0.75)
    first, second = runs(root, STAGE)
    assert [run.info.run_name for run in (first, second)] == ["release walt-base/1", "release walt-base/2"]
    assert second.data.params["autoencoder.training.optimizer.learning_rate"] == "0.001"
    assert second.data.params["base.training.optimizer.learning_rate"] == "0.001"
    assert runs(root, "train-autoencoder")[0].data.tags[PARENT_TAG] == first.info.run_id
    assert {run.data.tags[PARENT_TAG] for run in runs(root, "train-base")} == {first.info.run_id, second.info.run_id}


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_is_asked_once")
def test_what_mlflow_could_not_take_is_delivered_later(root: Path, model: Model) -> None:
    folders = {"base": model("base", b"1")}
    train(root, "base", folders["base"], 2e-3, 0.25)
    evaluate(root, folders, 0.75, DOWN)
    assert not runs(root, STAGE)
    deliver(CONFIG, root)
    [release] = runs(root, STAGE)
    assert release.data.metrics["adherence/both"] == 0.75
    assert runs(root, "evaluate")[0].data.tags[PARENT_TAG] == release.info.run_id


@pytest.mark.slow
def test_the_decision_is_on_the_releases_run(root: Path, model: Model) -> None:
    folders = {"base": model("base", b"1")}
    evaluate(root, folders, 0.75)
    rule = BetterBeyondChance(
        rule="better_beyond_chance", alias="champion", metric="adherence/both", better="higher", margin=1.5, guards=(),
        floor=None,
    )  # fmt: skip
    figure = share_figure([True, False, True], {})
    content = {"models": release_digests(folders), "figures": {"adherence/both": figure.as_json()}}
    said = promote(CONFIG, rule, root, folders, content, lambda _: {})
    assert said.startswith("walt-base version 1 becomes champion")
    assert runs(root, STAGE)[0].data.tags[DECISION_TAG] == said
