"""The order of samples is a pure function of (seed, epoch, keys)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.data.epoch_order import batch_keys, epoch_order, frozen_keys, hash_integer, sample_offsets

KEYS = [f"key{i:02d}" for i in range(20)]
key_sets = st.sets(st.text("abcdef0123", min_size=1, max_size=6), min_size=1, max_size=40)
seeds = st.integers(-(2**40), 2**40)


@settings(deadline=None)
@given(keys=key_sets, seed=seeds, epoch=st.integers(0, 1000))
def test_every_epoch_is_a_permutation(keys: set[str], seed: int, epoch: int) -> None:
    order = epoch_order(seed, epoch, keys)
    assert sorted(order) == sorted(keys)


@settings(deadline=None)
@given(seed=seeds, epoch=st.integers(0, 1000))
def test_epochs_and_seeds_differ(seed: int, epoch: int) -> None:
    orders = {epoch_order(seed, epoch, KEYS), epoch_order(seed, epoch + 1, KEYS), epoch_order(seed + 1, epoch, KEYS)}
    assert len(orders) == 3
    assert tuple(KEYS) not in orders


@settings(deadline=None)
@given(order=st.permutations(KEYS), step=st.integers(0, 50))
def test_the_listing_order_does_not_matter(order: list[str], step: int) -> None:
    assert batch_keys(3, step, 7, order) == batch_keys(3, step, 7, KEYS)


@given(keys=key_sets, seed=seeds, batch_size=st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_batches_in_a_row_are_epochs_in_a_row(keys: set[str], seed: int, batch_size: int) -> None:
    n = len(keys)
    steps = -(-3 * n // batch_size)
    sequence = [key for step in range(steps) for key in batch_keys(seed, step, batch_size, keys)]
    for epoch in range(3):
        assert tuple(sequence[epoch * n : (epoch + 1) * n]) == epoch_order(seed, epoch, keys)


@pytest.mark.slow
@settings(deadline=None)
@given(keys=key_sets, step=st.integers(0, 100), per_rank=st.integers(1, 6))
def test_any_world_size_partitions_the_same_global_batch(keys: set[str], step: int, per_rank: int) -> None:
    batch_size = 12 * per_rank
    whole = batch_keys(1, step, batch_size, keys)
    for world_size in (1, 2, 3, 4, 6, 12):
        again = batch_keys(1, step, batch_size, keys)
        parts = [again[rank::world_size] for rank in range(world_size)]
        assert {len(part) for part in parts} == {batch_size // world_size}
        assert Counter(key for part in parts for key in part) == Counter(whole)
        rejoined = [parts[i % world_size][i // world_size] for i in range(batch_size)]
        assert tuple(rejoined) == whole


@pytest.mark.slow
def test_the_order_is_the_same_in_every_process_and_version() -> None:
    """A change of these values would break the resume of every run in existence."""
    assert epoch_order(0, 0, "abcdefgh") == tuple("bhfceagd")
    code = "from walt.data.epoch_order import epoch_order; print(''.join(epoch_order(0, 0, 'abcdefgh')))"
    environment = {"PYTHONHASHSEED": "7"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "bhfceagd"


def test_positions_are_uniform() -> None:
    """Each key is about equally often first: chi-squared with 19 degrees of freedom, p = 0.001 at 43.8."""
    first = Counter(epoch_order(0, epoch, KEYS)[0] for epoch in range(2000))
    assert sum((first[key] - 100) ** 2 / 100 for key in KEYS) < 43.8


def test_offsets_depend_on_step_and_key_but_not_on_the_batch() -> None:
    alone = [sample_offsets(5, 3, [key], 13)[0] for key in KEYS]
    assert sample_offsets(5, 3, KEYS, 13) == alone
    assert len(set(alone)) > 5
    assert all(0 <= offset < 13 for offset in alone)
    assert sample_offsets(5, 4, KEYS, 13) != alone
    assert sample_offsets(6, 3, KEYS, 13) != alone
    assert sample_offsets(5, 3, KEYS, 13, name="flip") != alone


def test_hashed_parts_cannot_run_together() -> None:
    values = {
        hash_integer("ab", "c"),
        hash_integer("a", "bc"),
        hash_integer("abc"),
        hash_integer(1, 2),
        hash_integer("1", 2),
    }
    assert len(values) == 5


def test_frozen_keys_are_made_once() -> None:
    keys = frozen_keys(reversed(KEYS))
    assert frozen_keys(keys) is keys
    assert list(keys) == KEYS
    assert hash(keys) == hash(frozen_keys(KEYS))
    assert keys == frozen_keys(KEYS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 4, []), "no keys"),
        ((0, 0, 4, ["a", "a"]), "repeated"),
        ((0, -1, 4, ["a"]), "step"),
        ((0, 0, 0, ["a"]), "batch_size"),
    ],
)
def test_keys_without_an_order_are_refused(arguments: tuple[int, int, int, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batch_keys(*arguments)
    with pytest.raises(ValueError, match="choices"):
        sample_offsets(0, 0, ["a"], 0)
