"""DDIM and the ancestral sampler against closed forms, for every kind of prediction.

For Gaussian data the best prediction is known, and linear in x_t; then so is all that a sampler does with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from walt.diffusion.config import DiffusionConfig
from walt.diffusion.samplers import ddim, trailing_timesteps
from walt.diffusion.schedule import Schedule

NUM_STEPS = 1000
MEAN = torch.tensor([1.5, -0.5, 0.0])
_ROOT = torch.tensor([[0.8, 0.0, 0.0], [0.5, 0.6, 0.0], [-0.2, 0.3, 0.4]])
COVARIANCE = _ROOT @ _ROOT.T

every_prediction = pytest.mark.parametrize("prediction", ["v", "epsilon", "x0"])


def schedule_of(prediction: str) -> Schedule:
    """The paper's schedule; epsilon needs one whose last step has a signal."""
    return Schedule.from_config(
        DiffusionConfig(
            num_steps=NUM_STEPS, beta_start=1e-4, beta_end=0.02, zero_terminal_snr=prediction != "epsilon",
            prediction=prediction,
        )  # type: ignore[arg-type]
    )  # fmt: skip


def best_predictor(schedule: Schedule) -> Callable[[Tensor, int], Tensor]:
    """The prediction with the least error for x0 ~ N(MEAN, COVARIANCE); x_t is (B, 3) float64."""

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        a, s = float(schedule.signal[timestep]), float(schedule.noise[timestep])
        inverse = torch.linalg.inv(a**2 * COVARIANCE.double() + s**2 * torch.eye(3, dtype=torch.float64))
        centred = x_t - a * MEAN.double()
        x0 = MEAN.double() + a * centred @ inverse @ COVARIANCE.double()
        noise = s * centred @ inverse  # E[eps | x_t]: also where a = 0
        return {"v": a * noise - s * x0, "epsilon": noise, "x0": x0}[schedule.prediction]

    return predict


def along_axes(schedule: Schedule, num_steps: int, eta: float) -> tuple[Tensor, Tensor, Tensor]:
    """(factor of the first noise, variance of later noise, axes): what sampling does along the covariance's axes.

    By hand: with variance l along an axis and d = a^2 l + s^2, the estimate of x0 moves by a l / d for each unit that
    x_t is off, and that of the noise by s / d.
    """
    variances, axes = torch.linalg.eigh(COVARIANCE.double())
    times = trailing_timesteps(NUM_STEPS, num_steps)
    factor, later = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for i, now in enumerate(times):
        a, s = float(schedule.signal[now]), float(schedule.noise[now])
        d = a**2 * variances + s**2
        gain = a * variances / d
        if i + 1 < num_steps:
            a2, s2 = float(schedule.signal[times[i + 1]]), float(schedule.noise[times[i + 1]])
            fresh = eta * (s2 / s) * math.sqrt(1.0 - (a / a2) ** 2)
            gain = a2 * gain + math.sqrt(s2**2 - fresh**2) * s / d
        else:
            fresh = 0.0
        factor, later = gain * factor, gain**2 * later + fresh**2
    return factor, later, axes


@every_prediction
@pytest.mark.parametrize("num_steps", [1, 2, 7, 50])
def test_ddim_of_a_gaussian_is_the_linear_map_of_the_closed_form(prediction: str, num_steps: int) -> None:
    schedule = schedule_of(prediction)
    noise = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = ddim(best_predictor(schedule), noise, schedule, trailing_timesteps(NUM_STEPS, num_steps))
    factor, _, axes = along_axes(schedule, num_steps, eta=0.0)
    start = noise - float(schedule.signal[-1]) * MEAN.double()
    expected = MEAN.double() + start @ axes @ torch.diag(factor) @ axes.T
    torch.testing.assert_close(samples, expected, rtol=0, atol=1e-4)  # the schedule is float32


