"""Section ``diffusion``: the noise schedule and the prediction (paper sections 3.2 and 4)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from walt.core.config import Section


class DiffusionConfig(Section):
    """The paper's values: 1000 steps, linear beta 1e-4 .. 0.02, zero terminal SNR, v-prediction."""

    num_steps: PositiveInt
    beta_start: float = Field(gt=0, lt=1)
    beta_end: float = Field(gt=0, lt=1)
    zero_terminal_snr: bool
    prediction: Literal["v", "epsilon", "x0"]
