"""A rank and what watches over it: a report that cannot be written, signals, the threads that it may have."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.parameters import params
from walt.core import last_words, log, storage
from walt.core.errors import ConfigurationError, StorageError, TerminatedError
from walt.core.stopping import SIGNALS, NotedSigterm
from walt.core.storage import read_json, write_json
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
    watch = launcher._Watch(folder / "reports", 2, NotedSigterm(), 60.0)
    watch._know({0, 1})
    note.unlink()
    assert watch._signal(1, 0)  # type: ignore[arg-type]
    assert not watch._signal(0, 0)  # type: ignore[arg-type]


_STUBBORN = """
import signal, sys, time
for number in map(int, sys.argv[1:]):
    signal.signal(number, lambda number, frame: print(number, flush=True))
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("came", "passed_on"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGUSR1, signal.SIGTERM), (signal.SIGHUP, signal.SIGHUP)],
)
def test_what_asks_the_stage_to_stop_is_passed_on_and_whoever_does_not_stop_is_ended(
    came: signal.Signals, passed_on: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the time that stopping may take, after it was asked where it is; a rank that has reported is left alone."""
    caught = [str(int(number)) for number in (signal.SIGTERM, signal.SIGHUP, last_words.ASK)]
    command = [sys.executable, "-S", "-c", _STUBBORN, *caught]
    noted = NotedSigterm()
    monkeypatch.setattr(launcher, "_LOOK_SECONDS", 0.4)  # so long it has for its stack; this machine may be busy
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stubborn,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ended,
    ):
        try:
            for number, process in enumerate((stubborn, ended)):
                assert process.stdout
                assert process.stdout.readline() == "ready\n"
                write_json(tmp_path / f"{number}{rank.PROCESS_SUFFIX}", process.pid)
            write_json(tmp_path / "1.json", report(0, ""))
            with launcher._Watch(tmp_path, 2, noted, 0.3):
                noted.came, noted.name = True, came.name
                assert stubborn.wait(60) == -signal.SIGKILL
            assert ended.poll() is None
        finally:
            stubborn.kill()
            ended.kill()
        assert stubborn.stdout
        assert ended.stdout
        assert stubborn.stdout.read().split() == [str(int(passed_on)), str(int(last_words.ASK))]
        assert ended.stdout.read() == ""


def test_a_rank_ends_with_the_stages_own_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[int] = []
    monkeypatch.setattr("walt.workers.killable.die_with", bound.append)
    monkeypatch.setattr(rank, "run_rank", lambda *_: report(0, ""))
    with pytest.raises(Ended, match="0"):
        rank.main()
    assert bound == [os.getppid()]


@pytest.mark.parametrize(("cores", "ranks", "own", "threads"), [(8, 3, None, "2"), (2, 4, None, "1"), (8, 2, "7", "7")])
def test_ranks_share_the_processors_unless_the_user_says_otherwise(
    cores: int, ranks: int, own: str | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "cores", lambda: cores)
    monkeypatch.delenv("WALT_LAUNCHER_PID", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if own:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    before = dict(os.environ)
    with launcher._Environment(ranks):
        assert os.environ["OMP_NUM_THREADS"] == threads
        assert os.environ["WALT_LAUNCHER_PID"] == str(os.getpid())
    assert dict(os.environ) == before


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


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_is_stopped_waits_for_the_others_and_only_the_first_is_heard(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first may still be writing the checkpoint of all; meanwhile no signal ends it."""
    waited: list[list[Any]] = []

    def stopped(*_: object) -> NoReturn:
        raise TerminatedError("SIGTERM at step 3; a checkpoint was written")

    def wait_for_all() -> None:
        waited.append([signal.getsignal(each) for each in SIGNALS])

    before = {each: signal.getsignal(each) for each in SIGNALS}
    monkeypatch.setattr("walt.nn.collectives.wait_for_all", wait_for_all)
    monkeypatch.setattr("walt.project.rank.run_here", stopped)
    monkeypatch.setattr(log.console, "quiet", False)
    monkeypatch.setenv(log.PROGRESS_FILE_VARIABLE, "progress")
    try:
        found = rank.run_rank(get_stage("train-base"), Path(), params(), number, lambda: None)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert (found["status"], found["message"]) == (143, "SIGTERM at step 3; a checkpoint was written")
    assert waited == [[signal.SIG_IGN] * len(SIGNALS)]
    assert log.console.quiet == bool(number)
    assert (log.PROGRESS_FILE_VARIABLE in os.environ) == (number == 0)
