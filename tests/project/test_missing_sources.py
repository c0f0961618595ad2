"""A project without its source files: the message that a person gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from walt.cli import app
from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.data.manifest import write_manifest
from walt.ingest.config import Descriptor
from walt.project import dvc_yaml
from walt.project.missing_sources import missing_sources
from walt.project.recipes import recipe_text
from walt.project.registry import STAGES, stages_needed_for

ROOT = Path(__file__).resolve().parents[2]
CONTINUE = "`dvc repro --downstream train-autoencoder caption`"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training machine: the parameters name a user's videos, which are not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(dvc_yaml.render(tmp_path))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_bytes(b"x")
    assert CliRunner().invoke(app, ["init", "--videos", "videos"]).exit_code == 0
    (tmp_path / "videos/a.mp4").unlink()
    (tmp_path / "videos").rmdir()
    return tmp_path


@pytest.mark.slow
def test_check_is_content_and_says_what_is_missing(project: Path) -> None:
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0, result.exception
    assert "dvc.yaml are in order" in result.output
    assert f"warning: dataset.path: {project}/videos: no such folder; put the source files there" in result.output
    assert "`dvc pull` or `walt fetch URL` brings the clips" in result.output
    (project / "videos").mkdir()
    assert "warning" not in CliRunner().invoke(app, ["check"]).output


@pytest.mark.parametrize("command", [["prepare"], ["inspect"]])
def test_a_command_that_reads_sources_says_how_to_continue_without(project: Path, command: list[str]) -> None:
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, ConfigurationError)
    assert f"dataset.path: {project}/videos: no such folder" in str(error)
    assert "`dvc pull` or `walt fetch URL` brings the clips" in str(error)
    assert CONTINUE in str(error)


@pytest.mark.slow
def test_where_there_are_clips_they_are_enough(project: Path) -> None:
    write_manifest(Paths(project).manifest, [])
    for command in (["prepare"], ["check"]):
        result = CliRunner().invoke(app, command)
        said = str(result.exception) if result.exit_code else result.output
        assert f"{CONTINUE} works from the clips in data/clips" in said
        assert "dvc pull" not in said


def test_outside_of_a_clone_there_is_no_dvc(project: Path) -> None:
    (project / "dvc.yaml").unlink()
    error = str(CliRunner().invoke(app, ["prepare"]).exception)
    assert "`walt fetch URL` brings the clips" in error
    assert "`walt train-autoencoder` and the stages after it" in error
    assert "dvc" not in error


def test_what_prepare_makes_and_what_is_on_servers_is_not_missed(tmp_path: Path) -> None:
    generated = load_section(ROOT / "datasets/shapes.yaml", Descriptor)
    assert missing_sources(generated, "data/shapes", Paths(tmp_path)) is None
    listed = load_section(ROOT / "datasets/list.yaml", Descriptor)
    assert missing_sources(listed, "s3://videos/all", Paths(tmp_path)) is None
    assert missing_sources(listed, "data/list", Paths(tmp_path)) is not None


def test_the_member_of_a_union_that_is_missing_is_named(tmp_path: Path) -> None:
    union = load_section(ROOT / "datasets/union.yaml", Descriptor)
    missing = missing_sources(union, "data/union", Paths(tmp_path))
    local = [name for name, member in union.members().items() if "://" not in member.path and not member.generator]
    assert missing is not None
    assert missing.found.startswith(f"source.members.{local[0]}.path: ")


def test_the_stages_that_are_named_bring_all_the_others(project: Path) -> None:
    """Everything but ingest comes after one of them, so that DVC's --downstream runs it."""
    missing = missing_sources(load_section(project / "datasets/own/videos.yaml", Descriptor), "videos", Paths(project))
    assert missing is not None
    assert CONTINUE in missing.advice
    named = {"train-autoencoder", "caption"}
    for stage in STAGES[1:]:
        assert named & {needed.name for needed in stages_needed_for(stage.name)}, stage.name
