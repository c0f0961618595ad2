"""Stages of a table's runs: shared, gone on with, and run again exactly where something changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.table_project import FakeStages, use_fake_stages
from walt.commands.table import stage_folders
from walt.commands.table.cells import Cell, cells
from walt.commands.table.stage_folders import StageFolders
from walt.commands.table.table_file import ScaleName, load_scale, load_table
from walt.core.errors import StorageError
from walt.core.paths import ARTIFACTS

LAST = "evaluate"


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    """They take no time."""
    fake = FakeStages()
    use_fake_stages(monkeypatch, fake)
    return fake


def of_table(name: str, seeds: tuple[int, ...] = (0,), scale: ScaleName = "demo") -> list[Cell]:
    return cells(load_table(name), scale, load_scale(scale), seeds, None)


def run_all(root: Path, wanted: list[Cell]) -> list[Path]:
    folders = StageFolders(root)
    found = []
    for cell in wanted:
        folders.read_sources(cell)
        found.append(folders.run(cell, LAST))
    return found


@pytest.mark.slow
def test_runs_share_what_their_settings_do_not_change(stages: FakeStages, tmp_path: Path) -> None:
    """Four rows of self-conditioning with two seeds: one autoencoder, eight trainings."""
    folders = run_all(tmp_path, of_table("3c", (0, 1)))
    assert len(set(folders)) == 8
    assert {name: stages.count(name) for name in ("ingest", "train-autoencoder", "encode-video", "encode-text")} == {
        "ingest": 1, "train-autoencoder": 1, "encode-video": 1, "encode-text": 1,
    }  # fmt: skip
    assert [stages.count(name) for name in ("train-base", "sample", "evaluate")] == [8, 8, 8]


@pytest.mark.slow
def test_two_tables_share_the_rows_that_are_the_same(stages: FakeStages, tmp_path: Path) -> None:
    run_all(tmp_path, of_table("3a"))
    before = stages.count("train-base")
    run_all(tmp_path, of_table("3e"))
    assert stages.count("train-base") - before == 3  # four rows, one of which is patch size 1


def test_a_row_with_other_latents_has_encoded_its_own(stages: FakeStages, tmp_path: Path) -> None:
    run_all(tmp_path, of_table("3e"))
    assert stages.count("encode-video") == 2
    assert stages.count("train-autoencoder") == 1


@pytest.mark.slow
def test_what_has_ended_is_not_run_again_but_the_sources_are_looked_at(stages: FakeStages, tmp_path: Path) -> None:
    first = run_all(tmp_path, of_table("3a"))
    before = list(stages.ran)
    assert run_all(tmp_path, of_table("3a")) == first
    assert stages.ran[len(before) :] == ["ingest"]


@pytest.mark.slow
def test_new_clips_make_all_again(stages: FakeStages, tmp_path: Path) -> None:
    first = run_all(tmp_path, of_table("3a"))
    stages.clips = "second"
    assert set(run_all(tmp_path, of_table("3a"))).isdisjoint(first)


@pytest.mark.slow
def test_a_run_that_broke_off_goes_on_in_its_folder(stages: FakeStages, tmp_path: Path) -> None:
    wanted, failing = of_table("3a"), [True]
    stages.fails = lambda stage, data: stage.name == "sample" and data["base"]["patch_size"] == 2 and bool(failing)
    with pytest.raises(StorageError):
        run_all(tmp_path, wanted)
    done, _ = stages.count("train-base"), failing.pop()
    assert done == 2
    folders = run_all(tmp_path, wanted)
    assert stages.count("train-base") == 3
    assert stages.count("sample") == 4  # one broke off
    assert len(set(folders)) == 3


@pytest.mark.slow
def test_a_changed_setting_makes_its_runs_again(stages: FakeStages, tmp_path: Path) -> None:
    wanted = of_table("3a")
    run_all(tmp_path, wanted)
    row = wanted[1].row.model_copy(update={"settings": {**wanted[1].row.settings, "sample": {"steps": 3}}})
    table = load_table("3a").model_copy(update={"rows": (wanted[0].row, row, wanted[2].row)})
    before = list(stages.ran)
    run_all(tmp_path, cells(table, "demo", load_scale("demo"), (0,), None))
    assert stages.ran[len(before) :] == ["ingest", "sample", "evaluate"]


@pytest.mark.slow
def test_other_code_is_another_folder(
    stages: FakeStages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    wanted = of_table("3a")
    run_all(tmp_path, wanted)
    before = list(stages.ran)
    real = stage_folders.code_digest
    edited = "walt.stages.sample"
    monkeypatch.setattr(stage_folders, "code_digest", lambda module: "new" if module == edited else real(module))
    run_all(tmp_path, wanted)
    assert stages.ran[len(before) :] == ["ingest", *["sample", "evaluate"] * 3]


@pytest.mark.slow
def test_an_output_that_is_gone_is_made_again(stages: FakeStages, tmp_path: Path) -> None:
    wanted = of_table("3a")[:1]
    (folder,) = run_all(tmp_path, wanted)
    (folder / ARTIFACTS["evaluation"]).unlink()
    before = list(stages.ran)
    run_all(tmp_path, wanted)
    assert stages.ran[len(before) :] == ["ingest", "evaluate"]


@pytest.mark.slow
def test_the_folders_stay_right_where_the_project_is_moved(stages: FakeStages, tmp_path: Path) -> None:
    wanted = of_table("3a")
    run_all(tmp_path / "here", wanted)
    (tmp_path / "here").rename(tmp_path / "there")
    before = list(stages.ran)
    run_all(tmp_path / "there", wanted)
    assert stages.ran[len(before) :] == ["ingest"]
    broken = [link for link in (tmp_path / "there").rglob("*") if link.is_symlink() and not link.exists()]
    assert not broken


@pytest.mark.slow
def test_a_changed_class_list_or_takedown_is_another_ingest(stages: FakeStages, tmp_path: Path) -> None:
    first = run_all(tmp_path, of_table("3a")[:1])
    (tmp_path / "datasets/takedowns").mkdir(parents=True)
    (tmp_path / "datasets/takedowns/one.yaml").write_text("a: 1")
    assert run_all(tmp_path, of_table("3a")[:1]) != first
