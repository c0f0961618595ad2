"""Members of a union drawn by weight: a function of (seed, step), with exact shares, each clip once an epoch."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.data.key_index import FrozenKeys
from walt.data.members import Members
from walt.data.mixture import BLOCK, Mixture, mixtures
from walt.data.text_tables import MEMBERS_TABLE, write_members

LARGE, SMALL = [f"large{i:03d}" for i in range(300)], [f"small{i}" for i in range(7)]
KEYS = {"large": FrozenKeys(LARGE), "small": FrozenKeys(SMALL)}


def sequence(mixture: Mixture, count: int, batch_size: int = 100, seed: int = 0) -> list[str]:
    """The first samples."""
    steps = -(-count // batch_size)
    return [key for step in range(steps) for key in mixture.batch_keys(seed, step, batch_size)][:count]


@pytest.mark.slow
@pytest.mark.parametrize("weights", [{"large": 1, "small": 1}, {"large": 0.9, "small": 0.1}, {"large": 1, "small": 30}])
def test_members_come_by_their_weight(weights: dict[str, float]) -> None:
    mixture = Mixture(KEYS, weights)
    drawn = sequence(mixture, 2 * BLOCK, BLOCK // 2)
    share = weights["small"] / sum(weights.values())
    for block in (drawn[:BLOCK], drawn[BLOCK:]):
        small = sum(key.startswith("small") for key in block)
        assert abs(small - share * BLOCK) < 1, "a block has exactly its share"
        assert mixture.shares()["small"] == small / BLOCK
    few = Counter(key[:5] for key in drawn[1000:3000])
    assert few["small"] / 2000 == pytest.approx(share, abs=0.05), "and any part of it about that"


def test_each_clip_of_a_member_comes_once_in_its_epoch() -> None:
    drawn = sequence(Mixture(KEYS, {"large": 3, "small": 1}), 4000)
    for prefix, keys in (("large", LARGE), ("small", SMALL)):
        own = [key for key in drawn if key.startswith(prefix)]
        epochs = [own[start : start + len(keys)] for start in range(0, len(own) - len(keys), len(keys))]
        assert len(epochs) >= 9
        assert all(sorted(epoch) == sorted(keys) for epoch in epochs)
        assert all(one != other for one, other in pairwise(epochs)), "in another order each time"


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(batch_size=st.integers(1, 300), step=st.integers(0, 10**6), seed=st.integers(0, 2**40))
def test_a_batch_does_not_depend_on_what_was_asked_before(batch_size: int, step: int, seed: int) -> None:
    weights = {"large": 2.0, "small": 1.0}
    one, fresh = Mixture(KEYS, weights), Mixture(KEYS, weights)
    whole = one.batch_keys(seed, step, 2 * batch_size)
    halves = [fresh.batch_keys(seed, 2 * step + half, batch_size) for half in (1, 0)]
    assert halves[1] + halves[0] == whole


@pytest.mark.slow
def test_a_batch_may_lie_across_blocks() -> None:
    mixture, batch_size = Mixture(KEYS, {"large": 2, "small": 1}), BLOCK - 5
    assert sequence(mixture, 3 * BLOCK, batch_size) == sequence(mixture, 3 * BLOCK, BLOCK // 4)


def test_the_draws_are_the_same_in_every_version() -> None:
    """A change of these values would break the resume of every run that draws members by weight."""
    found = Mixture(KEYS, {"large": 2, "small": 1}).batch_keys(0, 3, 6)
    assert found == ("large168", "large078", "small2", "small3", "small5", "large133")
    assert Mixture(KEYS, {"large": 2, "small": 1}).batch_keys(1, 3, 6) != found


def test_a_member_keeps_its_order_beside_others() -> None:
    alone = sequence(Mixture(KEYS, {"large": 0, "small": 1}), 50)
    beside = sequence(Mixture(KEYS, {"large": 4, "small": 1}), 1000)
    assert [key for key in beside if key.startswith("small")][:50] == alone
    assert set(alone) == set(SMALL), "weight 0 leaves the other out"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"large": 1.0, "small": 1e-9}, "the share of 'small' is below 1 in 65536"),
        ({"large": 0.0, "small": 0.0}, "no member that has clips has a weight above 0"),
    ],
)
def test_weights_that_draw_nothing_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(KEYS, weights)
    with pytest.raises(ValueError, match="step"):
        Mixture(KEYS, {"large": 1, "small": 1}).batch_keys(0, -1, 4)


PLAIN = {"films": [f"{i:032x}" for i in range(5)], "photos": [f"{i:032x}" for i in range(5, 8)]}


@pytest.mark.parametrize("odd", [False, True])
def test_the_table_says_whose_a_clip_is(tmp_path: Path, odd: bool) -> None:
    own = {name: [*keys, *([f"{name}-x"] if odd else [])] for name, keys in PLAIN.items()}
    rows = [(key, name) for name, keys in own.items() for key in keys]
    write_members(tmp_path, reversed(rows))
    members = Members(tmp_path)
    assert members.names == ("films", "photos")
    train = FrozenKeys(key for key, _ in rows if not key.endswith("3"))
    found = members.split(train)
    assert {name: list(keys) for name, keys in found.items()} == {
        name: sorted(key for key in keys if not key.endswith("3")) for name, keys in own.items()
    }
    with pytest.raises(KeyError, match="'elsewhere' is of no member"):
        members.split(FrozenKeys(["elsewhere"]))


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    assert Members(tmp_path / "none").names == ()
    write_members(tmp_path, [("a", "films")])
    table = tmp_path / MEMBERS_TABLE
    table.write_bytes(table.read_bytes()[:-30] + bytes(30))
    with pytest.raises(CorruptArtifactError, match=MEMBERS_TABLE):
        Members(tmp_path)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"film": 1.0, "photos": 1.0},
            "KEY: no member is called 'film'; did you mean 'films'? (members: films, photos)",
        ),
        ({"films": 1.0}, "KEY: no weight for the member 'photos' (0 leaves it out)"),
        ({"films": 1.0, "photos": 1.0}, "KEY.photos: no clip of this member is trained on: give it 0"),
        ({"films": 1e-9, "photos": 1.0}, "KEY.photos: no clip of this member is trained on: give it 0"),
    ],
)
def test_weights_are_checked_in_one_line(tmp_path: Path, weights: dict[str, float], message: str) -> None:
    write_members(tmp_path, [(key, name) for name, keys in PLAIN.items() for key in keys])
    keys = {"video": FrozenKeys(PLAIN["films"]), "image": FrozenKeys([])}
    with pytest.raises(ConfigurationError) as error:
        mixtures(Members(tmp_path), weights, keys, "KEY")
    assert str(error.value) == message


def test_each_kind_has_the_members_that_have_any_of_it(tmp_path: Path) -> None:
    write_members(tmp_path, [(key, name) for name, keys in PLAIN.items() for key in keys])
    keys = {"video": FrozenKeys(PLAIN["films"]), "image": FrozenKeys([*PLAIN["photos"]])}
    found = mixtures(Members(tmp_path), {"films": 3, "photos": 1}, keys, "KEY")
    assert {kind: mixture.shares() for kind, mixture in found.items()} == {
        "video": {"films": 1},
        "image": {"photos": 1},
    }
    assert found["image"].epochs(30) == {"photos": 10}
    with pytest.raises(ConfigurationError, match="KEY: the dataset is not a union: it must be null"):
        mixtures(Members(tmp_path / "none"), {"films": 1}, keys, "KEY")
