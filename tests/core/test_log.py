"""What a person and a workflow engine see of long work."""

from __future__ import annotations

import json
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
