"""The relative position bias and its gradient against reading the table offset by offset."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.support.full_attention import relative_position_bias
from walt.nn.positions import RelativePositionBias, Window, add_frames, all_frames, table_gradient, within_frames

WINDOWS = [(1, 4, 6), (4, 2, 2), (2, 4, 3), (5, 1, 3), (3, 1, 1), (1, 1, 1)]


def filled(window: Window, heads: int = 2) -> RelativePositionBias:
    torch.manual_seed(0)
    bias = RelativePositionBias(window, heads).double()
    torch.nn.init.normal_(bias.table)
    return bias


def test_a_small_window() -> None:
    bias = RelativePositionBias((1, 1, 3), 1)
    with torch.no_grad():
        bias.table[0, 0, 0] = torch.arange(5.0)
    assert bias()[0].tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


@pytest.mark.parametrize("window", WINDOWS)
def test_each_pair_of_tokens_reads_the_offset_from_key_to_query(window: Window) -> None:
    bias = filled(window)
    assert torch.equal(bias(), relative_position_bias(bias.table, window))


@pytest.mark.parametrize("window", WINDOWS)
def test_gradients_by_slices_are_gradients_by_indices(window: Window) -> None:
    """By differentiation of the slices, and by their adjoint written out, two windows one after the other."""
    bias = filled(window)
    gradient = torch.randn(2, *bias().shape, dtype=torch.float64)

    def through(output: Tensor) -> Tensor:
        return torch.autograd.grad(output, bias.table, gradient.sum(0))[0]

    expected = through(relative_position_bias(bias.table, window))
    torch.testing.assert_close(through(bias()), expected, rtol=1e-12, atol=1e-12)
    sums = torch.zeros_like(within_frames(bias.table, window))
    for part in gradient:
        add_frames(sums, part, window)
    torch.testing.assert_close(table_gradient(sums, window), expected, rtol=1e-12, atol=1e-12)
    assert all_frames(sums, window).shape == bias().shape
