"""Which of a clip's captions a step is trained with: a function of seed, step and place in the whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.tiny_latents import ROWS, batch_maker, same_batches
from tests.support.tiny_models import BASE
from walt.core.errors import ConfigurationError
from walt.data.conditions import TextConditions
from walt.training.diffusion_objective import BatchMaker, DiffusionBatch

SEVERAL = {row.key: ("short", "dense", "model") for row in ROWS if row.key not in ("v0", "i0")}
"""All clips but two; those have one caption, without a name."""
NOTHING: Mapping[str, float] = {}


def places(batch: DiffusionBatch) -> list[int]:
    """Of each clip which of its captions it has: the eighths of what the text is made of."""
    assert batch.text is not None
    values = batch.text[..., 0, 0].flatten()
    return [int(value) for value in ((values - values.floor()) * 8).tolist()]


def maker(root: Path, weights: Mapping[str, float] = NOTHING, dropout: float = 0.0) -> BatchMaker:
    return batch_maker(root, BASE, dropout, names=SEVERAL, weights=weights)


def test_a_step_has_the_same_captions_whoever_asks_and_whenever(tmp_path: Path) -> None:
    first, resumed = maker(tmp_path), maker(tmp_path)
    batches = {step: first.videos(step, 12) for step in range(8)}
    for step in (7, 3, 5):  # a run that is killed takes up its steps at any of them
        assert same_batches(resumed.videos(step, 12), batches[step])
    assert len({tuple(places(batch)) for batch in batches.values()}) == 8, "each step draws anew"
    first.seed += 1
    assert places(first.videos(3, 12)) != places(batches[3])


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_a_share_of_a_batch_has_the_captions_of_the_whole(tmp_path: Path, ranks: int) -> None:
    """Whoever makes only some elements of a batch draws what they have in the whole, in any order of asking."""
    whole = maker(tmp_path)
    batch, taken = whole.videos(5, 12), Recorded(whole)
    whole.videos(5, 12)
    keys, draws = taken.keys, taken.draws
    assert batch.text is not None
    for rank in reversed(range(ranks)):
        own = slice(rank, None, ranks)
        text = taken.conditions.tensors(keys[own], None, draws[own])["text"]
        assert torch.equal(text, batch.text[own])


class Recorded:
    """Stands in for a maker's conditions and keeps what they were last asked for."""

    def __init__(self, maker: BatchMaker) -> None:
        self.conditions = maker.conditions
        maker.conditions = self

    def tensors(self, keys: list[str], dropped: Tensor, draws: list[float]) -> dict[str, Tensor]:
        self.keys, self.draws = keys, draws
        return self.conditions.tensors(keys, dropped, draws)


def test_an_element_has_its_caption_by_its_place_in_the_batch(tmp_path: Path) -> None:
    """The same clip twice in a batch draws twice."""
    whole = maker(tmp_path)
    taken = Recorded(whole)
    whole.videos(0, 12)  # six videos, each twice
    assert len(set(taken.keys)) == 6
    assert len(set(taken.draws)) == 12
    assert all(0 <= draw < 1 for draw in taken.draws)


@pytest.mark.slow
def test_captions_come_by_their_weight(tmp_path: Path) -> None:
    for weights, shares in (
        ({}, (1 / 3, 1 / 3, 1 / 3)),
        ({"short": 2, "dense": 1, "model": 1}, (0.5, 0.25, 0.25)),
        ({"dense": 6}, (1 / 8, 6 / 8, 1 / 8)),
        ({"short": 0, "model": 0}, (0, 1, 0)),
    ):
        drawn: Counter[int] = Counter()
        made = maker(tmp_path, weights)
        taken = Recorded(made)
        for step in range(80):
            found = places(made.videos(step, 12))
            drawn.update(place for key, place in zip(taken.keys, found, strict=True) if key != "v0")
        for place, share in enumerate(shares):
            assert drawn[place] / drawn.total() == pytest.approx(share, abs=0.05 if 0 < share < 1 else 0)


def test_each_image_of_a_stack_draws_its_own_caption(tmp_path: Path) -> None:
    batch = maker(tmp_path).image_stacks(0, 6)
    assert batch.text is not None
    assert batch.text.shape[:2] == (6, 2)
    assert set(places(batch)) == {0, 1, 2}


def test_what_else_a_step_draws_does_not_depend_on_the_captions(tmp_path: Path) -> None:
    """With one caption per clip all is as it was when there were no others, whatever the weights."""
    single = batch_maker(tmp_path / "single", BASE, 0.3, weights={"": 5.0})
    several = maker(tmp_path / "several", {"dense": 3.0}, 0.3)
    for step in range(4):
        one, many = single.videos(step, 8), several.videos(step, 8)
        assert one.text is not None
        assert many.text is not None
        assert same_batches(replace(one, text=None), replace(many, text=None))
        assert torch.equal(one.text, many.text.floor()), "the same clips, and the same of them dropped"
        assert set(places(one)) == {0}
        stated = single.conditions.tensors(keys_of(single, step), one.text[:, 0, 0] == -1)
        assert torch.equal(stated["text"], one.text), "with one caption nothing is drawn"
    assert {field.name for field in fields(one)} >= {"noise", "timesteps"}


def keys_of(maker: BatchMaker, step: int) -> list[str]:
    taken = Recorded(maker)
    maker.videos(step, 8)
    maker.conditions = taken.conditions
    return taken.keys


def test_weights_are_checked_before_training(tmp_path: Path) -> None:
    def conditions(weights: Mapping[str, float]) -> TextConditions:
        found = maker(tmp_path, weights).conditions
        assert isinstance(found, TextConditions)
        return found

    keys = [row.key for row in ROWS]
    conditions({"short": 0, "dense": 0}).check(keys, "train_base")
    with pytest.raises(ConfigurationError) as error:
        conditions({"dens": 2.0}).check(keys, "train_base")
    assert str(error.value) == (
        "train_base.caption_weights: no caption is called 'dens'; did you mean 'dense'? (names: dense, model, short)"
    )
    nothing = conditions({"short": 0, "dense": 0, "model": 0})
    with pytest.raises(ConfigurationError) as error:
        nothing.check(keys, "train_base")
    assert str(error.value) == (
        "train_base.caption_weights: all captions of the clip 'v1' ('short', 'dense', 'model') have weight 0"
    )
    nothing.check(["v0", "i0"], "train_base")  # of the clips that are trained on, none
