"""An extractor that cannot take the videos is found before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.pretrained import NeedsTenFrames
from walt.commands import check
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import Paths
from walt.project.extractor_fit import check_evaluated_form, made_form
from walt.project.params import Params
from walt.project.recipes import load_recipe, recipe_text
from walt.project.registry import STAGES, get_stage
from walt.project.runner import load_params, run_stage

GUARDS = """  guards: # metrics that may not be worse by more than half of that
    - {metric: adherence/shape, better: higher}
    - {metric: frechet_distance/random_network, better: lower}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The tiny recipe, whose clips have nine frames, evaluated by a network that needs ten."""
    torch.jit.save(torch.jit.script(NeedsTenFrames()), str(tmp_path / "i3d.pt"))
    text = recipe_text("tiny")
    for old, new in (
        ("features: null", "features: i3d"), (GUARDS, "  guards: []\n"),
        ("networks: {}", f"networks: {{i3d: {{path: i3d.pt, sha256: {sha256_file(tmp_path / 'i3d.pt')}}}}}"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    return tmp_path


REFUSED = r"^evaluate: i3d cannot measure clips of 9 frames of 64x128: .*Kernel size: \(10 x.*; ingest\.num_frames and"


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES if stage.resumes or stage.name == "sample"])
def test_no_training_begins(stage: str, project: Path) -> None:
    with pytest.raises(ConfigurationError, match=REFUSED):
        run_stage(get_stage(stage), project)
    assert not Paths(project).work(stage).exists()


def test_a_changed_file_and_a_missing_one_are_found_too(project: Path) -> None:
    with (project / "i3d.pt").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(CorruptArtifactError, match="sha256"):
        run_stage(get_stage("train-base"), project)
    (project / "i3d.pt").unlink()
    with pytest.raises(ConfigurationError, match=r"evaluate\.networks\.i3d\.path: no file"):
        run_stage(get_stage("train-base"), project)


def test_check_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(check, "check_dataset", lambda *_: None)
    monkeypatch.setattr(check.pipeline, "check", lambda *_: None)
    with pytest.raises(ConfigurationError, match=REFUSED):
        check.command()


def test_long_enough_clips_are_taken(project: Path) -> None:
    params = load_params(project)
    longer = params.model_copy(update={"ingest": params.ingest.model_copy(update={"num_frames": 17})})
    check_evaluated_form(longer, project)


def _without(params: Params, *names: str) -> Params:
    return params.model_copy(update=dict.fromkeys(names))


def test_the_form_is_that_of_the_final_videos() -> None:
    demo = load_recipe("demo")
    assert made_form(demo) == (17, (64, 64))
    assert made_form(_without(demo, "sr_2x", "train_sr_2x")) == (17, (32, 32))
    alone = demo.model_copy(update={"sample": demo.sample.model_copy(update={"cascade": False})})
    assert made_form(alone) == (17, (32, 32))
    assert made_form(load_recipe("imagenet")) == (1, (256, 256))
    assert made_form(load_recipe("tiny")) == (9, (64, 128)), "after the model of another shape"
