"""The schedule, its time steps and its noise."""

from __future__ import annotations

import pytest
import torch

from walt.diffusion.config import DiffusionConfig
from walt.diffusion.noise import sample_noise, sample_uniform
from walt.diffusion.samplers import trailing_timesteps
from walt.diffusion.schedule import Schedule

PAPER = DiffusionConfig(num_steps=1000, beta_start=1e-4, beta_end=0.02, zero_terminal_snr=True, prediction="v")


def of(prediction: str) -> Schedule:
    """The schedule of a prediction: epsilon needs one whose last step has a signal."""
    update = {"prediction": prediction, "zero_terminal_snr": prediction != "epsilon"}
    return Schedule.from_config(PAPER.model_copy(update=update))


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return Schedule.from_config(PAPER)


def test_terminal_snr_is_zero_and_v_there_is_minus_x0(schedule: Schedule) -> None:
    assert schedule.signal[-1] == 0
    assert schedule.noise[-1] == 1
    x0, noise = torch.randn(2, 3), torch.randn(2, 3)
    last = torch.full((2,), 999)
    assert torch.equal(schedule.target(x0, noise, last), -x0)
    assert torch.equal(schedule.add_noise(x0, noise, last), noise)


def test_rescaling_keeps_the_first_step_and_the_order(schedule: Schedule) -> None:
    plain = Schedule.from_config(PAPER.model_copy(update={"zero_terminal_snr": False}))
    assert plain.signal[-1] > 0
    torch.testing.assert_close(schedule.signal[0], plain.signal[0])
    assert (schedule.signal.diff() < 0).all()
    torch.testing.assert_close(schedule.signal**2 + schedule.noise**2, torch.ones(1000))


@pytest.mark.parametrize("prediction", ["v", "epsilon", "x0"])
def test_every_prediction_gives_back_x0_and_noise(prediction: str) -> None:
    schedule = of(prediction)
    x0, noise = torch.randn(5, 4), torch.randn(5, 4)
    steps = torch.tensor([10, 200, 500, 800, 950])
    x_t, target = schedule.add_noise(x0, noise, steps), schedule.target(x0, noise, steps)
    torch.testing.assert_close(schedule.predict_x0(target, x_t, steps), x0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(schedule.predict_noise(target, x_t, steps), noise, rtol=1e-3, atol=1e-3)


def test_epsilon_says_nothing_where_there_is_no_signal() -> None:
    """Params refuses the pair, see tests/project/test_params.py."""
    with pytest.raises(AssertionError, match="epsilon"):
        Schedule.from_config(PAPER.model_copy(update={"prediction": "epsilon"}))


def test_trailing_steps_begin_at_pure_noise() -> None:
    assert trailing_timesteps(1000, 4) == [999, 749, 499, 249]
    assert trailing_timesteps(1000, 50)[0] == 999
    assert len(set(trailing_timesteps(1000, 50))) == 50
    with pytest.raises(ValueError, match="must be in 1"):
        trailing_timesteps(1000, 1001)


def test_noise_is_a_function_of_seed_step_and_sample() -> None:
    noise = sample_noise(0, 5, ["a", "b", "c"], (2, 3))
    assert torch.equal(sample_noise(0, 5, ["c", "a"], (2, 3)), noise[[2, 0]])
    for other in (sample_noise(1, 5, ["a"], (2, 3)), sample_noise(0, 6, ["a"], (2, 3))):
        assert not torch.equal(other, noise[:1])
    many = sample_noise(0, 0, [str(i) for i in range(500)], (20,))
    assert abs(float(many.mean())) < 0.03
    assert float(many.std()) == pytest.approx(1, abs=0.03)
    own_seeds = sample_noise([1, 0], 5, ["a", "a"], (2, 3))
    assert torch.equal(own_seeds[1], noise[0])
    assert torch.equal(own_seeds[:1], sample_noise(1, 5, ["a"], (2, 3)))
    uniform = sample_uniform(0, 0, [str(i) for i in range(500)])
    assert 0 <= float(uniform.min()) < float(uniform.max()) < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.05)
