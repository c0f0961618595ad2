"""The commands and the snippet of ``docs/export.md``: diffusers saves the picture that ``walt sample`` makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.exported import write_project
from walt.cli import app
from walt.commands.sample.generate import load_project
from walt.sampling.output import to_frames

PAGE = (Path(__file__).resolve().parents[2] / "docs/export.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SAID = '--prompt "a red circle moving left" --seed 7 --steps 3 --guidance 2'


def of(language: str) -> str:
    (text,) = (text for found, text in BLOCKS if found == language)
    return text


@pytest.mark.slow
def test_the_snippet_makes_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_project(tmp_path / "project")
    monkeypatch.chdir(root)
    for command in of("sh").splitlines():
        assert CliRunner().invoke(app, command.split()[1:], catch_exceptions=False).exit_code == 0
    snippet = "import sys\nsys.modules['walt'] = None\n" + of("python")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    subprocess.run(
        [sys.executable, "-P", "-c", snippet], check=True, capture_output=True, cwd=root, env=environment
    )  # fmt: skip
    assert SAID in PAGE
    pipeline, settings = load_project(root)
    asked = settings.model_copy(update={"steps": 3, "guidance_scale": 2.0, "frame_guidance_scale": 2.0})
    made = pipeline(["a red circle moving left"], [7], asked, indices=[0])
    assert np.array_equal(np.asarray(Image.open(root / "first.png")), to_frames(made.videos[0])[0])


def test_the_pages_commands_and_options_are_there() -> None:
    for words in (["export"], ["import"], ["convert-text-encoder"], ["sample"]):
        help_of = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
        for line in re.findall(rf"walt {words[0]}[^`\n]*", PAGE):
            for option in re.findall(r"--[a-z-]+", line):
                assert option in help_of, f"{line}: {option}"
