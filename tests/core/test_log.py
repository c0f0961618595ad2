"""What a person and a workflow engine see of long work."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from walt.core import log
from walt.core.log import PROGRESS_FILE_VARIABLE, ProgressBar


class Clock:
    """A clock that the test moves forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log, "time", clock)
    return clock


def test_rates_counts_and_time_left(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PROGRESS_FILE_VARIABLE, str(tmp_path / "progress.json"))
    with ProgressBar("ingest: decoding", 20, "videos", 4, meters=("clips", "MB"), counters=("rejects",)) as bar:
        bar.advance(0, rejects=1)
        clock.now += 2
        bar.advance(5, clips=20, MB=7, rejects=1)
        clock.now += 1
        bar.advance(clips=4, MB=5)
        state = json.loads((tmp_path / "progress.json").read_text())
        assert (state["completed"], state["total"], state["rate"]) == (9, 20, 2.5)  # a file a second at most
        clock.now += 15
        bar.advance(0)
    line = "ingest: decoding: 10/20 videos, 0.3 videos/s, 30 s left, 1.3 clips/s, 0.7 MB/s, 2 rejects"
    printed = capsys.readouterr().out.splitlines()
    assert printed == [line, f"{line}, done"]
    state = json.loads((tmp_path / "progress.json").read_text())
    assert state["per_second"] == {"clips": 24 / 18, "MB": 12 / 18}
    assert state["counts"] == {"rejects": 2}
    assert state["seconds_left"] == 30
    assert state["note"] == "1.3 clips/s, 0.7 MB/s, 2 rejects"


def test_what_is_not_declared_is_not_counted() -> None:
    with ProgressBar("x", 1, "steps") as bar, pytest.raises(KeyError):
        bar.advance(clips=1)


def closed_pipe() -> int:
    """The end to write to; nobody reads it."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def closed_terminal() -> int:
    ours, its = pty.openpty()
    os.close(ours)
    return its


@pytest.mark.parametrize(
    "descriptor", [closed_pipe, closed_terminal, lambda: os.open("/dev/full", os.O_WRONLY)], ids=["pipe", "tty", "full"]
)
def test_what_nobody_can_read_any_more_ends_nothing(
    descriptor: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for name in ("stdout", "stderr"):
            stream = open(descriptor(), "w", encoding="utf-8")  # noqa: SIM115 closed when the test ends
            patch.setattr(sys, name, stream)
            patch.setattr(sys, f"__{name}__", stream)
        with pytest.raises(OSError):  # noqa: PT011 one of three
            os.write(sys.stderr.fileno(), b"so that the test can fail")
        log.outlive_readers()
        lasting = sys.stdout
        log.outlive_readers()
        assert sys.stdout is lasting
        log.info("a line")
        print("an error", file=sys.stderr, flush=True)
        with ProgressBar("train-base", 2, "steps") as bar:
            bar.advance(2)
        assert bar.completed == 2


def test_what_is_read_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    stream = open(writer, "w", encoding="utf-8")  # noqa: SIM115 closed when the test ends
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "__stdout__", stream)
    log.outlive_readers()
    log.info("a line")
    assert os.read(reader, 100) == b"a line\n"
    os.close(reader)
