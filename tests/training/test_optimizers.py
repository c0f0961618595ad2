"""Each optimizer that the parameters may name is one of its own."""

from __future__ import annotations

from typing import get_args

import pytest
from torch import nn

from tests.support.settings import changed, recipe
from walt.training.config import OptimizerConfig
from walt.training.optimizers import make_optimizer

NAMES = get_args(OptimizerConfig.model_fields["name"].annotation)
OPTIMIZER = recipe("tiny").train_base.optimizer


def test_each_name_is_an_optimizer_of_its_own() -> None:
    made = {name: type(make_optimizer(nn.Linear(2, 2), changed(OPTIMIZER, name=name))).__name__ for name in NAMES}
    assert {name: kind.lower() for name, kind in made.items()} == {name: name for name in NAMES}


def test_a_name_without_an_optimizer_is_not_trained_with_another() -> None:
    with pytest.raises(AssertionError, match="lion"):
        make_optimizer(nn.Linear(2, 2), OPTIMIZER.model_copy(update={"name": "lion"}))


def test_hyperparameters_reach_the_optimizer() -> None:
    adamw = make_optimizer(nn.Linear(2, 2), changed(OPTIMIZER, name="adamw", betas=[0.5, 0.75], learning_rate=0.125))
    assert (adamw.defaults["betas"], adamw.defaults["lr"]) == ((0.5, 0.75), 0.125)
    adafactor = make_optimizer(nn.Linear(2, 2), changed(OPTIMIZER, name="adafactor", weight_decay=0.25))
    assert [group["weight_decay"] for group in adafactor.param_groups] == [0.25, 0.0]
