"""Which source goes to which tar: by the set of sources alone, and one more of them changes few tars."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.ingest.clip_tars import Source, assign_parts, assign_shards
from walt.ingest.sources.items import Item


def source(number: int, num_clips: int = 1) -> Source:
    item = Item(f"{number}", Path(f"{number}"), "video", (), False, None)
    return Source(item, hashlib.sha256(str(number).encode()).hexdigest(), 0, num_clips, True)


def content(sources: list[Source], most: int) -> dict[int, set[str]]:
    return {number: {one.sha256 for one in shard} for number, shard in assign_shards(sources, most).items()}


SOURCES = st.dictionaries(st.integers(0, 300), st.integers(1, 5), min_size=1, max_size=60)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(clips=SOURCES, most=st.integers(1, 20), seed=st.integers(0, 9), new=st.integers(301, 400))
def test_the_set_decides_and_one_more_source_changes_one_tar(
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
    assert len(gone) <= 1, "at most one tar is written again or split"
    touched = [shard for number, shard in after.items() if before.get(number) != shard]
    assert set().union(*touched) == {added.sha256}.union(*gone)
    assert content(sources, most) == before, "and without it all is as it was"


@pytest.mark.slow
def test_numbers_are_positions_in_a_tree_and_tars_are_reasonably_full() -> None:
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


def parts(sources: list[Source], most_clips: int, most_rows: int) -> dict[int, set[tuple[int, str]]]:
    """(tar, source) by part."""
    found = assign_parts(assign_shards(sources, most_clips), most_rows)
    return {part: {(tar, one.sha256) for tar, shard in tars.items() for one in shard} for part, tars in found.items()}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    clips=SOURCES, most=st.integers(1, 12), most_rows=st.integers(1, 40), seed=st.integers(0, 9),
    new=st.integers(301, 400),
)  # fmt: skip
def test_the_set_decides_the_parts_and_one_more_source_changes_one(
    clips: dict[int, int], most: int, most_rows: int, seed: int, new: int
) -> None:
    sources = [source(number, count) for number, count in clips.items()]
    shards = assign_shards(sources, most)
    before = parts(sources, most, most_rows)
    tars = [tar for found in assign_parts(shards, most_rows).values() for tar in found]
    assert sorted(tars) == list(shards), "each tar is in one part, and in no other"
    number_of = {one.sha256: one.num_clips for one in sources}
    for part, found in before.items():
        rows = sum(number_of[sha256] for _, sha256 in found)
        assert rows <= most_rows or {tar for tar, _ in found} == {part}, "or a single tar is larger"
    random.Random(seed).shuffle(sources)
    assert parts(sources, most, most_rows) == before

    added = source(new)
    after = parts([*sources, added], most, most_rows)
    gone = [found for part, found in before.items() if after.get(part) != found]
    assert len(gone) <= 1, "at most one part is written again or split"
    touched = [found for part, found in after.items() if before.get(part) != found]
    said = {sha256 for found in touched for _, sha256 in found}
    assert said == {added.sha256}.union(*({sha256 for _, sha256 in found} for found in gone))


def test_parts_are_positions_in_the_tree_of_the_tars_and_as_large_as_allowed() -> None:
    sources = [source(number) for number in range(5_000)]
    shards = assign_shards(sources, 50)
    found = assign_parts(shards, 400)
    assert list(found) == sorted(found)
    sizes = {part: sum(map(len, tars.values())) for part, tars in found.items()}
    assert max(sizes.values()) <= 400
    assert sum(sizes.values()) == 5_000
    for part, tars in found.items():
        assert list(tars) == sorted(tars)
        for tar in tars:
            above = tar
            while above > part:
                above = (above - 1) // 2
            assert above == part
        if part:
            beside = part + 1 if part % 2 else part - 1
            below = [other for other in found if other == beside or _is_below(other, beside)]
            assert sizes[part] + sum(sizes[other] for other in below) > 400, "with its sibling, it is too large"
    assert list(assign_parts(shards, 5_000)) == [0]
    assert assign_parts(shards, 5_000)[0] == shards
    assert list(assign_parts(shards, 1)) == list(shards), "a tar is never apart"
    assert assign_parts({}, 10) == {}


def _is_below(number: int, place: int) -> bool:
    while number > place:
        number = (number - 1) // 2
    return number == place
