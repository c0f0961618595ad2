"""The loop: exact resume, and what happens when a run goes wrong."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.tiny_loop import STEPS, Killed, assert_same, files_of, kill_at, loop_config, make_model, run
from walt.core.errors import ConfigurationError, DivergedError, TerminatedError
from walt.training import continuation, loop
from walt.training.loop import TrainingResult


@pytest.mark.usefixtures("bf16_on_any_processor")
@pytest.mark.parametrize(
    ("changes", "checkpoint_every"),
    [
        pytest.param({}, 1, marks=pytest.mark.slow),
        ({}, 2),
        ({"precision": "bf16", "ema_decay": 0.0}, 2),
        ({"optimizer": {"name": "adafactor"}}, 2),
        pytest.param({"optimizer": {"name": "muon"}}, 1, marks=pytest.mark.slow),
        ({"optimizer": {"name": "muon"}}, 2),
    ],
)
def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path, changes: dict[str, Any], checkpoint_every: int) -> None:
    """Killed at step 1, mid-epoch 1, at the epoch's edge, mid-epoch 2, at the last step; also all one after another."""
    config = loop_config(checkpoint_every=checkpoint_every, **changes)
    undisturbed = run(tmp_path / "undisturbed", config)
    kills = (1, 2, 3, 4, 5, STEPS - 1)
    for step in kills:
        work = tmp_path / str(step)
        with pytest.raises(Killed):
            run(work, config, kill_at(step))
        assert_same(run(work, config), undisturbed)
    for step in kills:
        with pytest.raises(Killed):
            run(tmp_path / "often", config, kill_at(step))
    assert_same(run(tmp_path / "often", config), undisturbed)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert_same(run(tmp_path, before=kill_at(0)), first)


@pytest.mark.slow
def test_training_learns_and_returns_the_average(tmp_path: Path) -> None:
    config = loop_config(steps=60, checkpoint_every=60, optimizer={"schedule": "constant"})
    model = make_model()
    result = run(tmp_path / "a", config, model=model)
    assert result.history[-1]["loss"] < 0.7 * result.history[0]["loss"]
    raw = model.state_dict()
    assert all(not torch.equal(value, raw[name]) for name, value in result.state_dict.items())
    assert all(torch.allclose(value, raw[name], atol=0.1) for name, value in result.state_dict.items())
    model = make_model()
    result = run(tmp_path / "b", config.model_copy(update={"ema_decay": 0.0}), model=model)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in result.state_dict.items())
    assert all(value.is_contiguous() for value in result.state_dict.values())


def test_the_log_has_means_of_what_came_since_the_last_line(tmp_path: Path) -> None:
    each: list[tuple[int, dict[str, float]]] = []
    pairs: list[tuple[int, dict[str, float]]] = []
    every = run(tmp_path / "a", loop_config(log_every=1), logged=each)
    result = run(tmp_path / "b", loop_config(log_every=4), logged=pairs)
    assert [step for step, _ in each] == list(range(1, STEPS + 1))
    assert [step for step, _ in pairs] == [4, 8, 9]
    assert result.history == [{"step": step, **metrics} for step, metrics in pairs]
    for name in ("loss", "half", "grad_norm"):
        assert pairs[0][1][name] == pytest.approx(sum(metrics[name] for _, metrics in each[:4]) / 4)
        assert pairs[2][1][name] == each[8][1][name]
    assert pairs[0][1]["lr"] == each[3][1]["lr"]
    assert all(torch.equal(value, result.state_dict[name]) for name, value in every.state_dict.items())


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_before_the_step(tmp_path: Path, factor: float) -> None:
    model = make_model()
    weights: list[dict[str, Tensor]] = []

    def before(step: int) -> None:
        weights.append({name: value.clone() for name, value in model.state_dict().items()})

    config = loop_config(checkpoint_every=2, skip_non_finite=0)
    with pytest.raises(
        DivergedError, match=r"tiny: loss (nan|inf).* at step 5; the checkpoint of step 4 is kept"
    ) as error:
        run(tmp_path, config, before, lambda step: factor if step == 5 else 1.0, model=model)
    assert error.value.exit_status == 7
    assert all(torch.equal(value, weights[-1][name]) for name, value in model.state_dict().items())
    steps: list[int] = []
    run(tmp_path, loop_config(checkpoint_every=2), steps.append)
    assert steps[0] == 4


def test_a_gradient_that_is_not_finite_ends_it_too(tmp_path: Path) -> None:
    model = make_model()
    model[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match="grad_norm inf, after 5 in a row that were skipped, at step 5; no ch"):
        run(tmp_path, model=model)


def test_sigterm_writes_a_checkpoint_and_gives_the_handler_back(tmp_path: Path) -> None:
    config = loop_config(checkpoint_every=100)
    before = signal.getsignal(signal.SIGTERM)

    def terminate(step: int) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TerminatedError, match="step 5") as error:
        run(tmp_path / "a", config, terminate)
    assert error.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) is before
    steps: list[int] = []
    assert_same(run(tmp_path / "a", config, steps.append), run(tmp_path / "b", config))
    assert steps == [5, 6, 7, 8]
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_runs_outside_the_main_thread(tmp_path: Path) -> None:
    results: list[TrainingResult] = []
    thread = threading.Thread(target=lambda: results.append(run(tmp_path / "thread")))
    thread.start()
    thread.join()
    assert_same(results[0], run(tmp_path / "main"))


def test_weights_of_another_shape_are_refused_and_stay(tmp_path: Path) -> None:
    """Where the identity does not tell: the first parameter that differs is named."""
    run(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(ConfigurationError, match=r"step 9 is of another model, 4\.bias is absent there and \(2,\) in"):
        run(tmp_path, model=make_model().append(nn.Conv3d(2, 2, 1)))
    assert files_of(tmp_path) == before


def test_how_often_checkpoints_are_written_is_no_change(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, loop_config(checkpoint_every=2), kill_at(5))
    steps: list[int] = []
    run(tmp_path, loop_config(checkpoint_every=3), steps.append)
    assert steps[0] == 4


def test_the_first_rank_alone_sets_a_damaged_checkpoint_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others look when it has done so: they would find a half of what it moves."""
    entered: list[bool] = []
    plain = continuation.resume

    @contextmanager
    def first_goes_ahead() -> Iterator[None]:
        entered.append(True)
        yield
        entered.pop()

    def resume(*arguments: Any) -> Any:
        assert entered, "all ranks at once"
        return plain(*arguments)

    monkeypatch.setattr(loop, "first_goes_ahead", first_goes_ahead)
    monkeypatch.setattr(continuation, "resume", resume)
    run(tmp_path, loop_config(steps=1))
    assert not entered


def test_a_damaged_newest_checkpoint_changes_no_bit_of_the_result(tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    with pytest.raises(Killed):
        run(tmp_path / "a", before=kill_at(5))
    file = tmp_path / "a" / "step-000000005" / "optimizer.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 4
    file.write_bytes(content)
    steps: list[int] = []
    assert_same(run(tmp_path / "a", before=steps.append), undisturbed)
    assert steps[0] == 4
