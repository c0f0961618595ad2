"""The schedule and DDIM against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from walt.diffusion.config import DiffusionConfig
from walt.diffusion.guidance import guided
from walt.diffusion.noise import sample_noise, sample_uniform
from walt.diffusion.samplers import ddim, trailing_timesteps
from walt.diffusion.schedule import Schedule

PAPER = DiffusionConfig(num_steps=1000, beta_start=1e-4, beta_end=0.02, zero_terminal_snr=True, prediction="v")


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
    schedule = Schedule.from_config(PAPER.model_copy(update={"prediction": prediction}))
    x0, noise = torch.randn(5, 4), torch.randn(5, 4)
    steps = torch.tensor([10, 200, 500, 800, 950])
    x_t, target = schedule.add_noise(x0, noise, steps), schedule.target(x0, noise, steps)
    torch.testing.assert_close(schedule.predict_x0(target, x_t, steps), x0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(schedule.predict_noise(target, x_t, steps), noise, rtol=1e-3, atol=1e-3)


def test_trailing_steps_begin_at_pure_noise() -> None:
    assert trailing_timesteps(1000, 4) == [999, 749, 499, 249]
    assert trailing_timesteps(1000, 50)[0] == 999
    assert len(set(trailing_timesteps(1000, 50))) == 50
    with pytest.raises(ValueError, match="must lie in 1"):
        trailing_timesteps(1000, 1001)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_with_a_perfect_predictor_returns_x0(schedule: Schedule, eta: float) -> None:
    x0 = torch.randn(3, 8)

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        step = torch.full((3,), timestep)
        signal, sigma = schedule.coefficients(step, x_t)
        return schedule.target(x0, (x_t - signal * x0) / sigma, step)

    seen: list[int] = []
    result = ddim(
        predict, torch.randn(3, 8), schedule, 10, eta, step_noise=lambda i: torch.randn(3, 8),
        callback=lambda done, _: seen.append(done),
    )  # fmt: skip
    torch.testing.assert_close(result, x0, rtol=1e-4, atol=1e-4)
    assert seen == list(range(1, 11))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_samples_a_gaussian_whose_score_is_known(schedule: Schedule, eta: float) -> None:
    """x0 ~ N(m, s^2): the best estimate of x0 is linear in x_t, so the samples' mean and std are known."""
    mean, std = 1.5, 0.5

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        a, s = float(schedule.signal[timestep]), float(schedule.noise[timestep])
        x0 = mean + a * std**2 / (a**2 * std**2 + s**2) * (x_t - a * mean)
        epsilon = (x_t - a * x0) / s
        return a * epsilon - s * x0

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 1, generator=generator)
    samples = ddim(predict, noise, schedule, 200, eta, lambda _: torch.randn(20_000, 1, generator=generator))
    assert float(samples.mean()) == pytest.approx(mean, abs=0.02)
    assert float(samples.std()) == pytest.approx(std, abs=0.02)


def test_ancestral_sampling_needs_its_noise(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="step_noise"):
        ddim(lambda x, _: x, torch.randn(1, 2), schedule, 4, eta=1.0)


def test_guidance_of_one_is_the_conditional_model() -> None:
    conditional, unconditional = torch.randn(4), torch.randn(4)
    torch.testing.assert_close(guided(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(guided(conditional, unconditional, 0.0), unconditional)
    torch.testing.assert_close(
        guided(conditional, unconditional, 3.0) - unconditional, 3 * (conditional - unconditional)
    )


def test_noise_is_a_function_of_seed_step_and_sample() -> None:
    noise = sample_noise(0, 5, ["a", "b", "c"], (2, 3))
    assert torch.equal(sample_noise(0, 5, ["c", "a"], (2, 3)), noise[[2, 0]])
    for other in (sample_noise(1, 5, ["a"], (2, 3)), sample_noise(0, 6, ["a"], (2, 3))):
        assert not torch.equal(other, noise[:1])
    many = sample_noise(0, 0, [str(i) for i in range(500)], (20,))
    assert abs(float(many.mean())) < 0.03
    assert float(many.std()) == pytest.approx(1, abs=0.03)
    uniform = sample_uniform(0, 0, [str(i) for i in range(500)])
    assert 0 <= float(uniform.min()) < float(uniform.max()) < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.05)
