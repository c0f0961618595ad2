"""What ``pip install`` brings, without a clone: a wheel, unpacked somewhere, makes a project and runs in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.warm import WarmCommand
from walt.data.manifest import read_manifest
from walt.project.recipes import recipe_names

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, warm_dvc: WarmCommand) -> Path:
    """The package of a wheel made from what git knows, so that nothing of the clone is beside it. DVC, which is not of
    the wheel, is forked."""
    folder = tmp_path_factory.mktemp("wheel")
    warm_dvc.write(folder)
    source = folder / "source"
    source.mkdir()
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in names.stdout.splitlines():
        if name.startswith(("walt/", "flows/", "datasets/", "docs/", "infra/README", ".dvc")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(installed: Path, project: Path, *command: str) -> str:
    """Run a command in the project, with the unpacked wheel before everything else that is installed."""
    path = os.pathsep.join(map(str, [installed.parent, Path(sys.executable).parent, os.environ["PATH"]]))
    environment = {**os.environ, "PYTHONPATH": str(installed), "PATH": path}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_wheel_has_recipes_templates_and_the_files_of_a_project(installed: Path) -> None:
    found = {file.relative_to(installed).as_posix() for file in installed.rglob("*") if file.is_file()}
    assert {f"walt/recipes/{name}.yaml" for name in [*recipe_names(), "defaults"]} <= found
    source = installed.with_name("source")
    kept = {file.relative_to(source).as_posix() for file in (source / "walt").rglob("*") if file.is_file()}
    assert {Path(name).suffix for name in kept} >= {".py", ".jinja", ".yaml", ".html", ".css", ".js"}
    assert kept <= found, "what `walt ui` and the pages read too"
    project_files = {"prefect.yaml", "prefect.toml", ".dvc/config", ".dvcignore", "datasets/shapes.yaml"}
    pages = {file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md")} | {"README.md"}
    assert {f"walt/project_files/{name}" for name in project_files | pages} <= found
    assert not [name for name in found if name.startswith("walt/project_files/docs/") and not name.endswith(".md")]
    assert not [name for name in found if name.startswith(("tests/", "benchmarks/"))]


def test_a_project_made_with_it_runs_and_is_fresh_afterwards(installed: Path, tmp_path: Path) -> None:
    said = run(installed, tmp_path, "walt", "init", "--recipe", "tiny")
    assert "made a project of this folder" in said
    where = run(installed, tmp_path, sys.executable, "-c", "import walt; print(walt.__file__)")
    assert where.startswith(str(installed)), "the clone is not used"
    assert "# Training, for operators" in run(installed, tmp_path, "walt", "docs", "docs/training.md")
    run(installed, tmp_path, "walt", "prepare")
    run(installed, tmp_path, "dvc", "repro", "ingest")
    assert len(read_manifest(tmp_path / "data/manifest")) == 20
    assert "up to date" in run(installed, tmp_path, "dvc", "status", "ingest")
    listed = run(installed, tmp_path, sys.executable, "-m", "flows.deployments")
    assert "walt/train-base" in listed
