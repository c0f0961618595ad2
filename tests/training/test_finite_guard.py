"""Steps that are not finite: skipped and recorded, up to a number in a row; a run that went wrong can go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.tiny_loop import IDENTITY, STEPS, Killed, assert_same, kill_at, loop_config, make_model, run
from tests.support.tiny_pair import ModelAndCritic
from walt.core.errors import ConfigurationError, DivergedError, TerminatedError
from walt.training import continuation
from walt.training.config import LoopConfig
from walt.training.loop import TrainingResult
from walt.training.terms import FiniteGuard

NAN = float("nan")


def bad_at(*steps: int) -> Callable[[int], float]:
    """A factor of the loss that makes it NaN in these steps."""
    return lambda step: NAN if step in steps else 1.0


def checkpoints(work: Path) -> list[int]:
    return sorted(int(folder.name.removeprefix("step-")) for folder in work.glob("step-*"))


@pytest.mark.parametrize("bad", [(0,), (4,), (2, 3), (1, 5, 6), (STEPS - 1,)])
def test_such_steps_are_skipped_and_recorded(
    tmp_path: Path, bad: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model()
    seen: list[dict[str, Tensor]] = []

    def before(step: int) -> None:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})

    result = run(tmp_path, loop_config(skip_non_finite=2, log_every=1), before, bad_at(*bad), model=model)
    assert result.skipped == bad
    seen.append(model.state_dict())
    for step in range(STEPS):  # the weights stay as they are in exactly these steps
        same = all(torch.equal(value, seen[step + 1][name]) for name, value in seen[step].items())
        assert same == (step in bad), step
    logged = {int(line["step"]): line for line in result.history}
    assert logged.keys() == {step + 1 for step in range(STEPS) if step not in bad}
    assert all(line["loss"] == line["loss"] for line in result.history), "NaN is in no mean"
    for step, line in logged.items():
        before_it = sum(other < step for other in bad)
        assert line.get("skipped_steps", 0) == before_it
    shown = capsys.readouterr().out
    assert all(f"warning: tiny: step {step} is skipped: loss nan, grad_norm nan" in shown for step in bad)


@pytest.mark.slow
def test_a_mean_leaves_skipped_steps_out(tmp_path: Path) -> None:
    each = run(tmp_path / "a", loop_config(log_every=1), scale=bad_at(2)).history
    all_but_one = run(tmp_path / "b", loop_config(log_every=4), scale=bad_at(2)).history[0]
    assert all_but_one["loss"] == pytest.approx(sum(line["loss"] for line in each[:3]) / 3)


@pytest.mark.parametrize("kill", [3, 4, 5, 7])
def test_the_same_steps_are_skipped_after_a_kill(tmp_path: Path, kill: int) -> None:
    config, scale = loop_config(skip_non_finite=2), bad_at(1, 3, 4)
    undisturbed = run(tmp_path / "undisturbed", config, scale=scale)
    with pytest.raises(Killed):
        run(tmp_path / "killed", config, kill_at(kill), scale)
    resumed = run(tmp_path / "killed", config, scale=scale)
    assert_same(resumed, undisturbed)
    assert resumed.skipped == undisturbed.skipped == (1, 3, 4)


def test_one_more_in_a_row_ends_the_run_with_the_last_good_checkpoint(tmp_path: Path) -> None:
    config, scale = loop_config(skip_non_finite=2), bad_at(1, 4, 5, 6)
    with pytest.raises(
        DivergedError, match=r"loss nan, grad_norm nan, after 2 in a row .* at step 6; the checkpoint of step 4 is kept"
    ) as error:
        run(tmp_path, config, scale=scale)
    assert error.value.exit_status == 7
    assert checkpoints(tmp_path)[-1] == 4, "a checkpoint in the middle of them would not be before the trouble"
    steps: list[int] = []
    with pytest.raises(DivergedError):  # the same again, for ever: until something is changed
        run(tmp_path, config, steps.append, scale)
    assert steps == [4, 5, 6]


def terminate_at(step: int) -> Callable[[int], None]:
    """SIGTERM in this step, after which a checkpoint is written."""

    def before(current: int) -> None:
        if current == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return before


def test_the_row_is_counted_on_after_sigterm_in_it(tmp_path: Path) -> None:
    config, scale = loop_config(skip_non_finite=2), bad_at(3, 4, 5)
    with pytest.raises(TerminatedError):
        run(tmp_path, config, terminate_at(4), scale)
    assert checkpoints(tmp_path)[-1] == 5
    with pytest.raises(DivergedError, match="at step 5"):
        run(tmp_path, config, scale=scale)


def test_more_may_be_skipped_on_the_next_start(tmp_path: Path) -> None:
    """The number is not part of what the run is: raising it is one of the ways on."""
    scale = bad_at(4, 5, 6)
    with pytest.raises(DivergedError):
        run(tmp_path, loop_config(skip_non_finite=2), scale=scale)
    result = run(tmp_path, loop_config(skip_non_finite=3), scale=scale)
    assert_same(result, run(tmp_path / "at-once", loop_config(skip_non_finite=3), scale=scale))
    assert result.skipped == (4, 5, 6)


def test_a_run_in_which_no_step_was_finite_has_no_result(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="all 3 steps were skipped: loss nan"):
        run(tmp_path, loop_config(steps=3, skip_non_finite=3), scale=lambda step: NAN)


def go_on(work: Path, config: LoopConfig, scale: Callable[[int], float], model: nn.Module) -> TrainingResult:
    """As a stage that is started with ``--go-on``."""
    beginning = continuation.begin("tiny", work, IDENTITY, config, "go-on")
    result = run(work, config, scale=scale, model=model)
    assert list(result.changes) == beginning.changes
    return result


def test_with_a_lower_rate_it_passes_the_place_where_it_diverged(tmp_path: Path) -> None:
    """Weights that have moved too far give no finite loss. From the last good checkpoint, smaller steps do not."""
    first = make_model()
    start = first[0].weight.detach().clone()

    def moved(model: nn.Module) -> float:
        return float((model[0].weight.detach() - start).abs().max())

    distances: list[float] = []
    run(tmp_path / "a", before=lambda step: distances.append(moved(first)), model=first)
    limit = (distances[4] + distances[6]) / 2

    def scaled(model: nn.Module) -> Callable[[int], float]:
        return lambda step: NAN if moved(model) > limit else 1.0

    model, config = make_model(), loop_config(checkpoint_every=4, skip_non_finite=2)
    with pytest.raises(DivergedError, match=r"after 2 in a row .*the checkpoint of step 4 is kept"):
        run(tmp_path / "b", config, scale=scaled(model), model=model)
    lower = loop_config(checkpoint_every=4, skip_non_finite=2, optimizer={"learning_rate": 1e-4})
    with pytest.raises(ConfigurationError, match="--go-on"):
        continuation.begin("tiny", tmp_path / "b", IDENTITY, lower, "refuse")
    model = make_model()
    result = go_on(tmp_path / "b", lower, scaled(model), model)
    assert result.skipped == ()
    assert [change["step"] for change in result.changes] == [4]
    assert result.history[-1]["step"] == STEPS


def test_the_row_is_counted_anew_after_a_change(tmp_path: Path) -> None:
    """SIGTERM wrote a checkpoint in the middle of a row; with another rate the next step is another attempt."""
    scale = bad_at(3, 4, 5)
    with pytest.raises(TerminatedError):
        run(tmp_path, loop_config(skip_non_finite=2), terminate_at(4), scale)
    lower = loop_config(skip_non_finite=2, optimizer={"learning_rate": 1e-4})
    assert go_on(tmp_path, lower, scale, make_model()).skipped == (3, 4, 5)


@pytest.mark.parametrize("changes", [{"log_every": 3}, {"skip_non_finite": 1}])
def test_a_harmless_change_does_not_count_it_anew(tmp_path: Path, changes: dict[str, Any]) -> None:
    """The steps that follow are the same: another attempt at what has failed would be counted as a first one."""
    scale = bad_at(3, 4, 5)
    with pytest.raises(TerminatedError):
        run(tmp_path, loop_config(skip_non_finite=2), terminate_at(4), scale)
    with pytest.raises(DivergedError, match="after 2 in a row that were skipped, at step 5"):
        go_on(tmp_path, loop_config(**{"skip_non_finite": 2, **changes}), scale, make_model())


def test_nor_does_a_change_of_an_earlier_start(tmp_path: Path) -> None:
    scale = bad_at(3, 4, 5)
    with pytest.raises(TerminatedError):
        run(tmp_path, loop_config(skip_non_finite=2), terminate_at(1), scale)
    lower = loop_config(skip_non_finite=2, optimizer={"learning_rate": 1e-4})
    continuation.begin("tiny", tmp_path, IDENTITY, lower, "go-on")
    with pytest.raises(TerminatedError):
        run(tmp_path, lower, terminate_at(4), scale)
    with pytest.raises(DivergedError, match="after 2 in a row that were skipped, at step 5"):
        run(tmp_path, lower, scale=scale)


@pytest.mark.parametrize("name", ["loss", "grad_norm", "critic/loss"])
@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_what_is_not_finite_of_any_model(name: str, value: float) -> None:
    """A loss may be infinite alone, and a gradient of a finite loss."""
    guard = FiniteGuard("tiny", 1)
    finite = {"loss": 1.0, "grad_norm": 0.0, "critic/loss": -3e38}
    assert guard.may_take(0, finite)
    assert not guard.may_take(1, {**finite, name: value})
    assert guard.skipped == [1]
    assert not guard.diverged
    assert guard.may_take(2, finite)


class TestTwoModels:
    """A step of a pair is taken by both or by none, whoever is not finite."""

    def run(self, work: Path, before: Callable[[int], None] = lambda step: None, **values: Any) -> TrainingResult:
        self.pair = ModelAndCritic(before, **values)
        return self.pair.run(work, loop_config(skip_non_finite=1, log_every=1))

    def state(self) -> dict[str, Tensor]:
        models = {"model": self.pair.model, "critic": self.pair.critic}
        return {f"{n}.{k}": v.clone() for n, m in models.items() for k, v in m.state_dict().items()}

    @pytest.mark.parametrize("factor", [NAN, float("inf")])
    def test_neither_is_updated_and_buffers_are_as_before(self, tmp_path: Path, factor: float) -> None:
        states: list[dict[str, Tensor]] = []

        def before(step: int) -> None:
            states.append(self.state())

        result = self.run(tmp_path / "a", before, critic_scale=factor)  # in step 5
        assert result.skipped == (5,)
        assert all(torch.equal(value, states[6][name]) for name, value in states[5].items())
        assert not any(torch.equal(value, states[7][name]) for name, value in states[6].items())
        assert len(result.history) == STEPS - 1

    def test_killed_and_resumed_it_is_the_same(self, tmp_path: Path) -> None:
        undisturbed = self.run(tmp_path / "a", critic_scale=NAN)
        expected = self.state()
        for step in (5, 6, 8):
            with pytest.raises(Killed):
                self.run(tmp_path / str(step), kill_at(step), critic_scale=NAN)
            assert_same(self.run(tmp_path / str(step), critic_scale=NAN), undisturbed)
            assert all(torch.equal(value, expected[name]) for name, value in self.state().items())
