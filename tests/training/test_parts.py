"""Schedules, the moving average, optimizers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.settings import changed, recipe
from walt.training.config import OptimizerConfig
from walt.training.optimizers import learning_rate, make_optimizer, optimizer_state, parameter_groups, restore_optimizer
from walt.training.trained_model import ExponentialMovingAverage


def optimizer_config(**changes: Any) -> OptimizerConfig:
    values = {
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "gradient_clip": 1.0,
        "warmup_steps": 10,
        "final_fraction": 0.1,
    }
    return changed(recipe().train_base.optimizer, **{**values, **changes})


class Layered(nn.Module):
    """One parameter of each kind that is distinguished."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.conv = nn.Conv3d(2, 4, 3)
        self.norm = nn.LayerNorm([2, 3])
        self.words = nn.Embedding(5, 3)
        self.position_table = nn.Parameter(torch.zeros(2, 3))
        self.shared = self.linear
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


# schedules


def test_warm_up_then_cosine() -> None:
    config = optimizer_config()
    rates = [learning_rate(config, step, 110) for step in range(110)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9] == rates[10] == 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[60] == pytest.approx(0.0055, rel=0.02)
    assert rates[109] == pytest.approx(0.001)


def test_constant_stays() -> None:
    config = optimizer_config(schedule="constant", warmup_steps=0)
    assert {learning_rate(config, step, 50) for step in range(50)} == {0.01}


@settings(deadline=None)
@given(
    steps=st.integers(1, 50),
    warmup=st.integers(0, 60),
    final=st.floats(0, 1),
    schedule=st.sampled_from(["constant", "cosine"]),
)
def test_rates_are_positive_and_at_most_the_peak(steps: int, warmup: int, final: float, schedule: str) -> None:
    config = optimizer_config(warmup_steps=warmup, final_fraction=final, schedule=schedule)
    for step in range(steps):
        assert 0.0 <= learning_rate(config, step, steps) <= 0.01 * (1 + 1e-12)


# moving average


def test_average_follows_the_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average = ExponentialMovingAverage(model, 0.9)
    expected = 1.0
    for step in range(300):
        model.weight.data.fill_(float(step % 7))
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 7)
        assert average.state_dict()["weight"].item() == pytest.approx(expected, rel=1e-4)
    assert model.weight.item() == 299 % 7


def test_average_copies_buffers_and_keeps_its_own_memory() -> None:
    model = nn.BatchNorm1d(2)
    average = ExponentialMovingAverage(model, 0.9)
    model(torch.randn(8, 2))
    assert average.state_dict()["num_batches_tracked"].item() == 0
    average.update(model, 0)
    assert average.state_dict()["num_batches_tracked"].item() == 1
    assert torch.equal(average.state_dict()["running_mean"], model.running_mean)
    other = ExponentialMovingAverage(nn.BatchNorm1d(2), 0.9)
    other.load_state_dict(average.state_dict())
    assert torch.equal(other.state_dict()["running_mean"], model.running_mean)


# optimizers


def test_only_matrices_and_kernels_decay() -> None:
    model = Layered()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        ({names[id(p)] for p in group["params"]}, group["weight_decay"]) for group in parameter_groups(model, 0.1)
    ]
    others = {"linear.bias", "conv.bias", "norm.weight", "norm.bias", "words.weight", "position_table"}
    assert groups == [({"linear.weight", "conv.weight"}, 0.1), (others, 0.0)]


@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon"])
def test_zero_gradient_moves_only_what_decays(name: str) -> None:
    model = nn.Linear(3, 3)
    nn.init.ones_(model.bias)
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, optimizer_config(name=name, learning_rate=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(model.bias, before["bias"])
    assert bool((model.weight.abs() < before["weight"].abs()).all())


@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon"])
def test_an_optimizer_state_survives_as_contiguous_tensors(name: str) -> None:
    """In channels-last order, a moment that came back row-major would meet the wrong weights in a fused step."""

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Conv3d(4, 6, 3).to(memory_format=torch.channels_last_3d)
        return model, make_optimizer(model, optimizer_config(name=name))

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
        optimizer.zero_grad()
        model(torch.randn(2, 4, 5, 5, 5, generator=torch.Generator().manual_seed(number))).square().mean().backward()
        optimizer.step()

    model, optimizer = fresh()
    for number in range(3):
        step(model, optimizer, number)
    tensors, scalars = optimizer_state(optimizer)
    stored = {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    other, restored = fresh()
    other.load_state_dict(model.state_dict())
    restore_optimizer(restored, stored, scalars)
    for number in range(3, 6):
        step(model, optimizer, number)
        step(other, restored, number)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
