"""``walt init`` as a person types it."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.project import look_like_a_clone
from walt import cli
from walt.cli import app
from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError
from walt.project import dvc_yaml as pipeline
from walt.project import runner
from walt.project.recipes import load_recipe, recipe_text

FOLDER = ("--videos", "videos", "--captions", "table.csv")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone: params.yaml is the demo's. Beside it a folder of the user's own."""
    monkeypatch.chdir(tmp_path)
    look_like_a_clone(tmp_path)
    (tmp_path / "params.yaml").write_text(recipe_text("demo"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/table.csv").write_text("path,caption\na.mp4,a cat\n")
    return tmp_path


def init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def base_width(project: Path) -> int:
    """What tells the recipes apart."""
    width: int = read_yaml(project / "params.yaml")["base"]["width"]
    return width


def recipe_width(name: str) -> int:
    return load_recipe(name).base.width


@pytest.mark.slow
def test_a_recipe_that_is_asked_for_is_never_ignored(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    refused = init("--recipe", "tiny", *FOLDER)
    assert isinstance(refused.exception, ConfigurationError)
    assert "differs from recipe 'tiny'; --force replaces it" in str(refused.exception)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "datasets").exists()

    assert init("--recipe", "tiny", "--force", *FOLDER).exit_code == 0
    assert base_width(project) == recipe_width("tiny") != recipe_width("demo")
    assert read_yaml(project / "params.yaml")["dataset"] == {"descriptor": "datasets/own/videos.yaml", "path": "videos"}


def test_without_a_recipe_params_yaml_is_kept(project: Path) -> None:
    (project / "params.yaml").write_text(recipe_text("tiny"))
    kept = init(*FOLDER)
    assert kept.exit_code == 0
    assert "params.yaml is kept" in kept.output
    assert base_width(project) == recipe_width("tiny")
    assert read_yaml(project / "params.yaml")["dataset"]["path"] == "videos"

    before = (project / "params.yaml").read_bytes()
    assert init().exit_code == 0
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_the_demo_is_what_one_starts_from(project: Path, there: bool) -> None:
    """Where there is no params.yaml, or ``--force`` replaces it."""
    if there:
        (project / "params.yaml").write_text(recipe_text("tiny"))
    else:
        (project / "params.yaml").unlink()
    assert init(*(["--force"] if there else [])).exit_code == 0
    assert (project / "params.yaml").read_text() == recipe_text("demo")


def test_a_wrong_recipe_is_named_with_the_nearest(project: Path) -> None:
    result = init("--recipe", "tinny", "--force")
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception) == "no recipe is named 'tinny'; did you mean 'tiny'?"
    assert base_width(project) == recipe_width("demo")


@pytest.mark.slow
def test_a_folder_a_glob_or_a_list(project: Path) -> None:
    (project / "videos/a.mp4").write_bytes(b"x")
    for videos, path in (("videos/*.mp4", "videos"), ("videos/table.csv", "videos"), ("videos", "videos")):
        result = init("--videos", videos, "--name", "mine")
        assert result.exit_code == 0, result.output
        assert read_yaml(project / "params.yaml")["dataset"] == {"descriptor": "datasets/own/mine.yaml", "path": path}


@pytest.mark.slow
@pytest.mark.parametrize(("count", "fine"), [(None, True), (2, True), (3, False)])
def test_check_compares_the_number_of_classes(project: Path, count: int | None, fine: bool) -> None:
    (project / "dvc.yaml").write_text(pipeline.render(project))
    (project / "classes.txt").write_text("cat\ndog\n")
    assert init(*FOLDER).exit_code == 0
    descriptor = project / "datasets/own/videos.yaml"
    descriptor.write_text(descriptor.read_text().replace("classes: null", "classes: classes.txt"))
    params = read_yaml(project / "params.yaml")
    if count is not None:
        of_classes = {"conditioning": "class", "num_classes": count, "text_width": None, "cross_attention": None}
        params["base"] |= of_classes
        params["sr_2x"] |= of_classes
        params["text"] = None
        params["sample"]["prompts"] = "classes"
    (project / "params.yaml").write_text(json.dumps(params))  # JSON is YAML
    result = CliRunner().invoke(app, ["check"])
    assert (result.exit_code == 0) == fine, result.exception
    if not fine:
        assert "base.num_classes is 3, but datasets/own/videos.yaml has 2" in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "prepare"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": "adherence"}, "sample.prompts is adherence, but datasets/own/videos.yaml has none"),
        ({"num_classes": 3}, "base.conditioning is class, but datasets/own/videos.yaml has no classes"),
    ],
)
def test_what_the_data_do_not_have_is_found_before_any_work(
    project: Path, command: str, changes: dict[str, Any], message: str
) -> None:
    (project / "dvc.yaml").write_text(pipeline.render(project))
    assert init(*FOLDER).exit_code == 0
    params = read_yaml(project / "params.yaml")
    if "num_classes" in changes:
        of_classes = {"conditioning": "class", "text_width": None, "cross_attention": None, **changes}
        params["base"] |= of_classes
        params["sr_2x"] |= of_classes
        params["text"] = None
        params["sample"]["prompts"] = "classes"
    else:
        params["sample"] |= changes
    (project / "params.yaml").write_text(json.dumps(params))
    result = CliRunner().invoke(app, [command])
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


_AT_THE_END = """
import atexit, gc, sys
from walt import cli
atexit.register(lambda: print("frozen:", gc.get_freeze_count() > 1000, file=sys.stderr))
cli.main()
"""


@pytest.mark.slow
def test_a_process_ends_without_a_search_for_garbage(tmp_path: Path) -> None:
    """What ``main`` has called at the end runs before what was registered earlier."""
    ended = subprocess.run(
        [sys.executable, "-c", _AT_THE_END, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "frozen: True" in ended.stderr
    assert "train-base" in ended.stdout


def test_a_table_that_is_stopped_goes_on() -> None:
    assert "goes on with what is missing" in cli.interrupted(["table", "4"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train-base"], "walt: interrupted; `walt train-base`, or `dvc repro`, goes on from the last checkpoint\n"),
        (
            ["evaluate"],
            "walt: interrupted; the same command does it again, and nothing half-written is used\n",
        ),
    ],
)
def test_ctrl_c_says_what_comes_next(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_stage", stop)
    monkeypatch.setattr(sys, "argv", ["walt", *arguments])
    monkeypatch.setattr(atexit, "register", lambda _: None)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 130
    assert capsys.readouterr().err == said
