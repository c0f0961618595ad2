"""``walt docs``: the pages that texts of the package name, where there is no clone to look for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.project import ROOT
from walt.cli import app
from walt.commands.docs import find, pages
from walt.core.errors import ConfigurationError
from walt.project.new_folder import make_project
from walt.project.recipes import recipe_names, recipe_text

_PAGE = re.compile(r"(?<![\w/.-])(?:\.\./)*(?:docs|datasets|infra)/[\w/-]+\.md\b|docs/decisions/\d+")


def test_all_pages_are_listed_with_their_titles() -> None:
    lines = CliRunner().invoke(app, ["docs"]).output.splitlines()
    rows = {name: title.strip() for name, _, title in (line.partition(" ") for line in lines)}
    assert rows["docs/training.md"] == "Training, for operators"
    assert rows["README.md"] == "W.A.L.T"
    in_the_clone = {file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md")}
    assert in_the_clone <= rows.keys()


@pytest.mark.parametrize("name", ["training", "docs/training.md", "../../docs/training.md#rescues", "docs/training"])
def test_a_page_is_shown_by_the_name_that_a_text_gives_it(name: str) -> None:
    assert CliRunner().invoke(app, ["docs", name]).output == (ROOT / "docs/training.md").read_text("utf-8")


def test_of_two_pages_of_one_name_the_folder_says_which() -> None:
    assert find("results/training", pages()) == ROOT / "docs/results/training.md"
    assert find("README", pages()) == ROOT / "README.md"


def test_a_page_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^no page is called 'trainng'; did you mean 'training'\?$"):
        find("trainng", pages())
    with pytest.raises(ConfigurationError, match=r"^no page is called '\.\./'; `walt docs` lists all$"):
        find("../", pages())


@pytest.mark.slow
def test_every_page_that_a_project_or_a_message_names_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.project.new_folder._begin_dvc", lambda root, settings: (root / ".dvc").mkdir())
    make_project(tmp_path, "datasets/union.yaml")
    texts = {file: file.read_text("utf-8") for file in tmp_path.rglob("*") if file.is_file()}
    texts |= {Path(name): recipe_text(name) for name in recipe_names()}
    texts |= {file: file.read_text("utf-8") for part in ("walt", "flows") for file in (ROOT / part).rglob("*.py")}
    named = {(file, name) for file, text in texts.items() for name in _PAGE.findall(text)}
    assert {name for _, name in named} >= {"docs/open-readings.md", "docs/takedown.md", "datasets/union.md"}
    known = pages()
    for file, name in named:
        if name.startswith("docs/decisions/"):
            assert any(page.startswith(name) for page in known), f"{file}: {name}"
        else:
            assert find(name, known).is_file(), f"{file}: {name}"


def test_no_file_of_a_project_links_to_one_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.project.new_folder._begin_dvc", lambda root, settings: (root / ".dvc").mkdir())
    make_project(tmp_path, "datasets/shapes-few.yaml")
    found = list(tmp_path.rglob("*.md"))
    assert len(found) >= 4
    for file in found:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text("utf-8")):
            assert (file.parent / link).exists(), f"{file}: {link}"
