"""A copy of the project in an empty folder, with settings so small that every stage takes seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from typer.testing import CliRunner

from walt.cli import app
from walt.project.recipes import recipe_text

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def copy_project(target: Path) -> Path:
    """What a clone has that the pipeline needs; ``datasets/shapes.yaml`` asks for a handful of files only.

    Modules come with their bytecode, which is of the files' times, that the copies keep: else each stage compiles
    hundreds, where Python writes none.
    """
    for folder in ("walt", "flows", "datasets"):
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("*.pyc.*"))  # as one is written
    for file in ("dvc.yaml", ".dvcignore", "prefect.toml"):
        shutil.copy(ROOT / file, target / file)
    (target / "params.yaml").write_text(recipe_text("demo"), encoding="utf-8")
    shapes = target / "datasets/shapes.yaml"
    text = shapes.read_text(encoding="utf-8").replace("videos: 1600, images: 400", "videos: 12, images: 8")
    assert "videos: 12" in text
    shapes.write_text(text.replace("held_out: 0.05", "held_out: 0.3"), encoding="utf-8")
    return target


def look_like_a_clone(folder: Path) -> None:
    """Make ``walt init`` take a folder for a clone, of which it makes no project."""
    (folder / "walt/project").mkdir(parents=True)
    (folder / "walt/project/registry.py").touch()


def tools_of(project: Path) -> Path:
    """The folder whose programs come before the environment's for ``run``; by default there is none."""
    return project.with_name(f"{project.name}-tools")


def walt(project: Path, *arguments: str) -> str:
    """Run ``walt`` of this checkout in the project, in this process, and return what it printed; it must succeed."""
    with chdir(project):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, f"walt {' '.join(arguments)} exited {result.exit_code}:\n{result.output}"
    return result.stdout


def run(project: Path, *command: str) -> str:
    """Run a command of the environment in the project and return what it printed; it must succeed."""
    result = try_run(project, *command)
    assert result.returncode == 0, f"{' '.join(command)} exited {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def try_run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment in the project, whether it fails or not."""
    path = [tools_of(project), Path(sys.executable).parent, os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(map(str, path)), "PYTHONPATH": str(project)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
