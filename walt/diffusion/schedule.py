"""The noise schedule: linear beta, rescaled to zero terminal SNR, and the quantities that follow from it.

x_t = a_t x_0 + s_t eps with a_t^2 + s_t^2 = 1. Steps run 0 .. num_steps - 1; at the last, a = 0: pure noise
(Lin et al., *Common Diffusion Noise Schedules and Sample Steps are Flawed*, arXiv 2305.08891, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from walt.diffusion.config import DiffusionConfig


@dataclass(frozen=True)
class Schedule:
    """``signal`` a_t and ``noise`` s_t, each (num_steps,) float32; ``prediction`` says what the model's output is."""

    signal: Tensor
    noise: Tensor
    prediction: Literal["v", "epsilon", "x0"]

    @classmethod
    def from_config(cls, config: DiffusionConfig) -> Schedule:
        """The schedule of a configuration, computed in float64.

        Epsilon and zero terminal SNR exclude each other: at the last step, where sampling starts, x_t is the noise and
        does not depend on x_0. ``walt.project.params`` refuses that pair of settings.
        """
        assert not (config.prediction == "epsilon" and config.zero_terminal_snr), "epsilon has no meaning at zero SNR"
        betas = torch.linspace(config.beta_start, config.beta_end, config.num_steps, dtype=torch.float64)
        signal = (1.0 - betas).cumprod(0).sqrt()
        if config.zero_terminal_snr:
            signal = zero_terminal_snr(signal)
        return cls(signal.float(), (1.0 - signal**2).clamp_min(0.0).sqrt().float(), config.prediction)

    @property
    def num_steps(self) -> int:
        """Length of the schedule."""
        return len(self.signal)

    def coefficients(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """a_t and s_t of steps (B,), shaped to multiply ``like`` (B, ...)."""
        shape = (-1, *(1,) * (like.dim() - 1))
        signal, noise = self.signal.to(like.device)[timesteps], self.noise.to(like.device)[timesteps]
        return signal.view(shape), noise.view(shape)

    def add_noise(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t of clean x0 (B, ...) and unit noise at steps (B,)."""
        signal, sigma = self.coefficients(timesteps, x0)
        return signal * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the model is to predict; v = a_t eps - s_t x0 (Salimans and Ho, arXiv 2202.00512)."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "x0":
            return x0
        signal, sigma = self.coefficients(timesteps, x0)
        return signal * noise - sigma * x0

    def predict_x0(self, output: Tensor, x_t: Tensor, timesteps: Tensor) -> Tensor:
        """The clean estimate that a model output represents."""
        signal, sigma = self.coefficients(timesteps, x_t)
        if self.prediction == "x0":
            return output
        if self.prediction == "epsilon":  # its schedules have no signal of 0, see from_config
            return (x_t - sigma * output) / signal
        return signal * x_t - sigma * output

    def predict_noise(self, output: Tensor, x_t: Tensor, timesteps: Tensor) -> Tensor:
        """The noise estimate that a model output represents."""
        signal, sigma = self.coefficients(timesteps, x_t)
        if self.prediction == "epsilon":
            return output
        if self.prediction == "x0":
            return (x_t - signal * output) / sigma  # never 0: the first step has beta_start
        return sigma * x_t + signal * output


def zero_terminal_snr(signal: Tensor) -> Tensor:
    """Shift and scale a_t so that the last is 0 and the first is unchanged."""
    first, last = signal[0], signal[-1]
    return (signal - last) * (first / (first - last))
