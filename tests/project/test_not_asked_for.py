"""Stages that are run by hand, one after the other, without those that have nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.text_project import make_text_project, rows, write_no_captions
from walt.commands.run_stage import run_and_show
from walt.core.errors import StorageError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.data.manifest import write_manifest
from walt.project.recipes import load_recipe, recipe_text
from walt.project.registry import get_stage
from walt.project.runner import run_stage
from walt.stages import evaluate, report, sample, train_transformer

CORRECTION = "datasets/captions/mine.csv"


def project(root: Path, recipe: str) -> Paths:
    (root / "params.yaml").write_text(recipe_text(recipe), encoding="utf-8")
    return make_text_project(root)


def test_text_is_encoded_right_after_ingest(tmp_path: Path) -> None:
    paths = project(tmp_path, "tiny")
    assert load_recipe("tiny").caption is None
    assert not paths.captions.exists()
    assert run_stage(get_stage("encode-text"), tmp_path)["clips"] == 7
    assert not paths.captions.exists()


def test_also_where_captions_of_an_earlier_ingest_hold_nothing(tmp_path: Path) -> None:
    paths = project(tmp_path, "tiny")
    write_no_captions(paths)
    write_manifest(paths.manifest, [(0, rows()[:5])])
    assert run_stage(get_stage("encode-text"), tmp_path)["clips"] == 5


@pytest.mark.parametrize("asked_by", ["caption", CORRECTION])
def test_captions_that_are_asked_for_must_be_there_and_of_this_manifest(asked_by: str, tmp_path: Path) -> None:
    paths = project(tmp_path, "demo-uncaptioned" if asked_by == "caption" else "tiny")
    if asked_by == CORRECTION:
        (tmp_path / CORRECTION).parent.mkdir(parents=True)
        (tmp_path / CORRECTION).write_text(f"key,caption\n{rows()[0].key},a blue circle\n")
    encode_text = get_stage("encode-text")
    with pytest.raises(StorageError, match=r"data/captions: no captions were written; `walt caption` writes them"):
        run_stage(encode_text, tmp_path)
    write_no_captions(paths)
    write_manifest(paths.manifest, [(0, rows()[:5])])
    with pytest.raises(StorageError, match="the captions are of another manifest; `walt caption` writes them again"):
        run_stage(encode_text, tmp_path)
    assert not paths.text.exists()


@pytest.mark.parametrize("stage", ["train-base", "sample", "evaluate", "report"])
def test_models_that_are_null_need_no_stage(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = project(tmp_path, "ucf101")
    params = load_recipe("ucf101")
    assert params.aspect is None
    assert params.sr_4x is None
    assert params.base is not None
    _replace_work(monkeypatch, lambda *_: {})
    run_stage(get_stage(stage), tmp_path)
    assert is_left_out(paths.aspect)
    assert is_left_out(paths.sr_4x)
    assert not paths.base.exists()


def test_a_model_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = project(tmp_path, "ucf101")
    paths.aspect.mkdir(parents=True)
    _replace_work(monkeypatch, lambda *_: {})
    run_stage(get_stage("sample"), tmp_path)
    assert not list(paths.aspect.iterdir())


def test_ingest_leaves_no_models_out(tmp_path: Path) -> None:
    paths = project(tmp_path, "ucf101")
    with pytest.raises(Exception, match=r"ucf101|dataset"):
        run_stage(get_stage("ingest"), tmp_path)
    assert not paths.aspect.exists()


def test_advice_names_no_captions_that_nobody_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, "tiny").clips.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def miss(*_: object) -> dict[str, Any]:
        raise StorageError("models/autoencoder: no such folder")

    _replace_work(monkeypatch, miss)
    with pytest.raises(StorageError, match=r"models/autoencoder is what `walt train-autoencoder` makes"):
        run_and_show("sample")


def _replace_work(monkeypatch: pytest.MonkeyPatch, run: Callable[..., dict[str, Any]]) -> None:

    for module in (train_transformer, sample, evaluate, report):
        monkeypatch.setattr(module, "run", run)
