"""Which source goes to which tar: by the set of sources alone, and one more of them changes few tars."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from walt.data.clip_tars import Source, assign_shards
from walt.data.sources.items import Item


def source(number: int, num_clips: int = 1) -> Source:
    item = Item(f"{number}", Path(f"{number}"), "video", None, False, None)
    return Source(item, hashlib.sha256(str(number).encode()).hexdigest(), 0, num_clips, True)


def content(sources: list[Source], most: int) -> dict[int, set[str]]:
    return {number: {one.sha256 for one in shard} for number, shard in assign_shards(sources, most).items()}


SOURCES = st.dictionaries(st.integers(0, 300), st.integers(1, 5), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(clips=SOURCES, most=st.integers(1, 20), seed=st.integers(0, 9), new=st.integers(301, 400))
def test_the_set_decides_and_one_more_source_touches_one_tar(
    clips: dict[int, int], most: int, seed: int, new: int
) -> None:
    sources = [source(number, count) for number, count in clips.items()]
    before = content(sources, most)
    assert sorted(sha256 for shard in before.values() for sha256 in shard) == sorted(one.sha256 for one in sources)
    number_of = {one.sha256: one.num_clips for one in sources}
    for shard in before.values():
        assert len(shard) == 1 or sum(number_of[sha256] for sha256 in shard) <= most
    random.Random(seed).shuffle(sources)
    assert content(sources, most) == before

    added = source(new)
    after = content([*sources, added], most)
    gone = [shard for number, shard in before.items() if after.get(number) != shard]
    assert len(gone) <= 1, "one tar at most is written anew or split"
    touched = [shard for number, shard in after.items() if before.get(number) != shard]
    assert set().union(*touched) == {added.sha256}.union(*gone)
    assert content(sources, most) == before, "and without it all is as it was"


def test_numbers_are_places_in_a_tree_and_tars_are_reasonably_full() -> None:
    shards = assign_shards([source(number) for number in range(20_000)], 100)
    numbers = set(shards)
    for number in numbers:
        above = number
        while above:
            above = (above - 1) // 2
            assert above not in numbers, "no tar above another"
    sizes = [len(shard) for shard in shards.values()]
    assert max(sizes) <= 100
    assert 55 < sum(sizes) / len(sizes) < 85
    assert list(shards) == sorted(shards)


def test_two_spans_of_one_file_stay_together() -> None:
    same = [source(1, 7), source(1, 7)]
    assert list(assign_shards(same, 10).values()) == [same]


def test_few_clips_are_one_tar() -> None:
    assert list(assign_shards([source(number) for number in range(9)], 9)) == [0]
