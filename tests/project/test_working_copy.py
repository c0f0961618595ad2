"""The project of a release, made again beside the present one: with real git and DVC."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from walt.core.errors import ConfigurationError, StorageError
from walt.project import working_copy
from walt.project.working_copy import make_working_copy

PIPELINE = "stages:\n  copy:\n    cmd: cp own.yaml out\n    params: [steps]\n    deps: [own.yaml]\n    outs: [out]\n"
THEN = "steps: 1\ndataset: {descriptor: own.yaml}\n"
GIT = ("git", "-c", "user.name=walt", "-c", "user.email=walt@localhost", "-c", "commit.gpgsign=false")


def call(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def dvc(folder: Path, *arguments: str) -> str:
    return call(folder, sys.executable, "-m", "dvc", *arguments)


def write(root: Path, **files: str) -> None:
    """``own="..."`` writes ``own.yaml``."""
    for name, text in files.items():
        (root / f"{name}.yaml").write_text(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dvc_is_warm: None) -> tuple[Path, str, Path]:
    """A project in a subfolder of its repository, whose release's settings were not committed, and which went on.

    Its folder, the release's commit, and the folder of what was kept with the release.
    """
    repository, kept = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("kept")
    root = repository / "below"
    root.mkdir()
    call(repository, "git", "init", "-q")
    dvc(root, "init", "-q", "--subdir")
    dvc(root, "remote", "add", "--local", "--default", "there", str(repository / "remote"))
    write(root, dvc=PIPELINE, params="steps: 0\ndataset: {descriptor: own.yaml}\n", own="as committed\n")
    call(root, "git", "add", ".")
    call(root, *GIT, "commit", "-q", "-m", "first")
    commit = call(root, "git", "rev-parse", "HEAD")
    write(root, params=THEN, own="as released\n")
    dvc(root, "repro", "-q")
    dvc(root, "push", "-q")
    shutil.copy(root / "params.yaml", kept)
    shutil.copy(root / "dvc.lock", kept)
    shutil.copy(root / "own.yaml", kept / "descriptor.yaml")
    write(root, params="steps: 2\ndataset: {descriptor: own.yaml}\n", own="as it is now\n")
    dvc(root, "repro", "-q")
    call(root, "git", "add", ".")
    call(root, *GIT, "commit", "-q", "-m", "second")
    return root, commit, kept


@pytest.mark.slow
def test_a_release_is_there_again_with_its_settings_and_data_and_nothing_is_stale(
    made: tuple[Path, str, Path], tmp_path: Path
) -> None:
    root, commit, kept = made
    project = make_working_copy(root, commit, kept, tmp_path / "back")
    assert project == tmp_path / "back/below"
    assert (project / "params.yaml").read_text() == THEN
    assert (project / "own.yaml").read_text() == (project / "out").read_text() == "as released\n"
    assert call(project, "git", "rev-parse", "HEAD") == commit
    assert dvc(project, "status") == "Data and pipelines are up to date."
    assert (root / "out").read_text() == "as it is now\n"
    with pytest.raises(ConfigurationError, match="back: it is there already"):
        make_working_copy(root, commit, kept, tmp_path / "back")


@pytest.mark.slow
def test_what_the_cache_lost_comes_from_the_remote_or_is_named(made: tuple[Path, str, Path], tmp_path: Path) -> None:
    root, commit, kept = made
    objects = root / ".dvc/cache/files"
    objects.rename(tmp_path / "cache")
    project = make_working_copy(root, commit, kept, tmp_path / "fetched")
    assert (project / "out").read_text() == "as released\n"
    shutil.rmtree(objects)
    (root.parent / "remote/files").rename(tmp_path / "remote")
    with pytest.raises(StorageError, match="lost/below is there, but not all of its data: out: neither in DVC's cache"):
        make_working_copy(root, commit, kept, tmp_path / "lost")
    assert (tmp_path / "lost/below/params.yaml").read_text() == THEN
    (tmp_path / "cache").rename(objects)
    (tmp_path / "remote").rename(root.parent / "remote/files")


def test_a_commit_that_git_does_not_know_and_a_machine_without_git_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(tmp_path, "git", "init", "-q")
    with pytest.raises(ConfigurationError, match=f"git worktree add: fatal: invalid reference: {'0' * 40}"):
        make_working_copy(tmp_path, "0" * 40, tmp_path, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no command git on this machine"):
        make_working_copy(tmp_path, "0" * 40, tmp_path, tmp_path / "back")


def test_outside_of_git_the_project_is_made_by_the_walt_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "back"
    kept.mkdir()
    write(kept, params=THEN.replace("own.yaml", "datasets/own/mine.yaml"), descriptor="as released\n")
    asked: list[str] = []
    monkeypatch.setattr(working_copy, "make_project", lambda root, descriptor: asked.append(f"{root} {descriptor}"))
    monkeypatch.setattr(working_copy, "_get_data", lambda root, project: asked.append(str(project)))
    assert make_working_copy(tmp_path, None, kept, folder) == folder
    assert asked == [f"{folder} datasets/own/mine.yaml", str(folder)]
    assert (folder / "datasets/own/mine.yaml").read_text() == "as released\n"
