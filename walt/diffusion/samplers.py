"""Samplers: pure functions of (model, noise, schedule)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from walt.diffusion.schedule import Schedule

Predict = Callable[[Tensor, int], Tensor]
"""(x_t, timestep) -> the model's output, what ``schedule.prediction`` names."""
Callback = Callable[[int, Tensor], None]
"""(steps done, current estimate of x0)."""


def trailing_timesteps(num_train_steps: int, num_steps: int) -> list[int]:
    """``num_steps`` steps, evenly spaced and ending the schedule: 1000 and 4 give 999, 749, 499, 249.

    With zero terminal SNR sampling must begin at the last step, pure noise (arXiv 2305.08891, section 3.3).
    """
    if not 1 <= num_steps <= num_train_steps:
        raise ValueError(f"the number of sampling steps must be in 1 .. {num_train_steps}, not {num_steps}")
    return [round(num_train_steps * (num_steps - i) / num_steps) - 1 for i in range(num_steps)]


@torch.no_grad()
def ddim(
    predict: Predict,
    noise: Tensor,
    schedule: Schedule,
    timesteps: Sequence[int],
    eta: float = 0.0,
    step_noise: Callable[[int], Tensor] | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM (Song et al., arXiv 2010.02502, equation 12); ``eta`` = 0 is deterministic, 1 is ancestral (DDPM).

    Args:
        predict: the model.
        noise: (B, ...) unit Gaussian.
        schedule: the training schedule.
        timesteps: those at which the model is evaluated, falling, such as ``trailing_timesteps``; ``noise`` belongs to
            the first.
        eta: share of the ancestral noise that is added at each step.
        step_noise: for ``eta`` > 0: number of the step -> fresh unit noise of the shape of ``noise``.
        callback: called after each step.

    Returns:
        The clean estimate, of the shape of ``noise``.
    """
    x, x0 = noise, noise
    for done, timestep in enumerate(timesteps, start=1):
        step = torch.full((noise.shape[0],), timestep, dtype=torch.int64, device=noise.device)
        output = predict(x, timestep)
        x0 = schedule.predict_x0(output, x, step)
        if done < len(timesteps):
            epsilon = schedule.predict_noise(output, x, step)
            signal, sigma = schedule.signal[timesteps[done]], schedule.noise[timesteps[done]]
            fresh = 0.0 if eta == 0 else eta * _ancestral_sigma(schedule, timestep, timesteps[done])
            x = signal * x0 + torch.sqrt((sigma**2 - fresh**2).clamp_min(0.0)) * epsilon
            if eta > 0:
                if step_noise is None:
                    raise ValueError("eta > 0 needs step_noise")
                x = x + fresh * step_noise(done)
        if callback is not None:
            callback(done, x0)
    return x0


def _ancestral_sigma(schedule: Schedule, now: int, then: int) -> float:
    """Standard deviation of the noise that an ancestral step from ``now`` to the earlier step ``then`` adds."""
    signal_now, sigma_now = float(schedule.signal[now]), float(schedule.noise[now])
    signal_then, sigma_then = float(schedule.signal[then]), float(schedule.noise[then])
    return float(sigma_then / sigma_now * max(0.0, 1.0 - (signal_now / signal_then) ** 2) ** 0.5)
