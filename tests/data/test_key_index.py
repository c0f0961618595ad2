"""Keys as numbers: each is found, and comes back as it was."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.data.key_index import (
    FrozenKeys,
    KeyIndex,
    ids_of,
    ids_of_column,
    is_plain,
    numbers_in,
    sorted_order,
    text_of,
)

plain = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
odd = st.one_of(st.text("abcdefgh_-0123456789AF", max_size=40), st.sampled_from(["null", "0" * 31, "A" * 32]))
any_key = st.one_of(plain, odd)


@settings(deadline=None)
@given(keys=st.lists(any_key, max_size=30), start=st.integers(0, 3))
def test_a_column_gives_the_ids_of_its_keys(keys: list[str], start: int) -> None:
    column = pa.array([*["f" * 32, "x", ""][:start], *keys], pa.string())[start:]
    ids, odd = ids_of_column(column)
    assert np.array_equal(ids, ids_of(keys))
    assert odd == {place: key for place, key in enumerate(keys) if not is_plain(key)}
    assert [text_of(*own) for own in ids.tolist() if is_plain(text_of(*own))] == [text_of(*own) for own in ids.tolist()]
    assert all(text_of(*own) == key for own, key in zip(ids.tolist(), keys, strict=True) if is_plain(key))


@settings(deadline=None)
@given(numbers=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=40), asked=st.integers(0, 3))
def test_ids_are_found_also_where_upper_halves_are_equal(numbers: list[tuple[int, int]], asked: int) -> None:
    ids = np.array(numbers, np.uint64).reshape(-1, 2)
    ordered = ids[sorted_order(ids)]
    assert ordered.tolist() == sorted(ids.tolist())
    index = KeyIndex(ordered[:, 0].copy(), ordered[:, 1].copy())
    wanted = np.array([(asked, lower) for lower in range(7)], np.uint64)
    texts = ordered.tolist()
    expected = [texts.index(own) if own in texts else -1 for own in wanted.tolist()]
    assert index.find(wanted).tolist() == expected


@pytest.mark.slow
@settings(deadline=None)
@given(keys=st.one_of(st.sets(plain, max_size=20), st.sets(any_key, max_size=20)), other=any_key)
def test_frozen_keys_are_the_sorted_texts(keys: set[str], other: str) -> None:
    frozen, expected = FrozenKeys(keys), tuple(sorted(keys))
    assert tuple(frozen) == expected == frozen[:]
    assert frozen == expected
    assert frozen != (*expected, "one more")
    assert [frozen[place] for place in range(len(frozen))] == list(expected)
    assert frozen.at(np.arange(len(frozen))[::-1]) == expected[::-1]
    assert all(key in frozen for key in keys)
    assert (other in frozen) == (other in keys)
    assert len(frozen.ids()) == len(keys)
    if all(map(is_plain, keys)):
        assert FrozenKeys.of_ids(ids_of(sorted(keys, reverse=True))) == frozen


def test_a_repeated_key_is_refused() -> None:
    for key in ("a" * 32, "a"):
        with pytest.raises(ValueError, match="repeated"):
            FrozenKeys([key, "b", key])
    with pytest.raises(ValueError, match="repeated"):
        FrozenKeys.of_ids(ids_of(["a" * 32, "b" * 32, "a" * 32]))


def test_the_first_key_of_some_ids_is_named() -> None:
    keys = FrozenKeys(["a", "b", "c"])
    assert keys.key_of(ids_of(["c", "b"])) == "b"


def test_numbers_are_read_where_they_lie() -> None:
    assert numbers_in(pa.array([1, 2, 3], pa.uint32())[1:], np.uint32).tolist() == [2, 3]
    with pytest.raises(ValueError, match="uint32, expected"):
        numbers_in(pa.array([1], pa.uint32()), np.uint64)
