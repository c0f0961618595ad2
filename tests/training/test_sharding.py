"""A model of which each rank holds its share trains as one that is whole, and its checkpoints are whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch

from tests.support.many_ranks import on_ranks
from tests.support.rank_tasks import (
    Outcome,
    compiled_steps,
    gradients_of_a_sharded_model,
    sharded_trainings,
    started_differently,
    step_in_bf16,
    training,
    write_data,
)
from tests.support.tiny_models import AUTOENCODER
from walt.autoencoder.model import CausalAutoencoder
from walt.training.compilation import missing_for_processors


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """A kind of training on one device, which is made once."""
    return cache(lambda kind: training(kind, data, tmp_path_factory.mktemp(kind)))


def assert_close(one: Outcome, other: Outcome, atol: float = 1e-5) -> None:
    assert len(one[0]) == len(other[0])
    for line, also in zip(one[0], other[0], strict=True):
        assert also == pytest.approx(line, rel=1e-3, abs=1e-6)
    for name, value in one[1].items():
        torch.testing.assert_close(other[1][name], value, rtol=1e-3, atol=atol)


@pytest.mark.slow
def test_the_curve_of_one_device(data: Path, alone: Callable[[str], Outcome], tmp_path: Path) -> None:
    kinds = ("images", "sr", "autoencoder in parts")  # what those below have no more of
    found = on_ranks(2, sharded_trainings, kinds, data, tmp_path)
    for kind in kinds:
        for rank in range(2):
            assert_close(alone(kind.removesuffix(" in parts")), found[rank][kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "adafactor", "autoencoder", "muon"])
def test_stopped_on_two_ranks_and_resumed_whole_on_one_and_sharded_on_four(
    kind: str, data: Path, alone: Callable[[str], Outcome], tmp_path: Path
) -> None:
    atol = 1e-4 if kind == "muon" else 1e-5  # its steps are computed in bf16
    stopped = on_ranks(2, training, kind, data, tmp_path / "stopped", 3, True)[0][0]
    assert 3 <= len(stopped) < len(alone(kind)[0])
    for place in ("a", "b"):
        shutil.copytree(tmp_path / "stopped", tmp_path / place)
    logged, weights = training(kind, data, tmp_path / "a")
    assert_close(alone(kind), (stopped + logged, weights), atol)
    for logged, weights in on_ranks(4, training, kind, data, tmp_path / "b", None, True):
        assert_close(alone(kind), (stopped + logged, weights), atol)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "autoencoder"])
def test_gradients_that_are_all_absent_are_an_error(kind: str, data: Path) -> None:
    assert on_ranks(2, gradients_of_a_sharded_model, data, kind, False) == ["", ""]
    said = on_ranks(2, gradients_of_a_sharded_model, data, kind, True)
    assert all("trained parameters got a gradient of the loss" in line for line in said), said


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_all_ranks_begin_with_the_first_ones_weights(sharded: bool) -> None:
    """Whatever each has drawn: no stage gives them different ones on purpose, and a library may."""
    torch.manual_seed(0)
    expected = CausalAutoencoder(AUTOENCODER).state_dict()
    for found in on_ranks(2, started_differently, sharded):
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in found.items())


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(("kind", "parts"), [("base", 1), ("autoencoder", 1), ("autoencoder", 2)])
def test_in_bf16_all_parameters_have_the_gradient_of_one_device(
    kind: str, parts: int, sharded: bool, data: Path
) -> None:
    """The transformer with a first pass that has none: sharded weights are new tensors in each pass, and autocast would
    go on with the first one's copies. So would it where a discriminator's logits come first, in a step in parts."""
    changes = {"self_conditioning_probability": 1.0} if kind == "base" else {}
    alone, norms_alone = step_in_bf16(kind, data, False, **changes, accumulation=1)
    changes = {**changes, "accumulation": parts}
    for loss, norms in on_ranks(2, partial(step_in_bf16, **changes), kind, data, sharded):
        assert loss == pytest.approx(alone, rel=0.01)
        assert norms == pytest.approx(norms_alone, rel=0.1, abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(missing_for_processors() is not None, reason=f"torch.compile needs {missing_for_processors()}")
@pytest.mark.timeout(1200)
def test_a_compiled_block_has_the_gradients_of_one_device_that_does_not_compile(data: Path) -> None:
    """Replicated, then sharded: one process compiles the same code once."""
    alone, norms_alone = step_in_bf16("one block", data, False)
    for found in on_ranks(2, compiled_steps, data):
        for loss, norms in found:
            assert loss == pytest.approx(alone, rel=0.01)
            assert norms == pytest.approx(norms_alone, rel=0.1, abs=1e-3)