@pytest.mark.slow
@every_prediction
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_many_steps_give_the_datas_mean_and_covariance(prediction: str, eta: float) -> None:
    schedule, count = schedule_of(prediction), 20_000
    generator = torch.Generator().manual_seed(1)

    def noise(step: int = 0) -> Tensor:
        return torch.randn(count, 3, dtype=torch.float64, generator=generator)

    samples = ddim(best_predictor(schedule), noise(), schedule, trailing_timesteps(NUM_STEPS, 200), eta, noise)
    spread = COVARIANCE.diagonal().double()
    # five standard errors, and what 200 steps leave (see below)
    assert ((samples.mean(0) - MEAN).abs() < 5 * (spread / count).sqrt() + 0.01).all()
    errors = (torch.outer(spread, spread) * 2 / count).sqrt()
    assert ((torch.cov(samples.T) - COVARIANCE).abs() < 5 * errors + 0.02).all()


@every_prediction
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_more_steps_come_closer_to_the_data(prediction: str, eta: float) -> None:
    schedule = schedule_of(prediction)
    variances = torch.linalg.eigvalsh(COVARIANCE.double())
    errors = []
    for num_steps in (4, 20, 100, 1000):
        factor, later, _ = along_axes(schedule, num_steps, eta)
        errors.append(float((factor**2 + later - variances).abs().max()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01  # the largest variance is 0.87; ancestral steps are the coarser ones


@every_prediction
@pytest.mark.parametrize("num_steps", [2, 10])
def test_ancestral_moments_are_those_of_the_closed_form(prediction: str, num_steps: int) -> None:
    schedule, count = schedule_of(prediction), 40_000
    generator = torch.Generator().manual_seed(2)

    def noise(step: int = 0) -> Tensor:
        return torch.randn(count, 3, dtype=torch.float64, generator=generator)

    samples = ddim(best_predictor(schedule), noise(), schedule, trailing_timesteps(NUM_STEPS, num_steps), 1.0, noise)
    factor, later, axes = along_axes(schedule, num_steps, eta=1.0)
    centred = (samples - MEAN) @ axes
    expected = -float(schedule.signal[-1]) * (MEAN.double() @ axes) * factor
    variance = factor**2 + later
    assert ((centred.mean(0) - expected).abs() < 5 * (variance / count).sqrt()).all()
    assert ((centred.var(0) - variance).abs() < 5 * variance * math.sqrt(2 / count)).all()


@every_prediction
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("num_steps", [1, 10])
def test_a_perfect_predictor_gives_x0(prediction: str, eta: float, num_steps: int) -> None:
    """From the last step, so from noise that says nothing of it (epsilon: next to nothing)."""
    schedule, x0 = schedule_of(prediction), torch.randn(3, 8)

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        step = torch.full((3,), timestep)
        signal, sigma = schedule.coefficients(step, x_t)
        return schedule.target(x0, (x_t - signal * x0) / sigma, step)

    seen: list[int] = []
    result = ddim(
        predict, torch.randn(3, 8), schedule, trailing_timesteps(NUM_STEPS, num_steps), eta,
        step_noise=lambda i: torch.randn(3, 8),
        callback=lambda done, _: seen.append(done),
    )  # fmt: skip
    torch.testing.assert_close(result, x0, rtol=1e-3, atol=1e-3)
    assert seen == list(range(1, num_steps + 1))


def test_the_model_is_asked_at_the_given_timesteps() -> None:
    schedule, evaluated = schedule_of("v"), list[int]()

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        evaluated.append(timestep)
        return x_t

    ddim(predict, torch.randn(1, 2), schedule, [999, 700, 3])
    assert evaluated == [999, 700, 3]


def test_ancestral_sampling_needs_its_noise() -> None:
    with pytest.raises(ValueError, match="step_noise"):
        ddim(lambda x, _: x, torch.randn(1, 2), schedule_of("v"), trailing_timesteps(NUM_STEPS, 4), eta=1.0)
