"""Several ranks train as one device does: the same batches, and the same curve up to rounding."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.many_ranks import on_ranks
from tests.support.rank_tasks import (
    KINDS,
    STEPS,
    Outcome,
    conversation,
    objective_of,
    training,
    trainings,
    uneven_gradients,
    write_data,
)
from tests.support.tiny_loop import loop_config
from walt.core.ranks import become
from walt.training.parallel import share_of_batch, sum_gradients, sum_terms, with_zeros
from walt.training.termination import TerminationSignal
from walt.training.terms import Average
from walt.training.trained_model import TrainedModel, check_gradients

COUNTS = (1, 2, 3, 4, 7)
SHARED = 84  # what all of these divide


@pytest.fixture
def as_rank() -> Iterator[Any]:
    """Takes a place among ranks for what does not talk to the others."""
    yield become
    become(0, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Every kind of training on one device."""
    return trainings(data, tmp_path_factory.mktemp("alone"))


def elements(batch: list[Any]) -> Iterator[tuple[bool, dict[str, Tensor]]]:
    """Each element of a batch, with all that was drawn for it."""
    for part in batch:
        tensors = {name: value for name, value in vars(part).items() if isinstance(value, Tensor)}
        yield from ((part.images, {name: value[i] for name, value in tensors.items()}) for i in range(len(part)))


def test_a_share_is_the_same_for_every_kind_of_sample(as_rank: Any) -> None:
    for count in COUNTS:
        places = []
        for rank in range(count):
            as_rank(rank, count)
            places.append(list(share_of_batch(SHARED)))
        assert sorted(place for own in places for place in own) == list(range(SHARED))
        assert {len(own) for own in places} == {SHARED // count}
        stacks = [sum(place >= SHARED - 12 for place in own) for own in places]
        assert max(stacks) - min(stacks) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "sr"])
def test_the_same_keys_noise_timesteps_and_captions_for_any_number_of_ranks(
    kind: str, data: Path, as_rank: Any
) -> None:
    objective = objective_of(kind, data, batch_size=SHARED, accumulation=1)
    for step in (0, 3):
        as_rank(0, 1)
        whole = list(elements(objective.batch(step)))
        assert {images for images, _ in whole} == {False, True}
        for count in COUNTS[1:]:
            found: list[Any] = [None] * SHARED
            for rank in range(count):
                as_rank(rank, count)
                own = list(elements(objective.batch(step)))
                for place, element in zip(share_of_batch(SHARED), own, strict=True):
                    found[place] = element
            for (images, one), (also_images, other) in zip(whole, found, strict=True):
                assert images == also_images
                assert one.keys() == other.keys() >= {"latents", "noise", "timesteps", "text"}
                assert all(torch.equal(one[name], other[name]) for name in one)


def test_one_rank_changes_nothing() -> None:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    before = parameter.grad
    sum_gradients([parameter])
    assert parameter.grad is before
    terms = {"loss": torch.tensor(2.0)}
    assert sum_terms(terms)["loss"] is terms["loss"]


def test_terms_have_the_names_of_all_ranks() -> None:
    filled = with_zeros({"loss": torch.tensor(1.0)}, ["video", "image"], ["loss/band_0"])
    assert filled.keys() == {"loss", "video", "image", "loss/band_0"}
    assert filled["video"] == 0
    assert isinstance(filled["loss/band_0"], Average)
    assert filled["loss/band_0"].count == 0


def test_a_training_without_any_gradient_is_an_error() -> None:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    with pytest.raises(RuntimeError, match="none of the 2 trained parameters got a gradient"):
        check_gradients(parameters)
    parameters[1].grad = torch.zeros(2)
    check_gradients(parameters)
    trained = TrainedModel(nn.Linear(2, 2), lambda step: {"loss": torch.ones((), requires_grad=True)}, loop_config())
    with TerminationSignal() as stop, pytest.raises(RuntimeError, match="none of the 2 trained parameters"):
        trained.gradient(0, stop)  # each step asks


def test_what_ranks_tell_each_other() -> None:
    said = on_ranks(3, conversation)
    for tensors in (one.pop("tensors") for one in said):
        assert tensors.tolist() == [float(ord(letter)) for letter in "abcde" for _ in range(2)]
    assert said[0] == said[1] == said[2]
    assert said[0] == {
        "any": True, "none": False, "bytes": [b"", b"x", b"xx"], "shares": list("ABCDE"),
        "values": [{"half": 0.1}, {"half": 0.6}, {"half": 1.1}],
    }  # fmt: skip


def test_parameters_without_a_gradient_on_some_ranks_or_on_all() -> None:
    assert on_ranks(2, uneven_gradients) == [[[1.0, 2.0], [3.0, 4.0], None]] * 2


def assert_close(one: Outcome, other: Outcome) -> None:
    """The same log and weights up to rounding."""
    assert [line.keys() for line in one[0]] == [line.keys() for line in other[0]]
    for line, also in zip(one[0], other[0], strict=True):
        assert also == pytest.approx(line, rel=1e-3, abs=1e-6)
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        torch.testing.assert_close(other[1][name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_the_curve_of_one_device(count: int, data: Path, alone: dict[str, Outcome], tmp_path: Path) -> None:
    found = on_ranks(count, trainings, data, tmp_path)
    for kind in KINDS:
        assert len(alone[kind][0]) == STEPS
        for rank in range(count):
            assert_close(alone[kind], found[rank][kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "autoencoder"])
def test_stopped_on_two_ranks_and_resumed_on_one_and_on_four(
    kind: str, data: Path, alone: dict[str, Outcome], tmp_path: Path
) -> None:
    stopped = on_ranks(2, training, kind, data, tmp_path / "two", 2)
    for logged, _ in stopped:  # both stop where one of them was asked to
        assert [line["step"] for line in logged] == [line["step"] for line in stopped[0][0]]
        assert 2 <= len(logged) <= 3
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    resumed = [training(kind, data, tmp_path / "one"), *on_ranks(4, training, kind, data, tmp_path / "two")]
    for logged, weights in resumed:
        assert logged[0]["step"] == len(stopped[0][0]) + 1
        assert_close(alone[kind], (stopped[0][0] + logged, weights))
