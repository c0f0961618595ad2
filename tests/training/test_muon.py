"""Muon: torch's own for matrices, the same for kernels, AdamW for the rest."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.support.many_ranks import on_ranks
from tests.support.rank_tasks import moved_by_muon
from walt.training.muon import Muon, in_parts, orthogonal
from walt.training.optimizers import parameter_groups


def with_gradients(model: nn.Module, seed: int) -> nn.Module:
    draw = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draw)
    return model


def moved(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> list[Tensor]:
    for step in range(steps):
        with_gradients(model, step)
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def muon(model: nn.Module, weight_decay: float = 0.1) -> Muon:
    return Muon(parameter_groups(model, weight_decay), lr=0.01, betas=(0.8, 0.9), momentum=0.9)


def test_singular_values_come_near_one() -> None:
    draw = torch.Generator().manual_seed(0)
    for shape in ((3, 16, 64), (2, 64, 16), (1, 1, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=draw) * 1e-4).float())
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_a_matrix_moves_as_torchs_muon_moves_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 40, bias=False), nn.Linear(40, 24, bias=False), nn.Linear(24, 40, bias=False))
    other = copy.deepcopy(model)
    peer = torch.optim.Muon(other.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for ours, theirs in zip(moved(model, muon(model)), moved(other, peer), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=3e-4)  # bf16; a step's RMS is 2e-3


def test_a_kernel_moves_as_its_matrix_in_any_memory_layout() -> None:
    torch.manual_seed(0)
    kernel, matrix = nn.Conv3d(4, 24, 3, bias=False), nn.Linear(4 * 27, 24, bias=False)
    matrix.weight.data = kernel.weight.data.flatten(1).clone()
    kernel = kernel.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(
        moved(kernel, muon(kernel))[0].flatten(1), moved(matrix, muon(matrix))[0], rtol=0.0, atol=3e-4
    )


def test_a_matrix_is_made_orthogonal_in_parts_of_its_shorter_side() -> None:
    matrices = torch.randn(2, 24, 40, generator=torch.Generator().manual_seed(0))
    expected = torch.cat([orthogonal(matrices[:, :8]), orthogonal(matrices[:, 8:16]), orthogonal(matrices[:, 16:])], 1)
    for cut in (8, 11):  # 24 rows are not a multiple of 11
        assert torch.equal(in_parts(matrices, cut), expected)
        assert torch.equal(in_parts(matrices.mT, cut), expected.mT)
    assert torch.equal(in_parts(matrices, 24), orthogonal(matrices))


def test_a_step_in_parts_has_the_same_size() -> None:
    model = nn.Conv3d(4, 24, 3, bias=False).to(memory_format=torch.channels_last_3d)
    before = model.weight.detach().clone()
    (after,) = moved(model, Muon(parameter_groups(model, 0.0), lr=0.01, cut=8), steps=1)
    assert 0.6 < (after - before).square().mean().sqrt() / (0.2 * 0.01) < 1.2


def test_the_rest_moves_as_adamw_moves_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Embedding(5, 8))
    other = copy.deepcopy(model)
    adamw = torch.optim.AdamW(parameter_groups(other, 0.1), lr=0.01, betas=(0.8, 0.9), fused=True)
    ours, theirs = moved(model, muon(model)), moved(other, adamw)
    same = [torch.equal(one, another) for one, another in zip(ours, theirs, strict=True)]
    assert same == [name != "0.weight" for name, _ in model.named_parameters()]


def test_a_step_has_the_size_of_adamws() -> None:
    torch.manual_seed(0)
    for shape in ((64, 16), (16, 64), (32, 32)):
        model = nn.Linear(shape[1], shape[0], bias=False)
        before = model.weight.detach().clone()
        (after,) = moved(model, muon(model, weight_decay=0.0), steps=1)
        assert 0.6 < (after - before).square().mean().sqrt() / (0.2 * 0.01) < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("cut", [None, 8])
def test_ranks_that_share_the_work_move_every_parameter_as_one_does(cut: int | None) -> None:
    alone = moved_by_muon(cut)
    for count in (2, 3):
        for of_rank in on_ranks(count, moved_by_muon, cut):
            assert all(torch.equal(one, other) for one, other in zip(alone, of_rank, strict=True))
