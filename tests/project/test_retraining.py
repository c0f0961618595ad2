"""Which clips are new, which settings a retraining has, and that ``params.yaml`` comes back. Cycles: end_to_end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.release import promoted
from tests.support.tiny_clips import clip_row
from tests.support.tracking import CONFIG, tag_taken_down
from walt.core.errors import ConfigurationError
from walt.core.storage import read_json, write_bytes
from walt.data.clip_table_writer import write_clip_rows
from walt.project import retraining
from walt.project.params import Params
from walt.project.recipes import load_recipe, recipe_text
from walt.project.retraining import Plan, begin, cycle_settings, end, restore
from walt.project.runner import load_params
from walt.tracking import server

ALL = {"base": "3", "sr-2x": "4", "sr-4x": "5", "aspect": "6", "autoencoder": "7", "text-encoder": "8"}


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    """A project whose champion was trained on four clips, of which two are held out."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    clips(tmp_path / "data/latents", 2)
    clips(tmp_path / "data/clips", 2)
    release(tmp_path, b"1", 20)
    return tmp_path


def clips(folder: Path, train: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [clip_row(f"t{number}", "video", "train", 0) for number in range(first, first + train)]
    write_clip_rows(folder, [*rows, *(clip_row(f"h{number}", "video", "held_out", 0) for number in range(2))])


def release(root: Path, weights: bytes, matches: int) -> str:
    folders = {}
    for name in ("base", "autoencoder", "text-encoder"):
        folders[name] = root / "models" / name
        folders[name].mkdir(parents=True, exist_ok=True)
        write_bytes(folders[name] / "model.safetensors", weights)
    return promoted(root, folders, matches)


def text_of(root: Path) -> str:
    return (root / "params.yaml").read_text()


def test_fewer_than_the_rule_wants_begin_nothing(root: Path) -> None:
    before = text_of(root)
    clips(root / "data/clips", 4, first=1)  # t0 is gone, t2 to t4 are new
    plan = begin(root)
    assert (plan.go, plan.said) == (False, "3 new clips (1 are gone), the rule wants 4: nothing to do")
    assert text_of(root) == before
    assert read_json(root / "work/retrain/plan.json")["go"] is False


@pytest.mark.slow
def test_enough_begin_one_from_the_champions_versions(root: Path) -> None:
    clips(root / "data/clips", 6)
    plan = begin(root)
    assert (plan.go, plan.said) == (
        True,
        "4 new clips, the rule wants 4: the models go on from version 1, the champion",
    )
    params = load_params(root)
    assert params.train_base.initial_weights == "models:/walt-base/1"
    assert params.train_autoencoder.frozen == "models:/walt-autoencoder/1"
    assert params.text is not None
    assert params.text.tiny.frozen == "models:/walt-text-encoder/1"
    assert params.resume.if_different == "afresh"
    assert params.train_sr_2x is not None
    assert params.train_sr_2x.initial_weights is None, "that is not part of the release"


def test_none_goes_on_from_a_release_that_saw_what_was_taken_down(root: Path) -> None:
    clips(root / "data/clips", 6)
    before = text_of(root)
    tag_taken_down(root, "walt-autoencoder", "1")
    with pytest.raises(ConfigurationError, match=r"was made with what was taken down .*a retraining goes on from it"):
        begin(root)
    assert text_of(root) == before


def test_a_share_counts_where_it_is_fewer() -> None:
    rule = load_recipe("tiny").retrain
    share = rule.model_copy(update={"new_share": 0.01, "new_clips": 500})
    assert [share.wanted(count) for count in (10, 1000, 10**6)] == [1, 10, 500]
    assert rule.wanted(10**6) == 4


def test_each_model_of_the_release_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    params: Params = load_recipe("tiny")
    settings = cycle_settings(params, ALL)
    assert settings == {
        "resume.if_different": "afresh",
        "train_base.initial_weights": "models:/walt-base/3",
        "train_base.steps": 400,
        "train_sr_2x.initial_weights": "models:/walt-sr-2x/4",
        "train_sr_2x.steps": 400,
        "train_sr_4x.initial_weights": "models:/walt-sr-4x/5",
        "train_sr_4x.steps": 400,
        "train_autoencoder.frozen": "models:/walt-autoencoder/7",
        "train_autoencoder.initial_weights": None,
        "text.tiny.frozen": "models:/walt-text-encoder/8",
    }
    thawed = params.model_copy(update={"retrain": params.retrain.model_copy(update={"freeze_autoencoder": False})})
    assert not any(key.startswith("train_autoencoder") for key in cycle_settings(thawed, ALL))


@pytest.mark.slow
def test_one_that_broke_off_leaves_params_as_they_were(root: Path) -> None:
    before = text_of(root)
    clips(root / "data/clips", 6)
    plan = begin(root)
    assert text_of(root) != before
    assert begin(root) == plan, "the next one counts by the settings of before"
    restore(root)
    assert text_of(root) == before
    restore(root)
    assert text_of(root) == before


@pytest.mark.slow
def test_what_a_person_edited_meanwhile_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = text_of(root)
    clips(root / "data/clips", 6)
    begin(root)
    edited = text_of(root).replace("seed: 0", "seed: 5", 1)
    (root / "params.yaml").write_text(edited)
    restore(root)
    assert text_of(root) == edited
    assert (root / "work/retrain/params.before.kept").read_text() == before
    assert "params.yaml was edited while a retraining ran, and stays" in "".join(capsys.readouterr())


@pytest.mark.slow
def test_the_end_keeps_the_settings_of_the_new_champion(root: Path) -> None:
    clips(root / "data/clips", 6)
    begin(root)
    clips(root / "data/latents", 6)
    assert "becomes champion" in release(root, b"2", 60)
    assert end(root) == "the new release is champion: params.yaml keeps the settings that it was made with"
    params = load_params(root)
    assert params.train_base.initial_weights == "models:/walt-base/1"
    assert params.resume.if_different == "refuse", "what becomes of checkpoints is the user's to say"
    assert begin(root).said == "0 new clips, the rule wants 4: nothing to do"


@pytest.mark.slow
def test_clips_that_a_challenger_lost_with_are_not_new_any_more(root: Path) -> None:
    before = text_of(root)
    clips(root / "data/clips", 6)
    begin(root)
    assert "does not become champion" in release(root, b"2", 21)
    assert end(root) == "champion stays as it was: params.yaml is as before"
    assert text_of(root) == before
    assert begin(root).said == "0 new clips, the rule wants 4: nothing to do"
    clips(root / "data/clips", 10)
    assert begin(root).said.startswith("4 new clips, the rule wants 4: the models go on from version 1")


@pytest.mark.slow
def test_settings_that_do_not_fit_are_refused_before_anything_changes(root: Path) -> None:
    clips(root / "data/clips", 6)
    text = text_of(root).replace("cuts: refuse", "cuts: &one refuse").replace("different: refuse", "different: *one")
    (root / "params.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"resume.if_different, .*: other keys share their values"):
        begin(root)
    assert text_of(root) == text


@pytest.mark.slow
def test_a_champion_of_an_earlier_version_makes_all_clips_new(root: Path) -> None:
    client = server.connect(CONFIG, root).client
    kept = [tag for tag in client.get_model_version("walt-base", "1").tags if tag.split(".")[:2] == ["walt", "release"]]
    assert len(kept) == 2, "of the release, and of the newest one"
    for tag in kept:
        client.delete_model_version_tag("walt-base", "1", tag)
    plan = begin(root)
    assert plan.said == "what version 1, the champion, was trained on is not recorded: all 2 clips are new"
    assert plan.go


def test_without_a_champion_everything_is_made_as_the_file_says(root: Path) -> None:
    before = text_of(root)
    server.connect(CONFIG, root).client.delete_registered_model_alias("walt-base", "champion")
    assert begin(root) == Plan(True, "no release is champion yet: everything is made as params.yaml says", {}, {})
    assert text_of(root) == before


def test_the_end_needs_a_beginning(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="no retraining has begun"):
        end(root)


def test_a_million_keys_are_compared_as_columns() -> None:
    known = pa.array([f"{number:032x}" for number in range(1000)])
    present = pa.array([f"{number:032x}" for number in range(500, 2000)])
    assert retraining.count_new(present, known) == 1000
    assert retraining.count_new(pa.array([], pa.string()), known) == 0
    assert retraining.count_new(present, pa.array([], pa.string())) == 1500
