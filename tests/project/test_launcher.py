"""A stage on two devices of this machine: one command, one result, one error; a lost process loses little."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.forked_stages import ERRORS, PRINTED, ForkedStages
from tests.support.ranks_project import (
    set_parameters,
    start,
    steps_saved,
    wait_for,
    weights,
    write_project,
)
from walt.core.errors import ConfigurationError, DivergedError, StorageError, TerminatedError
from walt.core.storage import read_json
from walt.project.launcher import result_of, traces_of, words_on_memory

OK = {"status": 0, "figures": {"loss": 0.5}, "lost": False, "time": 9.0}
LOST = {"status": 4, "message": "Connection closed by peer", "lost": True, "time": 1.0}


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """Of trainings that are stopped on the way."""
    return on_disk


def failed(status: int, message: str, when: float) -> dict[str, Any]:
    return {"status": status, "message": message, "lost": False, "time": when}


def test_the_figures_are_those_of_the_first_rank() -> None:
    assert result_of({0: OK, 1: {**OK, "figures": {}}}, {}, 2, 30) == {"loss": 0.5}


@pytest.mark.parametrize(
    ("reports", "ended", "error", "message"),
    [
        ({0: LOST, 1: failed(2, "train_base: wrong", 2.0)}, {0: 4}, ConfigurationError, "^train_base: wrong$"),
        ({0: failed(143, "later", 3.0), 1: failed(143, "first", 2.0)}, {0: 143}, TerminatedError, "^first$"),
        ({0: LOST, 1: failed(1, "KeyError: 'x'", 2.0)}, {1: 1}, RuntimeError, "^rank 1 of 2: KeyError: 'x'$"),
        ({0: LOST}, {1: -9}, StorageError, r"^rank 1 of 2 was killed \(SIGKILL\); run again"),
        ({0: LOST}, {0: 4, 1: -64}, StorageError, r"^rank 1 of 2 was killed \(SIG"),
        ({}, {0: -15, 1: -11}, StorageError, r"^rank 1 of 2 was killed \(SIGSEGV\); run again"),  # torch ended rank 0
        ({}, {0: -15, 1: -9}, StorageError, r"^rank 1 of 2 was killed \(SIGKILL\); run again"),
        ({0: LOST, 1: LOST}, {0: 4}, StorageError, "lost each other: Connection closed"),
        ({1: LOST}, {0: -15, 1: 4}, StorageError, "lost each other: Connection closed"),  # torch ended rank 0
        ({0: OK}, {}, StorageError, "lost each other"),
        ({0: OK, 1: LOST}, {1: 4}, StorageError, "lost each other"),
        (
            {0: {**LOST, "waited": True}}, {0: 4, 1: -9}, StorageError,
            r"^rank 1 of 2 did not answer for 0\.5 minutes \(compute\.rank_timeout_minutes\), and was ended; run again",
        ),
    ],
)  # fmt: skip
def test_the_error_is_of_the_rank_that_failed_first(
    reports: dict[int, Any], ended: dict[int, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        result_of(reports, ended, 2, 0.5)


def test_a_rank_that_said_nothing_is_traced(tmp_path: Path) -> None:
    reports, work = tmp_path / "reports", tmp_path / "work/train-base"
    reports.mkdir()
    (reports / "0.progress").write_bytes(b"7/16 steps\0\0")
    (reports / "0.stack").write_text("Fatal Python error\n")
    (reports / "1.progress").write_bytes(b"6/16 steps\0\0")
    traces = traces_of(reports, {0, 1, 2}, {0: -signal.SIGSEGV, 1: -signal.SIGTERM}, work)
    kept = work / "rank-0-stack.txt"
    where = f" at 7/16 steps; where it was in the code is in {kept}"
    assert traces == {0: where, 1: " at 6/16 steps", 2: ""}
    assert kept.read_text() == "rank 0 at 7/16 steps, ended by SIGSEGV\n\nFatal Python error\n\n"
    with pytest.raises(StorageError, match=re.escape(f"rank 0 of 3 was killed (SIGSEGV){where}; run again")):
        result_of({}, {0: -signal.SIGSEGV, 1: -signal.SIGTERM}, 3, 0.5, traces=traces)
    with pytest.raises(StorageError, match=r"and was ended: rank 1 at 6/16 steps; run again"):
        result_of({0: {**LOST, "waited": True}}, {1: -signal.SIGKILL}, 2, 0.5, traces={1: traces[1]})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (4, 6, "; for lack of memory the system has killed 2 meanwhile"),
        (4, 4, "; not for lack of memory, says the system"),
        (None, 4, ", as the system does where memory runs out"),
    ],
)
def test_a_rank_that_is_killed_as_where_memory_runs_out(before: int | None, after: int, said: str) -> None:
    memory = words_on_memory(before, after)
    with pytest.raises(StorageError, match=re.escape(f"rank 1 of 2 was killed (SIGKILL{said}) at 7/16 steps; run")):
        result_of({0: LOST}, {1: -9}, 2, 0.5, traces={1: " at 7/16 steps"}, memory=memory)
    with pytest.raises(StorageError, match=re.escape("rank 1 of 2 was killed (SIGSEGV); run")):
        result_of({0: LOST}, {1: -11}, 2, 0.5, memory=memory)
    with pytest.raises(StorageError, match=re.escape("did not stop in time, and was ended; run")):  # by us
        result_of({}, {1: -9}, 2, 0.5, terminated=True, memory=memory)


@pytest.mark.parametrize(
    ("reports", "ended", "error", "message"),
    [
        ({}, {0: -15, 1: -15}, TerminatedError, "^SIGTERM ended the 2 processes"),
        ({1: LOST}, {0: -15}, TerminatedError, "^SIGTERM ended the 2 processes"),
        ({1: failed(7, "diverged", 2.0)}, {1: 7}, DivergedError, "^diverged$"),
        ({}, {0: -9, 1: -9}, StorageError, r"^SIGTERM, and rank 0 of 2 did not stop in time, and was ended; run again"),
    ],
)
def test_sigterm_is_the_cause_where_no_rank_says_another(
    reports: dict[int, Any], ended: dict[int, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        result_of(reports, ended, 2, 0.5, terminated=True)


@pytest.mark.slow
def test_a_stage_is_stopped_as_one_loses_a_rank_and_goes_on_with_other_numbers(
    tmp_path: Path, empty_database: Path, stages: ForkedStages
) -> None:
    """The first start is as a person's, whose processes import all; the others are forked with it, and then are not
    different."""
    long = {"steps": 60, "batch_size": 8, "checkpoint_every": 1, "log_every": 1}
    root = write_project(tmp_path / "p", empty_database, train_base=long, compute={"devices": 2})
    work = root / "work/train-base"
    process = start(root, "train-base")
    wait_for(process, lambda: steps_saved(work))
    process.send_signal(signal.SIGTERM)
    printed, errors = process.communicate()
    assert process.returncode == 143, errors
    assert "SIGTERM at step" in errors
    assert "Traceback" not in errors
    assert printed.count("train-base: ") <= 2, "one rank speaks"
    first = max(steps_saved(work))

    process = stages(root, "train-base")
    wait_for(process, lambda: max(steps_saved(work)) > first)
    victim = process.ranks()[1]
    os.kill(victim, signal.SIGSEGV)  # as a fault in a library ends it
    printed, errors = process.communicate()
    assert f"resumed at step {first}" in printed
    assert process.wait() == 4, errors
    stack = work / "rank-1-stack.txt"
    message = rf"walt: rank 1 of 2 was killed \(SIGSEGV\) at \d+/60 steps; where it was in the code is in {stack}; run"
    assert re.match(message, errors.splitlines()[-1])
    assert "Segmentation fault" in stack.read_text()
    assert "walt/training/loop.py" in stack.read_text()

    set_parameters(root, train_base=long, compute={"devices": 1})
    stages.finish(root, "train-base")
    whole = write_project(tmp_path / "q", empty_database, train_base=long)
    stages.finish(whole, "train-base")
    one, other = (weights(folder / "models/base") for folder in (root, whole))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-2, atol=1e-3)
    curves = [read_json(folder / "models/base/history.json") for folder in (root, whole)]
    for line, also in zip(*curves, strict=True):
        assert also == pytest.approx(line, rel=1e-2, abs=1e-4)


@pytest.mark.slow
def test_the_message_of_the_rank_that_fails_is_the_stages(
    tmp_path: Path, empty_database: Path, stages: ForkedStages
) -> None:
    root = write_project(
        tmp_path, empty_database, compute={"devices": 2}, base={"text_width": 24}, text={"encoder": "somewhere"}
    )
    process = stages(root, "train-base")
    _, errors = process.communicate()
    assert process.wait() == 2
    assert errors.splitlines()[-1].startswith("walt: base.text_width is 24, but")
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_training_whose_reader_has_gone_finishes(tmp_path: Path, empty_database: Path, stages: ForkedStages) -> None:
    long = {"steps": 30, "batch_size": 8, "checkpoint_every": 1, "log_every": 1, "spike_threshold": 0.0001}
    root = write_project(tmp_path, empty_database, train_base=long, compute={"devices": 2})
    os.mkfifo(root / PRINTED)
    process = stages(root, "train-base")
    with open(root / PRINTED, encoding="utf-8"):
        wait_for(process, lambda: steps_saved(root / "work/train-base"))
    # closed, as `| head` does
    assert process.wait() == 0, (root / ERRORS).read_text(encoding="utf-8")
    assert max(steps_saved(root / "work/train-base")) == 30
