"""Curves of a run that was cut off and goes on: one point for each step, whatever was out of reach meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow.entities import Run as MlflowRun

from tests.support.tracking import CONFIG, DOWN, client_of, runs_of
from tests.support.waiting import comes_true
from walt.core.errors import TerminatedError
from walt.tracking import runs, server
from walt.tracking.config import TrackingConfig
from walt.tracking.runs import COURSE_TAG, Run, deliver, start_run
from walt.tracking.spool import pending, spool_folder
from walt.training import continuation
from walt.training.continuation import Beginning

pytestmark = pytest.mark.usefixtures("mlflow_is_asked_once")


def points(root: Path, run: MlflowRun, name: str = "loss") -> list[tuple[int, float]]:
    """Step and value of each point, as MLflow's page and its compare view draw them."""
    return sorted((it.step, it.value) for it in client_of(root).get_metric_history(run.info.run_id, name))


def loss(step: int) -> float:
    return 1.0 / (1 + step)


def train(
    root: Path, config: TrackingConfig, steps: Iterable[int], ends: bool = False, course: str = "", **tags: str
) -> None:
    """Log a loss at each of these steps, and the state of the machine; then end, or be stopped."""

    def body(run: Run) -> None:
        for step in steps:
            run.log_metrics({"loss": loss(step), "lr": 0.1}, step)
        if not ends:
            raise TerminatedError("now")

    tags |= {COURSE_TAG: course} if course else {}
    with suppress(TerminatedError), start_run(config, root, "train-base", {"seed": 1}, tags) as run:
        body(run)


def test_steps_that_are_taken_again_are_one_point_each(root: Path) -> None:
    train(root, CONFIG, range(1, 8))
    train(root, CONFIG, range(4, 11), ends=True)  # the checkpoint is of step 3
    [run] = runs_of(root)
    assert points(root, run) == [(step, loss(step)) for step in range(1, 11)]
    assert points(root, run, "lr") == [(step, 0.1) for step in range(1, 11)]


def test_a_curve_that_the_earlier_process_did_not_have_is_whole(root: Path) -> None:
    train(root, CONFIG, range(1, 8))
    with start_run(CONFIG, root, "train-base", {"seed": 1}, {}) as run:
        run.log_metrics({"loss": 0.5, "validation/loss": 0.25}, 4)
    [stored] = runs_of(root)
    assert points(root, stored, "validation/loss") == [(4, 0.25)]
    assert len(points(root, stored)) == 7


@pytest.mark.parametrize("away", [(1,), (2,), (1, 2), (2, 3), (1, 2, 3), (3,)])
def test_so_it_is_where_mlflow_was_away_and_gets_the_figures_later(root: Path, away: tuple[int, ...]) -> None:
    for start, steps in enumerate((range(1, 8), range(4, 12), range(7, 16)), start=1):
        train(root, DOWN if start in away else CONFIG, steps, ends=start == 3)
    deliver(CONFIG, root)
    [run] = runs_of(root)
    assert points(root, run) == [(step, loss(step)) for step in range(1, 16)]
    assert run.info.status == "FINISHED"


def test_figures_that_are_delivered_in_another_order_are_all_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(root, DOWN, range(1, 8))
    train(root, DOWN, range(4, 12))
    backwards = list(pending(root))[::-1]
    assert len(backwards) == 2
    monkeypatch.setattr("walt.tracking.runs.pending", lambda _root: iter(backwards))
    deliver(CONFIG, root)
    [run] = runs_of(root)
    assert points(root, run) == [(step, loss(step)) for step in range(1, 12)]
    assert not list(spool_folder(root).iterdir())


def test_a_delivery_that_breaks_off_and_a_start_that_goes_on_leave_no_doubles(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(root, DOWN, range(1, 8))
    real, calls = runs.write_record, 0

    def write(connection: server.Connection, run_id: str, record: dict[str, object]) -> str | None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise ConnectionError("again")
        return real(connection, run_id, record)

    monkeypatch.setattr(runs, "write_record", write)
    with pytest.raises(server.UnreachableError, match="again"):
        deliver(CONFIG, root)
    train(root, CONFIG, range(4, 11), ends=True)
    [run] = runs_of(root)
    assert points(root, run) == [(step, loss(step)) for step in range(1, 11)]


def test_a_training_and_its_run_call_a_course_the_same() -> None:
    change = {"step": 3, "kind": "another result", "differences": ["walt/transformer/model.py changed"]}
    harmless = {"step": 2, "kind": "harmless", "differences": ["compute.devices 2 -> 1"]}
    assert continuation.COURSE_TAG == COURSE_TAG
    courses = [
        Beginning(*arguments).tags().get(COURSE_TAG)
        for arguments in ((0, []), (0, [], 1), (5, [change]), (5, [change], 1), (5, [harmless, change]))
    ]
    assert courses[0] is None
    assert len({*courses}) == 4, "one of these does what it should not"
    assert courses[4] == courses[2]
    assert COURSE_TAG not in Beginning(5, [harmless]).tags()


def test_another_course_is_another_run(root: Path) -> None:
    """The same settings and data with other code, or afresh: values of both in one curve would be of neither."""
    train(root, CONFIG, range(1, 8))
    train(root, CONFIG, range(4, 8), course="walt/transformer/model.py changed")
    train(root, CONFIG, range(5, 11), course="walt/transformer/model.py changed", ends=True)
    curves = sorted(points(root, run) for run in runs_of(root))
    assert [[step for step, _ in curve] for curve in curves] == [list(range(1, 8)), list(range(4, 11))]
    assert {run.info.status for run in runs_of(root)} == {"KILLED", "FINISHED"}


def test_where_mlflow_is_away_the_run_of_another_course_is_closed_later(root: Path) -> None:
    train(root, CONFIG, range(1, 4))
    [first] = runs_of(root)
    client_of(root).update_run(first.info.run_id, status="RUNNING")  # as a kill leaves it
    train(root, DOWN, range(1, 6), course="afresh")
    train(root, CONFIG, range(3, 8), course="afresh", ends=True)
    found = {run.info.run_id: run for run in runs_of(root)}
    assert found.pop(first.info.run_id).info.status == "KILLED"
    [other] = found.values()
    assert [step for step, _ in points(root, other)] == list(range(1, 8))


def test_what_changed_is_a_tag_of_the_run_that_goes_on(root: Path) -> None:
    train(root, CONFIG, range(1, 4))
    train(root, CONFIG, range(3, 6), changes="step 2: compute.devices 2 -> 1")
    [run] = runs_of(root)
    assert run.data.tags["changes"] == "step 2: compute.devices 2 -> 1"


def test_the_machines_state_goes_on_by_step_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    watched, name = CONFIG.model_copy(update={"system_metrics": True}), "system/cpu_utilization_percentage"

    def go(wanted: int) -> None:
        with suppress(TerminatedError), start_run(watched, root, "train-base", {"seed": 1}, {}) as run:
            run_id, client = run.run_id, client_of(root)
            assert run_id is not None
            assert comes_true(lambda: len(client.get_metric_history(run_id, name)) >= wanted)
            raise TerminatedError("now")

    go(2)
    go(4)
    [stored] = runs_of(root)
    steps = [step for step, _ in points(root, stored, name)]
    assert steps == list(range(len(steps)))
