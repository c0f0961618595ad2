"""A rank whose report cannot be written: its exit status and a line remain, and the stage's one error follows."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.parameters import params
from walt.core import last_words, storage
from walt.core.errors import ConfigurationError, StorageError
from walt.core.storage import read_json
from walt.project import launcher, rank
from walt.project.registry import get_stage


class Ended(BaseException):
    """Instead of the process's end."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the ranks share, for rank 1 of 2."""

    def end(status: int) -> NoReturn:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(sys, "argv", ["rank", "train-base", str(tmp_path), str(tmp_path)])
    monkeypatch.setenv("WALT_LAUNCHER_PID", str(os.getppid()))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("walt.workers.killable.die_with", lambda _: None)
    monkeypatch.setattr(last_words, "keep", lambda *_: None)
    monkeypatch.setattr(rank, "load_section", lambda *_: None)
    (tmp_path / "reports").mkdir()
    return tmp_path


def full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def report(status: int, message: str) -> dict[str, Any]:
    return {"status": status, "message": message, "lost": False, "time": 1.0}


def test_without_room_for_its_first_note_it_does_no_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rank, "run_rank", lambda *_: pytest.fail("it has begun"))
    monkeypatch.setattr(last_words, "keep", full)
    with pytest.raises(Ended, match="4"):
        rank.main()
    assert capsys.readouterr().err == f"walt: rank 1: {folder}: No space left on device\n"


@pytest.mark.parametrize(
    ("report", "status", "said"),
    [
        (report(7, "the loss is NaN"), 7, "the loss is NaN; "),
        ({"status": 0, "figures": {}, "lost": False, "time": 1.0}, 4, ""),
    ],
)
def test_without_room_for_its_last_one_it_says_on_its_standard_error_what_it_has_to_say(
    report: dict[str, Any],
    status: int,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*_: object) -> dict[str, Any]:
        monkeypatch.setattr(storage.os, "fsync", full)
        return report

    monkeypatch.setattr(rank, "run_rank", run)
    with pytest.raises(Ended, match=str(status)):
        rank.main()
    assert capsys.readouterr().err == f"walt: rank 1: {said}{folder}/reports/1.json: No space left on device\n"


def test_which_rank_failed_first_is_not_a_matter_of_the_wall_clock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank, "run_rank", lambda *_: report(2, "a wrong key"))
    before = time.monotonic()
    with pytest.raises(Ended, match="2"):
        rank.main()
    assert before <= read_json(folder / "reports/1.json")["time"] <= time.monotonic()


def test_the_stage_ends_with_the_status_of_a_rank_that_could_not_say_why(folder: Path) -> None:
    ok = {"status": 0, "figures": {}, "lost": False, "time": 1.0}
    with pytest.raises(StorageError, match=rf"rank 1 of 2 ended, .* not be written to {folder}: the line of that rank"):
        launcher._check_written({0: ok}, {1: 4}, 2, folder)
    with pytest.raises(ConfigurationError):
        launcher._check_written({}, {0: 2}, 2, folder)
    for reports, failed in (({0: ok, 1: ok}, {}), ({0: report(5, "damaged")}, {0: 5, 1: 4}), ({}, {0: -9, 1: 1})):
        launcher._check_written(reports, failed, 2, folder)


def test_process_ids_are_known_to_whoever_passes_signals_on_after_their_files_have_gone(folder: Path) -> None:
    """Systems remove temporary files that nobody has read for ten days; a training may last longer."""
    note = folder / "reports" / f"1{rank.PROCESS_SUFFIX}"
    note.write_text(str(os.getpid()))
    watch = launcher._Watch(folder / "reports", 2, launcher.NotedSigterm(), 60.0)
    watch._know({0, 1})
    note.unlink()
    assert watch._signal(1, 0)  # type: ignore[arg-type]
    assert not watch._signal(0, 0)  # type: ignore[arg-type]


def test_a_machine_without_loopback_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher._check_loopback()

    def unreachable(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(StorageError, match=r"localhost cannot be reached \(Network is unreachable\): .* its loopback"):
        launcher._check_loopback()


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE])
def test_ranks_that_cannot_be_started_are_one_line(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    handler = "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler"
    monkeypatch.setattr(f"{handler}._popen", fork)
    with pytest.raises(StorageError, match=rf"2 processes .* cannot be started: {os.strerror(number)}: a limit"):
        launcher.launch(get_stage("train-base"), params(), tmp_path, 2)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["params.json", "reports"])
def test_a_full_folder_for_temporary_files_ends_the_stage_before_any_rank_begins(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, make = Path.write_text, Path.mkdir

    def on_write(self: Path, *arguments: Any, **named: Any) -> int:
        return full() if self.name == where else write(self, *arguments, **named)

    def on_make(self: Path, *arguments: Any, **named: Any) -> None:
        return full() if self.name == where else make(self, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", on_write)
    monkeypatch.setattr(Path, "mkdir", on_make)
    with pytest.raises(StorageError, match=r"walt-scratch-.*: No space left on device; .*, or set TMPDIR to a folder"):
        launcher.launch(get_stage("train-base"), params(), tmp_path, 2)
