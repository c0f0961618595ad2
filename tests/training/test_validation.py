"""Looks at a model while it is trained: when, at which weights, and that they change nothing of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from tests.support.tiny_loop import STEPS, Killed, assert_same, loop_config, make_model, run
from walt.training.validation import Validation, as_published


class Looks:
    """Notes what it is shown, and does what could disturb a run: it draws random numbers and runs the model."""

    def __init__(self, stop: int | None = None) -> None:
        self.steps: list[int] = []
        self.weights: list[dict[str, Tensor]] = []
        self.stop = stop

    def __call__(self, step: int, model: nn.Module) -> None:
        assert not model.training
        assert all(parameter.grad is None for parameter in model.parameters())
        self.steps.append(step)
        self.weights.append({name: value.clone() for name, value in model.state_dict().items()})
        model(torch.randn(1, 2, 3, 4, 4))
        if step == self.stop:
            raise Killed


@pytest.mark.parametrize("ema_decay", [0.9, 0.0])
def test_looks_change_no_bit_of_the_result(ema_decay: float, tmp_path: Path) -> None:
    looks, config, model = Looks(), loop_config(ema_decay=ema_decay), make_model()
    alone = run(tmp_path / "a", config, before=lambda step: torch.rand(step))
    following = torch.rand(3)
    torch.manual_seed(0)
    make_model()
    seen = run(
        tmp_path / "b", config, before=lambda step: torch.rand(step), model=model, validation=Validation(2, looks)
    )
    assert torch.equal(torch.rand(3), following)  # a loss that draws from torch's stream would draw the same
    assert_same(seen, alone)
    assert looks.steps == [2, 4, 6, 8, STEPS]
    assert all(torch.equal(value, looks.weights[-1][name]) for name, value in seen.state_dict.items())
    assert model.training


def test_after_a_kill_in_a_look_it_is_taken_again(tmp_path: Path) -> None:
    whole, looks, again = run(tmp_path / "a"), Looks(stop=4), Looks()
    with pytest.raises(Killed):
        run(tmp_path / "b", validation=Validation(2, looks))
    assert looks.steps == [2, 4]
    assert_same(run(tmp_path / "b", validation=Validation(2, again)), whole)
    assert again.steps[-4:] == [4, 6, 8, STEPS]
    first = again.weights[again.steps.index(4)]
    assert all(torch.equal(value, first[name]) for name, value in looks.weights[1].items())


def test_a_run_that_has_finished_is_looked_at_once_more(tmp_path: Path) -> None:
    looks = Looks()
    run(tmp_path)
    run(tmp_path, validation=Validation(2, looks))
    assert looks.steps == [STEPS]


def test_a_run_that_may_be_diverging_is_not_looked_at(tmp_path: Path) -> None:
    looks = Looks()
    run(
        tmp_path, loop_config(skip_non_finite=2), validation=Validation(1, looks),
        scale=lambda step: float("nan") if step in (3, 4) else 1.0,
    )  # fmt: skip
    assert looks.steps == [1, 2, 3, 6, 7, 8, STEPS]


def look_and_fail(model: nn.Module, average: dict[str, Tensor]) -> None:
    with as_published(model, average):
        assert all(torch.equal(value, average[name]) for name, value in model.state_dict().items())
        torch.rand(3)
        raise Killed


def test_the_model_is_as_before_also_where_a_look_fails() -> None:
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with pytest.raises(Killed):
        look_and_fail(model, {name: value + 1 for name, value in before.items()})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.rand(1), expected)
    assert model.training


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x


def test_a_look_compiles_nothing() -> None:
    """After a few modes torch would give up compiling, and train with other roundings."""
    compiled: list[GraphModule] = []

    def backend(graph: GraphModule, _: object) -> Callable[..., object]:
        compiled.append(graph)
        return graph.forward

    model = nn.Sequential(Doubled())
    model[0].compile(backend=backend)
    with as_published(model, None):
        model(torch.ones(1, 2))
    assert not compiled
    model(torch.ones(1, 2))
    assert len(compiled) == 1
