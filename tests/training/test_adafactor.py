"""Adafactor: PyTorch's where the settings are, the same on sharded parameters, and zeros do move without the scale."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from tests.support.settings import changed, recipe
from tests.support.tiny_adafactor import RATE, SHAPES, gradients, moved, moved_sharded
from tests.support.waiting import SECONDS
from walt.training.adafactor import Adafactor
from walt.training.optimizers import make_optimizer, optimizer_state, restore_optimizer

ROOT = Path(__file__).resolve().parents[2]
EPSILON = torch.finfo(torch.float32).eps
PYTORCHS = {
    "parameter_scale": True,
    "beta1": 0.0,
    "beta2_cap": 1.0,
    "least_mean": EPSILON,
    "least_variance": EPSILON**2,
}


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    """One rank on the CPU."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield init_device_mesh("cpu", (1,))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_with_pytorchs_settings_it_is_pytorchs(shape: tuple[int, ...], weight_decay: float, start: float) -> None:
    begin = start * gradients(shape, 1)[0]
    steps = gradients(shape, 20)
    theirs = begin.clone().requires_grad_()
    optimizer = torch.optim.Adafactor([theirs], lr=RATE, weight_decay=weight_decay)
    for gradient in steps:
        theirs.grad = gradient
        optimizer.step()
    ours = moved(begin, steps, {**PYTORCHS, "weight_decay": weight_decay})
    assert (theirs.detach() - begin).abs().max() > 20 * RATE * 1e-5, "it moved"
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-10)


def test_zeros_move_by_about_the_rate_a_step_without_the_scale_and_hardly_with_it() -> None:
    """A matrix whose gradient points the same way, as that of a zero-initialised layer does at first."""
    steps = [gradients((16, 8), 1)[0]] * 100
    config = changed(recipe("t2v").train_base.optimizer, learning_rate=RATE, weight_decay=0.0)
    assert config.name == "adafactor"

    def rms(**settings: Any) -> float:
        model = nn.Linear(8, 16, bias=False)
        nn.init.zeros_(model.weight)
        optimizer = make_optimizer(model, changed(config, adafactor=settings))
        for gradient in steps:
            model.weight.grad = gradient
            optimizer.step()
        return model.weight.detach().square().mean().sqrt().item()

    assert 0.5 < rms() / (100 * RATE) < 1.0, "the recipe's reading"
    assert 0.9 < rms(beta1=0.0) / (100 * RATE) <= 1.0
    assert rms(parameter_scale=True, beta1=0.0, beta2_cap=1.0) < 0.01 * 100 * RATE


def test_momentum_averages_steps_and_the_cap_forgets_old_moments() -> None:
    start, up = torch.zeros(2, 2), torch.ones(2, 2)
    for rest, expected in ((0, {0.0: 1.0, 0.9: 0.1}), (50, {0.0: 1.0, 0.9: 0.995})):
        for beta1, share in expected.items():
            after = moved(start, [up] + [torch.zeros(2, 2)] * rest, {"beta1": beta1})
            assert after.mean().item() == pytest.approx(-share * RATE, rel=1e-3), (rest, beta1)
    fading = [up] * 50 + [0.01 * up] * 50
    kept, forgot = (moved(start, fading, {"beta1": 0.0, "beta2_cap": cap}).mean().item() for cap in (1.0, 0.5))
    assert forgot < kept - 30 * RATE, "small gradients are measured by small ones again"


@pytest.mark.parametrize("scale", [1e-12, 1e-25])
def test_tiny_gradients_are_no_zero_divisions(scale: float) -> None:
    after = moved(torch.zeros(4, 4), [scale * torch.ones(4, 4), torch.zeros(4, 4)], {})
    assert bool(after.isfinite().all())
    assert (scale > 1e-15) == (after.abs().max().item() > 0.09 * RATE)


def test_parameters_without_a_gradient_stay() -> None:
    parameter = torch.ones(2, 2, requires_grad=True)
    optimizer = Adafactor([parameter], 1.0, weight_decay=0.5)
    optimizer.step()
    assert torch.equal(parameter, torch.ones(2, 2))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("settings", [{}, {"parameter_scale": True, "beta1": 0.0}])
def test_sharded_parameters_move_as_whole_ones(shape: tuple[int, ...], settings: dict[str, Any], mesh: Any) -> None:
    begin, steps = gradients(shape, 1)[0], gradients(shape, 5)
    whole = {"weight_decay": 0.1, **settings}
    found, state = moved_sharded(begin, steps, whole, mesh)
    assert torch.equal(found, moved(begin, steps, whole))
    assert state
    assert all(isinstance(value, DTensor) for value in state)


def test_a_state_that_was_saved_whole_goes_on_sharded(mesh: Any) -> None:
    begin, steps = gradients((5, 3), 1)[0], gradients((5, 3), 6)
    whole = nn.Parameter(begin.clone())
    optimizer = Adafactor([whole], RATE)
    for gradient in steps[:3]:
        whole.grad = gradient
        optimizer.step()
    tensors, scalars = optimizer_state(optimizer)
    assert scalars == {"0.step": 3}
    assert tensors.keys() == {"0.row", "0.column", "0.momentum"}
    again = nn.Parameter(whole.detach().clone())
    restored = Adafactor([again], RATE)
    restore_optimizer(restored, tensors, scalars)
    sharded = nn.Parameter(distribute_tensor(whole.detach().clone(), mesh, [Shard(0)]))
    cut = Adafactor([sharded], RATE)
    cut.state[sharded] = {"step": 3, **{name.split(".")[1]: value.clone() for name, value in tensors.items()}}
    for gradient in steps[3:]:
        again.grad, sharded.grad = gradient, distribute_tensor(gradient, mesh, [Shard(0)])
        restored.step()
        cut.step()
    expected = moved(begin, steps, {})
    assert torch.equal(again.detach(), expected)
    assert isinstance(sharded.data, DTensor)
    assert torch.equal(sharded.data.full_tensor(), expected)


_RANK = """
import sys
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from tests.support.tiny_adafactor import SHAPES, gradients, moved, moved_sharded
rank, ranks = int(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=rank, world_size=ranks)
mesh = init_device_mesh("cpu", (ranks,))
for shape in SHAPES:
    for settings in ({}, {"parameter_scale": True, "beta1": 0.0}):
        begin, steps = gradients(shape, 1)[0], gradients(shape, 5)
        settings = {"weight_decay": 0.1, **settings}
        (found, _), expected = moved_sharded(begin, steps, settings, mesh), moved(begin, steps, settings)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
print("agreed")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_shards_of_unequal_length_on_several_ranks_move_as_whole_parameters(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(rank), "2", str(tmp_path / "store")],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    assert [rank.communicate(timeout=SECONDS)[0].strip() for rank in ranks] == ["agreed", "agreed"]
