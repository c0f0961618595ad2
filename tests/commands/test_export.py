"""``walt export data``: its options, and what ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.export_project import FACTS, ROWS, files_in, lines_of, row, write_params, write_project
from walt.cli import app
from walt.commands.export import LayoutName
from walt.core.errors import ConfigurationError
from walt.export.layouts import LAYOUTS


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> str:
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, ["export", *words], catch_exceptions=False)
    assert not result.exit_code, result.output
    return result.output


def test_the_command_exports_with_the_descriptors_facts(project: Path) -> None:
    printed = call("data", "out", "--as", "webdataset")
    assert "out: 11 clips in 4 files" in printed
    card = (project / "out/README.md").read_text(encoding="utf-8")
    assert f"# {FACTS.name}\n\n{FACTS.summary}\n\nLicence: {FACTS.licence}. Homepage: {FACTS.homepage}\n" in card
    assert {line["class_name"] for line in lines_of(project / "out/metadata.jsonl")} == {"dark", "bright"}


@pytest.mark.slow
def test_all_sizes_have_a_folder_each(project: Path) -> None:
    call("data", "out", "--as", "videofolder", "--size", "all")
    assert sorted(path.name for path in (project / "out").iterdir()) == ["16x16", "32x32"]
    for side in (16, 32):
        tables = (project / f"out/{side}x{side}").rglob("metadata.jsonl")
        lines = [line for table in tables for line in lines_of(table)]
        assert [line["height"] for line in lines] == [side] * len(ROWS)
    whole = files_in(project / "out")
    call("data", "out", "--as", "videofolder", "--size", "all")
    assert files_in(project / "out") == whole


def test_all_sizes_leave_a_folder_of_others_alone(project: Path) -> None:
    (project / "out").mkdir()
    (project / "out/notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        call("data", "out", "--as", "webdataset", "--size", "all")
    assert files_in(project / "out") == {"notes.txt": b"mine"}


def test_clips_that_are_left_out_are_counted(project: Path) -> None:
    write_project(project, (row("v0"), row("v1", sizes="16x16")))
    printed = call("data", "out", "--as", "webdataset", "--size", "32x32")
    assert "1 clips in 1 files" in printed
    assert "1 clips are not stored in that size, and were left out" in printed


@pytest.mark.parametrize("size", ["32", "32x", "0x32", "largest"])
def test_a_size_that_is_none_is_refused(project: Path, size: str) -> None:
    with pytest.raises(ConfigurationError, match="--size: HxW"):
        call("data", "out", "--as", "webdataset", "--size", size)
    assert not (project / "out").exists()


def test_a_url_is_not_taken_for_a_folder(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a folder of this machine"):
        call("data", "s3://bucket/out", "--as", "webdataset")
    assert not (project / "s3:").exists()


def test_every_layout_has_its_name() -> None:
    assert {layout.value for layout in LayoutName} == set(LAYOUTS)


def test_before_ingest_it_says_what_makes_the_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["export", "data", "out", "--as", "webdataset"])
    assert "no clips here yet: data/manifest is what `walt ingest` makes" in str(result.exception)


def test_layouts_and_things_that_do_not_exist_are_refused(project: Path) -> None:
    for words in (["data", "out", "--as", "zip"], ["models", "out", "--as", "webdataset"], ["data", "out"]):
        assert isinstance(CliRunner().invoke(app, ["export", *words]).exception, ConfigurationError)
    assert not (project / "out").exists()
