"""Where a run's inputs come from, in repositories of all kinds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from walt.tracking import provenance


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git = ("git", "-c", "user.name=walt", "-c", "user.email=walt@localhost", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture(autouse=True)
def _warned_anew() -> Iterator[None]:
    provenance._warn_once.cache_clear()
    yield
    provenance._warn_once.cache_clear()


def test_names_may_have_any_bytes(repository: Path) -> None:
    """A promotion, which asks for them, must not fail on the name of a video that lies in the project."""
    for name in (b"\xff.mp4", "Zürich.mp4".encode(), b"a\nb.mp4"):
        (repository / os.fsdecode(name)).touch()
    assert sorted(provenance.uncommitted(repository)) == ["Zürich.mp4", "\\xff.mp4", "a\nb.mp4"]


def test_a_repository_that_git_does_not_trust_is_said_once(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert provenance.git_tags(repository).keys() == {"git.commit", "git.dirty", "mlflow.source.git.commit"}
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests have this variable
    monkeypatch.setenv("HOME", str(repository))  # whose configuration trusts no folder
    assert provenance.git_tags(repository) == provenance.git_tags(repository) == {}
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: no commit is noted with what is made here, since git does not trust the folder: ")
    assert "dubious ownership" in line


def test_outside_of_a_repository_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provenance.git_tags(tmp_path) == {}
    assert provenance.uncommitted(tmp_path) == []
    assert capsys.readouterr().out == ""
