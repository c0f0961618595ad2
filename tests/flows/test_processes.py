"""``run_command``: whatever happens, nothing that it started is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flows import guard
from flows.processes import command_environment, run_command
from tests.support.waiting import comes_true
from walt.core.stopping import STOPPING_FILE, note_checkpoint_seconds, seconds_to_stop

# A stage with a worker in a session of its own, as the video decoders have. On SIGTERM it writes a checkpoint, for
# which it needs its worker alive; a deaf one ignores SIGTERM.
_STAGE = """
import os, pathlib, signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
def checkpoint(*_):
    if "slow" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the guard sends it again when the time is over
        time.sleep(7)
    pathlib.Path("checkpoint").write_text("alive" if worker.poll() is None else "dead")
    sys.exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in sys.argv else checkpoint)
print("working", flush=True)  # before the flow may be killed: after it, nobody reads
pathlib.Path("pids.tmp").write_text(f"{os.getpid()} {worker.pid}")
os.replace("pids.tmp", "pids")
time.sleep(300)
"""


def _stage(folder: Path, *arguments: str) -> list[str]:
    (folder / "stage.py").write_text(_STAGE)
    # a shell around it, as dvc has
    return ["sh", "-c", f"{sys.executable} stage.py {' '.join(arguments)}; exit $?"]


def _wait_for_pids(folder: Path) -> list[int]:
    assert comes_true((folder / "pids").is_file), "the stage did not start"
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def _alive(pids: list[int]) -> list[int]:
    alive = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # it may end between two looks
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.append(pid)
    return alive


def test_output_and_status_come_back(tmp_path: Path) -> None:
    lines: list[str] = []
    command = ["sh", "-c", "echo one; echo two >&2; echo $KEY; exit 4"]
    ended = run_command(command, tmp_path, {"KEY": "three"}, lines.append, lambda: None)
    assert ended.status == 4
    assert lines == list(ended.lines) == ["one", "two", "three"]


def test_no_line_has_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever program says it: a flow's log is read by others than those who know the password."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-value")
    lines: list[str] = []
    said = "failed to push s3://me:planted@host/a of $AWS_SECRET_ACCESS_KEY"
    ended = run_command(["sh", "-c", f"echo {said} >&2; exit 1"], tmp_path, {}, lines.append, lambda: None)
    assert lines == list(ended.lines) == ["failed to push s3://***@host/a of ***"]


def test_what_dvc_says_after_every_stage_is_not_shown(tmp_path: Path) -> None:
    lines: list[str] = []
    said = "\n".join(
        (
            "Updating lock file 'dvc.lock'", "To track the changes with git, run:", "", "\tgit add dvc.lock", "",
            "To enable auto staging, run:", "", "\tdvc config core.autostage true",
            "Use `dvc push` to send your updates to remote storage.", "ingest -> data",
        )
    )  # fmt: skip
    run_command(["echo", said], tmp_path, {}, lines.append, lambda: None)
    assert lines == ["ingest -> data"]


def test_a_command_killed_by_a_signal_ends_as_in_a_shell(tmp_path: Path) -> None:
    ended = run_command(["sh", "-c", "kill -9 $$"], tmp_path, {}, print, lambda: None)
    assert ended.status == 128 + signal.SIGKILL


def test_what_a_finished_command_leaves_behind_is_stopped(tmp_path: Path) -> None:
    ended = run_command(["sh", "-c", "sleep 300 & echo $!"], tmp_path, {}, print, lambda: None)
    assert ended.status == 0
    assert not _alive([int(ended.lines[0])])


def test_an_interrupt_lets_the_stage_write_its_checkpoint_first(tmp_path: Path) -> None:
    def interrupt() -> None:
        if (tmp_path / "pids").is_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command(_stage(tmp_path), tmp_path, {}, print, interrupt, grace_seconds=20)
    assert (tmp_path / "checkpoint").read_text() == "alive", "the workers were stopped before the stage"
    assert not _alive(_wait_for_pids(tmp_path))


def test_the_time_to_stop_is_what_the_stage_noted_and_at_least_the_least(tmp_path: Path) -> None:
    file = tmp_path / STOPPING_FILE
    assert guard._grace(60.0, file) == seconds_to_stop(tmp_path) == 60.0
    for checkpoint_seconds, expected in ((100.0, 200.0), (7.0, 60.0)):
        note_checkpoint_seconds(tmp_path, checkpoint_seconds)
        assert guard._grace(60.0, file) == seconds_to_stop(tmp_path) == expected
    for damaged in ("", "{}", "[1]", '{"seconds": null}', "\0"):
        file.write_text(damaged)
        assert guard._grace(60.0, file) == seconds_to_stop(tmp_path) == 60.0


@pytest.mark.slow
@pytest.mark.parametrize(("needed", "finished"), [(20.0, True), (0.1, False)])
def test_a_stage_gets_the_time_that_it_says_it_needs(tmp_path: Path, needed: float, finished: bool) -> None:
    """Its checkpoint takes seconds, the least that every stage gets is less; what it says counts when it is stopped."""
    command = _stage(tmp_path, "slow")

    def interrupt() -> None:
        if (tmp_path / "pids").is_file():
            (tmp_path / "stopping.json").write_text(json.dumps({"seconds": needed}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command(
            command, tmp_path, {}, print, interrupt, grace_seconds=0.2, stopping_file=tmp_path / "stopping.json"
        )
    assert (tmp_path / "checkpoint").exists() == finished
    assert not _alive(_wait_for_pids(tmp_path))


@pytest.mark.slow
def test_a_stage_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    def interrupt() -> None:
        if (tmp_path / "pids").is_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command(_stage(tmp_path, "deaf"), tmp_path, {}, print, interrupt, grace_seconds=0.5)
    assert not _alive(_wait_for_pids(tmp_path))


def test_the_stage_is_stopped_when_the_flow_process_is_killed(tmp_path: Path) -> None:
    """SIGKILL gives the caller no chance to do anything: its guard sees the pipe close."""
    command = _stage(tmp_path)
    code = (
        "from pathlib import Path; from flows.processes import run_command; "
        f"run_command({command!r}, Path({str(tmp_path)!r}), {{}}, print, lambda: None)"
    )
    root = Path(__file__).parents[2]
    flow = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.DEVNULL)
    pids = _wait_for_pids(tmp_path)
    assert len(_alive(pids)) == 2
    flow.kill()
    flow.wait()
    assert comes_true(lambda: not _alive(pids)), "the stage goes on"
    assert (tmp_path / "checkpoint").read_text() == "alive"


def test_the_interpreters_commands_come_first_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/elsewhere")
    path = command_environment({})["PATH"].split(os.pathsep)
    assert path == [str(Path(sys.executable).parent), "/elsewhere"]
