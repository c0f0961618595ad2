"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math

from walt.training.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """The rate of step ``step`` (from 0) of ``steps``.

    Linear warm-up to the peak, reached after ``warmup_steps``; then constant, or half a cosine that ends in the last
    step at ``final_fraction`` of the peak.
    """
    peak = config.learning_rate
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return peak
    progress = (step - config.warmup_steps) / max(1, steps - 1 - config.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return peak * (config.final_fraction + (1.0 - config.final_fraction) * cosine)
