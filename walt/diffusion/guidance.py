"""Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) by two conditions, and its rescaling.

A model may be given a condition c (text or a class) and known frames f; each can be left out (0). With one scale for
each, the guided output is

    e(0, 0) + frame_scale (e(0, f) - e(0, 0)) + scale (e(c, f) - e(0, f))

which is a weighted sum of at most three outputs. Where the scales are equal, e(0, f) drops out and this is the usual
guidance by (c, f) as one condition; where ``frame_scale`` is 1, e(0, 0) drops out and the frames are always given.
Both scales can follow a schedule over the steps (``power_cosine``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Branch:
    """One evaluation of the model: what it is given."""

    condition: bool
    """Whether it is given the text or the class."""
    frames: bool
    """Whether it is given the known frames."""

    def weight(self, scale: float, frame_scale: float) -> float:
        """Of its output in the guided output."""
        if self.condition:
            return scale
        return frame_scale - scale if self.frames else 1.0 - frame_scale


def guidance_branches(scale: float, frame_scale: float | None = None) -> tuple[Branch, ...]:
    """The outputs that the guided one needs: the conditional one first, others only where they have a weight.

    Args:
        scale: of the text or the class; 1 is the conditional model itself.
        frame_scale: of the known frames; None where there are none.
    """
    frame_scale = scale if frame_scale is None else frame_scale
    others = (Branch(False, True), Branch(False, False))
    return (Branch(True, True), *(branch for branch in others if branch.weight(scale, frame_scale)))


def power_cosine(scale: float, power: float, timestep: int, num_steps: int) -> float:
    """The scale at a step, where guidance grows while the noise falls: 1 at pure noise, ``scale`` at the last step.

    1 + (scale - 1) (1 - cos(pi (1 - t / T)^power)) / 2, the schedule of MDT (Gao et al., arXiv 2303.14389), with which
    the paper's Table 7 was sampled (appendix B.1).

    Args:
        scale: the greatest one, of the last steps.
        power: above 0; the larger, the later guidance sets in. MDT has 4.
        timestep: t, 0 .. T - 1.
        num_steps: T, of training.
    """
    return 1.0 + (scale - 1.0) * (1.0 - math.cos(math.pi * (1.0 - timestep / num_steps) ** power)) / 2.0


def guided(outputs: Tensor, weights: Sequence[float], rescale: float = 0.0) -> Tensor:
    """The guided output (B, ...) of the branches' outputs, one after the other: (len(weights) B, ...)."""
    if len(weights) == 1:
        return outputs
    conditional, *others = outputs.chunk(len(weights))
    result = weights[0] * conditional
    for weight, output in zip(weights[1:], others, strict=True):
        result = result + weight * output
    return rescaled(result, conditional, rescale)


def rescaled(output: Tensor, conditional: Tensor, amount: float) -> Tensor:
    """Bring a guided output (B, ...) towards the conditional one's standard deviation (arXiv 2305.08891, section 3.4).

    Large scales make the output too large, and pictures overexposed. ``amount`` 0 changes nothing, 1 gives each sample
    the standard deviation of its conditional output; the article has 0.7.
    """
    if amount == 0.0:
        return output
    dims = tuple(range(1, output.dim()))
    wanted, found = (x.std(dim=dims, correction=0, keepdim=True) for x in (conditional, output))
    ratio = torch.where(found > 0, wanted / found, 1.0)  # a constant output has no deviation to correct
    return output * (amount * ratio + (1.0 - amount))
