"""Cycles of retraining on a dataset that grows: one promotes, one keeps the champion, a broken one changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.release import champions
from tests.support.retraining_project import cycle, draw_videos, list_videos, make_project, set_values
from walt.core.errors import WaltError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.nn.pretrained import weights_digest
from walt.project.runner import load_params
from walt.tracking.given_models import given_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A project whose first release took the alias. To be copied."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(empty_database, root / "mlflow.db")
    make_project(root)
    draw_videos(root, 80)
    list_videos(root, 24)
    plan, said = cycle(root)
    assert plan.said == "no release is champion yet: everything is made as params.yaml says"
    assert "walt-base version 1 becomes champion" in said
    return root


def test_cycles_of_retraining(champion: Path) -> None:
    root, before = champion, (champion / "params.yaml").read_bytes()

    # below the threshold: nothing
    list_videos(root, 26)
    models = {name: read_json(Paths(root).work(name) / "result.json") for name in ("train-base", "evaluate")}
    plan, _ = cycle(root)
    assert not plan.go
    new = int(plan.said.split()[0])
    assert 0 < new < 6
    assert plan.said == f"{new} new clips, the rule wants 6: nothing to do"
    assert (root / "params.yaml").read_bytes() == before
    assert models == {name: read_json(Paths(root).work(name) / "result.json") for name in models}

    # above: latents of the new clips only, the base goes on from the champion, and is better
    list_videos(root, 40)
    plan, said = cycle(root)
    assert plan.go
    assert "the rule wants 6: the models go on from version 1, the champion" in plan.said
    assert "walt-base version 2 becomes champion: held_out_loss/base" in said
    assert champions(root)["base"] == "2"
    params = load_params(root)
    assert params.train_base.initial_weights == "models:/walt-base/1"
    assert params.train_base.steps == 200
    assert params.train_autoencoder.frozen == "models:/walt-autoencoder/1"
    assert params.resume.if_different == "refuse", "the user's"
    encoded = read_json(Paths(root).work("encode-video") / "result.json")
    assert 0 < encoded["reused"] < encoded["tars"]
    given = given_model(params.tracking, root, "models:/walt-autoencoder/1", root / "scratch").folder
    assert weights_digest(given) == weights_digest(Paths(root).autoencoder)

    # a challenger that learns nothing: the champion stays, and so do the settings
    set_values(root, train_base__optimizer__learning_rate=1e-12, retrain__steps=2)
    before = (root / "params.yaml").read_bytes()
    list_videos(root, 60)
    plan, said = cycle(root)
    assert "the models go on from version 2, the champion" in plan.said
    assert "walt-base version 3 does not become champion" in said
    assert champions(root)["base"] == "2"
    assert (root / "params.yaml").read_bytes() == before

    # the clips that it was tried with are not new any more
    plan, _ = cycle(root)
    assert plan.said == "0 new clips, the rule wants 6: nothing to do"

    # a broken challenger: alias, settings and model stay
    set_values(root, train_base__optimizer__learning_rate=1e30)
    before, model = (root / "params.yaml").read_bytes(), (Paths(root).base / "model.safetensors").read_bytes()
    list_videos(root, 80)
    with pytest.raises(WaltError) as caught:
        cycle(root)
    assert caught.value.exit_status == 7
    assert champions(root)["base"] == "2"
    assert (root / "params.yaml").read_bytes() == before
    assert (Paths(root).base / "model.safetensors").read_bytes() == model
