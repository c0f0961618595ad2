"""``walt inspect`` of files before there is a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from walt.commands.inspect.collect import Request, find
from walt.core.errors import ConfigurationError
from walt.project.recipes import load_recipe, recipe_text


def request(dataset: str | None) -> Request:
    return Request(dataset, None, clips=0, seed=0, sample=0, out=Path("results"), quiet=True)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a video, its caption and two files that are not read."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name, content in (("a.mp4", "never opened"), ("a.txt", "a cat"), ("b.mxf", "x"), ("c.mxf", "x")):
        (folder / name).write_text(content)
    return folder


def test_what_init_would_say_is_said_without_a_project(files: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    dataset = find(request(str(files)), tmp_path / "empty")
    assert dataset.params == load_recipe("demo")
    assert dataset.looked[0] == "no params.yaml here: with the values of the recipe demo"
    assert dataset.looked[1].startswith("found: 1 video")
    assert any(".mxf 2" in line for line in dataset.looked[1:])
    assert not list((tmp_path / "empty").iterdir())


def test_a_projects_own_values_are_taken_and_not_spoken_of(files: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(recipe_text("tiny"))
    dataset = find(request("films"), tmp_path)
    assert dataset.params == load_recipe("tiny") != load_recipe("demo")
    assert not any("params.yaml" in line for line in dataset.looked)


@pytest.mark.parametrize("dataset", [None, "shapes", "nowhere"])
def test_what_is_no_file_needs_a_project(dataset: str | None, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"params\.yaml: no such file; `walt init` writes it"):
        find(request(dataset), tmp_path)
