"""Another DVC at work in the project is found at once, and named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.dvc_lock import check_free, says_busy
from walt.core.errors import LockedError

WAITS = "import sys; print('here', flush=True); sys.stdin.read()"
LOCKS = f"import sys, zc.lockfile; lock = zc.lockfile.LockFile(sys.argv[1]); {WAITS}"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that the test has started, which end with it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def note_writer(root: Path, pid: int) -> None:
    """As DVC notes that a stage writes."""
    (root / ".dvc/tmp").mkdir(parents=True, exist_ok=True)
    entry = {"pid": pid, "cmd": "dvc repro train-base"}
    noted = {"read": {"/p/data": [entry]}, "write": {"/p/models/base": entry, "/p/work": entry}}
    (root / ".dvc/tmp/rwlock").write_text(json.dumps(noted))


def test_a_stage_that_dvc_runs_is_named_until_it_has_ended(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    started.append(start(WAITS, "dvc"))
    note_writer(tmp_path, started[0].pid)
    with pytest.raises(
        LockedError, match=rf"^`dvc repro train-base` \(process {started[0].pid}\) works in this project"
    ):
        check_free(tmp_path)
    started[0].communicate("")
    check_free(tmp_path)


def test_the_note_of_one_that_was_killed_is_not_believed(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    """Its number may be that of another program by now."""
    started.append(start(WAITS))
    note_writer(tmp_path, started[0].pid)
    check_free(tmp_path)


def test_dvc_that_thinks_is_named_by_its_lock(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    started.append(start(LOCKS, str(tmp_path / ".dvc/tmp/lock")))
    with pytest.raises(LockedError, match=rf"^DVC \(process {started[0].pid}\) works in this project"):
        check_free(tmp_path)
    started[0].communicate("")
    check_free(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"write": 3}', '{"write": {"a": {"pid": null}}}'])
def test_half_a_note_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text(content)
    check_free(tmp_path)


def test_dvcs_own_words_for_it_are_known() -> None:
    assert says_busy(["ERROR: Unable to acquire lock. Most likely another DVC process is running"])
    assert says_busy(
        ["ERROR: failed to reproduce 'ingest': '/p/data' is busy, it is being blocked by:", "  (PID 3): dvc"]
    )
    assert not says_busy(["ERROR: failed to reproduce 'ingest'"])
