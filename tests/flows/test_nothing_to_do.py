"""A direct run finds out that nothing is stale before it starts a server of Prefect."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import flows.walt
from flows.nothing_to_do import outcomes_if_fresh
from flows.processes import command_environment
from tests.support.fake_project import runs
from walt.commands.promote import command
from walt.core.errors import LockedError
from walt.core.storage import lock

pytestmark = pytest.mark.slow  # DVC takes a second to import

NAMES = ["ingest", "caption", "encode-text"]


def _reproduce(project: Path) -> None:
    command = ["dvc", "repro", "--quiet", "encode-text"]
    subprocess.run(command, cwd=project, env=command_environment({}), check=True)


def test_what_is_fresh_is_said_and_promoted_without_a_server(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _reproduce(project)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(flows.walt, "names_server", lambda _: False)
    monkeypatch.setattr(flows.walt, "find_server", lambda: pytest.fail("a server was started"))
    monkeypatch.setattr(flows.walt.signal, "signal", lambda *_: None)
    monkeypatch.setattr(command, "promote", lambda _, root: print(f"{root.name}: it takes the alias"))
    assert flows.walt.main(["--target", "encode-text", "--promote"]) == 0
    said = capfd.readouterr().out
    assert f"{project.name}: it takes the alias" in said
    assert [line.split(maxsplit=1) for line in said.splitlines()[-3:]] == [[name, "up to date"] for name in NAMES]
    assert (project / "calls").read_text().split() == ["prepare"]
    assert runs(project, "ingest") == 1


def test_what_is_stale_or_never_ran_is_left_to_the_flow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "promote", lambda *_: pytest.fail("what is stale was decided about"))
    assert outcomes_if_fresh(project, NAMES, promote=True) is None
    assert not (project / "calls").exists(), "it is known without asking DVC"
    _reproduce(project)
    assert outcomes_if_fresh(project, NAMES, promote=False) == dict.fromkeys(NAMES, "up to date")
    (project / "source/a.txt").write_text("changed\n")
    assert outcomes_if_fresh(project, NAMES, promote=True) is None


def test_a_promotion_that_fails_is_left_to_the_flow(project: Path) -> None:
    _reproduce(project)  # of a fake project, whose models nobody evaluated
    assert outcomes_if_fresh(project, NAMES, promote=True) is None


def test_a_second_line_of_prepare_makes_dvcs_answer_too_old(project: Path) -> None:
    _reproduce(project)
    walt = project / "tools/walt"
    walt.write_text(walt.read_text().replace("was called", "was called\\ningest is stale"))
    assert outcomes_if_fresh(project, NAMES, promote=False) is None


def test_another_run_is_not_disturbed(project: Path) -> None:
    _reproduce(project)
    with lock(project / "work/flow.lock"), pytest.raises(LockedError):
        outcomes_if_fresh(project, NAMES, promote=False)
