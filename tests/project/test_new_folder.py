"""A project in a folder of its own, made by ``walt init`` with an installed package: no code in it, all else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.project import ROOT, look_like_a_clone
from walt.cli import app
from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError
from walt.project import dvc_yaml, new_folder
from walt.project.new_folder import is_new, make_project
from walt.project.recipes import recipe_text
from walt.project.registry import STAGES
from walt.project.runner import load_params

SHAPES, FEW_SHAPES = "datasets/shapes.yaml", "datasets/shapes-few.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, in which DVC is not started, which takes a second."""
    root = tmp_path / "mine"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setattr(new_folder, "_begin_dvc", lambda root, settings: (root / ".dvc").mkdir())
    return root


def commands(root: Path) -> dict[str, str]:
    stages: dict[str, Any] = read_yaml(root / "dvc.yaml")["stages"]
    return {name: stage["cmd"] for name, stage in stages.items()}


def test_everything_that_dvc_and_prefect_need_is_there(folder: Path) -> None:
    written = make_project(folder, SHAPES)
    for name in ("dvc.yaml", "prefect.yaml", "prefect.toml", ".dvcignore", SHAPES, "datasets/shapes.md"):
        assert name in written
        assert (folder / name).is_file()
    dependencies = {name for stage in read_yaml(folder / "dvc.yaml")["stages"].values() for name in stage["deps"]}
    watched = [name for name in dependencies if name.startswith("datasets/")]
    assert sorted(watched) == ["datasets/annotations", "datasets/captions", "datasets/classes", "datasets/takedowns"]
    assert all((folder / name).is_dir() for name in watched)
    assert not [name for name in dependencies if name.startswith("walt/")], "there is no code"
    assert (folder / "prefect.yaml").read_bytes() == (ROOT / "prefect.yaml").read_bytes()


def test_what_is_there_is_left_alone(folder: Path) -> None:
    (folder / ".gitignore").write_text("mine\n")
    assert ".gitignore" not in make_project(folder, "datasets/own/mine.yaml")
    assert (folder / ".gitignore").read_text() == "mine\n"
    assert not (folder / SHAPES).exists(), "another descriptor was asked for"


def test_a_clone_and_a_project_are_not_made_again(folder: Path) -> None:
    assert is_new(folder)
    make_project(folder, SHAPES)
    assert not is_new(folder)
    (folder / "dvc.yaml").unlink()
    look_like_a_clone(folder)
    assert not is_new(folder)


@pytest.mark.slow
def test_dvc_notices_other_code_by_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(folder, SHAPES)
    before = commands(folder)
    assert set(before) == {stage.name for stage in STAGES}
    assert all(command.startswith(f"walt {name} # ") for name, command in before.items())
    assert "starts from models/base, code " in before["finetune-aspect"]
    dvc_yaml.check(folder)

    of_now = dvc_yaml.code_digest
    monkeypatch.setattr(
        dvc_yaml, "code_digest", lambda module: "0" * 64 if module == "walt.stages.encode_text" else of_now(module)
    )
    with pytest.raises(ConfigurationError, match=r"differs from the installed walt; `walt pipeline --write` brings"):
        dvc_yaml.check(folder)
    assert isinstance(CliRunner().invoke(app, ["check"]).exception, ConfigurationError)
    assert dvc_yaml.write(folder)
    after = commands(folder)
    assert {name for name in after if after[name] != before[name]} == {"encode-text"}
    assert not dvc_yaml.write(folder)


@pytest.mark.slow
def test_init_makes_one_and_says_what_it_wrote(folder: Path) -> None:
    said = CliRunner().invoke(app, ["init", "--recipe", "tiny"]).output
    assert "made a project of this folder: .dvcignore, .gitignore, datasets/annotations/README.md" in said.replace(
        "\n", " "
    )
    assert "next: `walt prepare`, then `dvc repro`" in said.replace("\n", " ")
    assert (folder / FEW_SHAPES).is_file()
    assert "made a project" not in CliRunner().invoke(app, ["init", "--recipe", "tiny"]).output


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["demo", "ucf101"])
def test_another_recipe_brings_the_descriptor_of_its_data(folder: Path, recipe: str) -> None:
    init = ["init", "--force", "--recipe"]
    CliRunner().invoke(app, [*init, "tiny"])
    said = CliRunner().invoke(app, [*init, recipe]).output
    descriptor = load_params(folder).dataset.descriptor
    assert f"added {Path(descriptor).with_suffix('.md')}, {descriptor}" in said
    (folder / descriptor).write_text("mine")
    assert "added" not in CliRunner().invoke(app, [*init, recipe]).output
    assert (folder / descriptor).read_text() == "mine"


def test_without_a_project_one_line_says_how_to_make_one(folder: Path) -> None:
    (folder / "params.yaml").write_text("{}")
    for call in (dvc_yaml.check, dvc_yaml.write):
        with pytest.raises(ConfigurationError, match=r"^no dvc\.yaml here: `walt init` in an empty folder makes"):
            call(folder)


@pytest.mark.parametrize(
    "git", [pytest.param(git, marks=pytest.mark.slow) for git in ("none", "here", "above")] + ["ignored"]
)
def test_dvc_begins_with_git_or_without(tmp_path: Path, git: str, dvc_is_warm: None) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    if git != "none":
        subprocess.run(["git", "init", "--quiet", str(root if git == "here" else tmp_path)], check=True)
    if git == "ignored":
        (tmp_path / ".gitignore").write_text("/mine/\n")
    (root / "params.yaml").write_text(recipe_text("tiny"))
    make_project(root, SHAPES)
    config = (root / ".dvc/config").read_text()
    assert ("no_scm = true" in config) == (git in ("none", "ignored"))
    assert "analytics = false" in config
    subprocess.run([sys.executable, "-m", "dvc", "stage", "list"], cwd=root, check=True, capture_output=True)


@pytest.mark.slow
def test_dvcs_own_message_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".dvc").write_text("a file, where DVC wants a folder")
    with pytest.raises(ConfigurationError, match=r"^dvc init: "):
        make_project(tmp_path, SHAPES)
