"""A training that is killed from outside and goes on has one point for each step in MLflow, and the same curve."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import OperationalError, connect
from typing import Any

import pytest
import torch

from tests.support.forked_stages import ForkedStages
from tests.support.ranks_project import set_parameters, steps_saved, wait_for, weights, write_project
from tests.support.tracking import CONFIG, DOWN, client_of, runs_of
from walt.core.storage import read_json
from walt.tracking.runs import deliver
from walt.tracking.spool import spool_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
STEPS = 64
TRAINING: dict[str, Any] = {"steps": STEPS, "batch_size": 8, "log_every": 1, "checkpoint_every": 10}


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """Of trainings that are stopped on the way."""
    return on_disk


def last_logged(root: Path, _: int) -> int:
    """The last step of the loss in the database; 0 where it has none, or the training is about to write."""
    with suppress(OperationalError), closing(connect(root / "mlflow.db", timeout=0.0)) as database:
        return database.execute("SELECT max(step) FROM metrics WHERE key = 'loss'").fetchone()[0] or 0
    return 0


def last_kept(root: Path, before: int) -> int:
    """The last step in the spool that is being written, of a start after the step ``before``."""
    files = sorted(spool_folder(root).glob("*/records.jsonl"))
    return before + files[-1].read_text().count('"grad_norm"') if files else 0


def kill(stages: ForkedStages, root: Path, last_step: Callable[[Path, int], int]) -> None:
    """Start the training and kill it when its curves have a step that no checkpoint has, after the first one of this
    start. It stands still while that is looked at: on a busy machine a look may take longer than the training.

    Args:
        last_step: of the curves, given the project and the step of the last checkpoint before this start.
    """
    work = root / "work/train-base"
    before = max(steps_saved(work), default=0)
    process = stages(root, "train-base")

    def stands_between() -> bool:
        if max(steps_saved(work), default=0) <= before:
            return False
        pids = [process.pid, *process.ranks()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if last_step(root, before) > max(steps_saved(work)):
            return True
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        return False

    wait_for(process, stands_between)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def check(root: Path, exact: bool = True) -> None:
    """Each curve has each of its steps once, with the values of the published model's history; up to rounding where
    not ``exact``."""
    [run] = runs_of(root)
    assert run.info.status == "FINISHED"
    client = client_of(root)
    names = [name for name in run.data.metrics if not name.startswith("system/")]
    curves = {name: client.get_metric_history(run.info.run_id, name) for name in names}
    assert {"loss", "grad_norm", "lr"} <= set(curves)
    for name, curve in curves.items():
        steps = sorted(point.step for point in curve)
        assert len(steps) == len(set(steps)), f"{name} has points twice: {steps}"
    history = {int(line["step"]): line["loss"] for line in read_json(root / "models/base/history.json")}
    found = {point.step: point.value for point in curves["loss"]}
    assert found == (history if exact else pytest.approx(history, rel=1e-2))
    assert set(history) == set(range(1, STEPS + 1))


def test_after_a_kill(tmp_path: Path, empty_database: Path, stages: ForkedStages) -> None:
    root = write_project(tmp_path, empty_database, train_base=TRAINING)
    kill(stages, root, last_logged)
    assert last_logged(root, 0) > max(steps_saved(root / "work/train-base")), "nothing is taken again"
    assert "resumed at step" in stages.finish(root, "train-base")
    check(root)


def test_after_kills_while_mlflow_was_away(tmp_path: Path, empty_database: Path, stages: ForkedStages) -> None:
    """From the start, and killed; then killed again; then it is back."""
    away = {"tracking": {"uri": DOWN.uri}}
    root = write_project(tmp_path, empty_database, train_base=TRAINING, **away)
    kill(stages, root, last_kept)
    kill(stages, root, last_kept)
    set_parameters(root, train_base=TRAINING)
    stages.finish(root, "train-base")
    deliver(CONFIG, root)
    check(root)


def test_killed_on_two_ranks_and_resumed_on_one_and_on_four(
    tmp_path: Path, empty_database: Path, stages: ForkedStages
) -> None:
    calm = write_project(tmp_path / "calm", empty_database, train_base=TRAINING, compute={"devices": 2})
    stages.finish(calm, "train-base")
    root = write_project(tmp_path / "4", empty_database, train_base=TRAINING, compute={"devices": 2})
    kill(stages, root, last_logged)
    shutil.copytree(root, tmp_path / "1", symlinks=True)
    expected = {line["step"]: line["loss"] for line in read_json(calm / "models/base/history.json")}
    for devices in (1, 4):
        other = tmp_path / str(devices)
        set_parameters(other, train_base=TRAINING, compute={"devices": devices})
        assert "resumed at step" in stages.finish(other, "train-base")
        found = {line["step"]: line["loss"] for line in read_json(other / "models/base/history.json")}
        assert found == pytest.approx(expected, rel=1e-2)
        for name, value in weights(calm / "models/base").items():
            torch.testing.assert_close(weights(other / "models/base")[name], value, rtol=1e-2, atol=1e-3)
    check(root, exact=False)
