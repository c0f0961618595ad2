"""The snippets of ``docs/interop.md`` find what they say, in exports made by the page's own commands."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import datasets
from tests.support.export_project import ROWS, write_params, write_project
from tests.support.interop import INTEROP, needs_interop
from walt.cli import app

PAGE = (Path(__file__).resolve().parents[2] / "docs/interop.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HERE = [text for language, text in BLOCKS if language == "python"]
ELSEWHERE = [text for language, text in BLOCKS if language == "py"]
RUN_ELSEWHERE = [text for text in ELSEWHERE if "nvidia.dali" not in text]


def imported(text: str) -> str:
    """What a snippet is about: the last package that it imports."""
    return re.findall(r"^(?:import|from) ([\w.]+)", text, re.MULTILINE)[-1]


def expected(text: str) -> int:
    """How many clips it finds: those for training, images where it says so."""
    kind = "image" if "/image" in text else "video"
    return sum((one.kind, one.split) == (kind, "train") for one in ROWS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its clips, and what the page's commands export."""
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    write_params(root)
    commands = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
    assert len(commands) == 4
    before = Path.cwd()
    os.chdir(root)
    try:
        for command in commands:
            CliRunner().invoke(app, command.split()[1:], catch_exceptions=False)
    finally:
        os.chdir(before)
    return root


@pytest.mark.parametrize("text", HERE, ids=imported)
def test_a_snippet_finds_the_clips(project: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    names: dict[str, Any] = {}
    exec(compile(text, "docs/interop.md", "exec"), names)
    assert names["count"] == expected(text)


@needs_interop
@pytest.mark.parametrize("text", RUN_ELSEWHERE, ids=imported)
def test_a_snippet_for_the_other_environment_finds_the_clips(project: Path, text: str) -> None:
    printed = subprocess.run(
        [str(INTEROP), "-c", f"{text}\nprint(count)"], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(printed.splitlines()[-1]) == expected(text)


def test_every_snippet_is_python_and_every_reader_has_one() -> None:
    for text in (*HERE, *ELSEWHERE):
        ast.parse(text)
    packages = {imported(text).partition(".")[0] for text in (*HERE, *ELSEWHERE)}
    tables = {"pandas", "pyarrow", "duckdb", "polars"}
    assert packages == tables | {"webdataset", "datasets", "megatron", "litdata", "nvidia", "mlcroissant"}
