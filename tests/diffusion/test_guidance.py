"""Guidance by two conditions, and its rescaling."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from walt.diffusion.guidance import Branch, guidance_branches, guided, power_cosine, rescaled


def answers(scale: float, frame_scale: float | None, both: Tensor, frames: Tensor, none: Tensor) -> Tensor:
    """The guided output, where the model returns ``both``, ``frames`` or ``none`` by its conditions."""
    branches = guidance_branches(scale, frame_scale)
    outputs = [both if branch.condition else frames if branch.frames else none for branch in branches]
    of_frames = scale if frame_scale is None else frame_scale
    return guided(torch.cat(outputs), [branch.weight(scale, of_frames) for branch in branches])


def test_a_scale_of_one_is_the_conditional_model() -> None:
    conditional, *others = torch.randn(3, 2, 4)
    for frame_scale in (None, 1.0):
        assert guidance_branches(1.0, frame_scale) == (Branch(True, True),)
        assert torch.equal(answers(1.0, frame_scale, conditional, *others), conditional)


def test_one_condition() -> None:
    conditional, nobody, unconditional = torch.randn(3, 2, 4)
    output = answers(3.0, None, conditional, nobody, unconditional)
    torch.testing.assert_close(output, unconditional + 3.0 * (conditional - unconditional))


@pytest.mark.parametrize("scale", [1.0, 2.0, 7.5])
@pytest.mark.parametrize("frame_scale", [1.0, 2.0, 7.5])
def test_two_conditions(scale: float, frame_scale: float) -> None:
    both, frames, none = torch.randn(3, 2, 4)
    output = answers(scale, frame_scale, both, frames, none)
    torch.testing.assert_close(
        output, none + frame_scale * (frames - none) + scale * (both - frames), rtol=0, atol=1e-4
    )
    # no more evaluations than needed: all three only where neither frees one
    evaluations = 1 if scale == frame_scale == 1.0 else 2 if frame_scale in (1.0, scale) else 3
    assert len(guidance_branches(scale, frame_scale)) == evaluations


def test_rescaling_gives_each_sample_its_conditional_deviation() -> None:
    conditional = torch.randn(3, 4, 5, 6) * torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1, 1)
    output = 5.0 * torch.randn(3, 4, 5, 6) + 1.0
    result = rescaled(output, conditional, 1.0)
    torch.testing.assert_close(result.flatten(1).std(1), conditional.flatten(1).std(1))
    torch.testing.assert_close(result / output, (result / output)[:, :1, :1, :1].expand_as(output))  # one factor each
    torch.testing.assert_close(rescaled(output, conditional, 0.3), 0.3 * result + 0.7 * output)
    assert torch.equal(rescaled(output, conditional, 0.0), output)
    assert torch.equal(rescaled(torch.zeros(1, 4), torch.zeros(1, 4), 1.0), torch.zeros(1, 4))


def test_rescaling_is_by_the_fully_conditional_output() -> None:
    both, frames, none = torch.randn(3, 2, 400)
    result = guided(torch.cat([both, frames, none]), [4.0, -2.0, -1.0], rescale=1.0)
    torch.testing.assert_close(result.std(1), both.std(1))


@pytest.mark.parametrize("power", [0.5, 1.0, 4.0])
def test_the_power_cosine_grows_from_one_to_the_scale(power: float) -> None:
    scales = [power_cosine(5.0, power, timestep, 1000) for timestep in range(1000)]
    assert scales[0] == 5.0
    assert 1.0 <= scales[999] < 1.2
    assert all(later >= earlier for later, earlier in pairwise(scales)), "less noise, more guidance"
    assert {power_cosine(1.0, power, timestep, 1000) for timestep in (0, 500, 999)} == {1.0}


def test_the_power_cosine_against_figures_by_hand() -> None:
    assert power_cosine(3.0, 1.0, 500, 1000) == pytest.approx(2.0)  # half of the cosine's way
    assert power_cosine(3.0, 2.0, 500, 1000) == pytest.approx(1.0 + 2.0 * (1.0 - 0.5**0.5) / 2.0)  # cos(pi / 4)
