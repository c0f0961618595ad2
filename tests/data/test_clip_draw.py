"""Which clips are taken where fewer are wanted: by a seed and the clips alone, and spread over the recordings."""

from __future__ import annotations

from collections import Counter

from walt.data.clip_draw import draw_order, recording

COUNTS = {"a": 90, "b": 6, "c": 3, "d": 1}
CLIPS = {f"{name}-{number:03d}": name for name, count in COUNTS.items() for number in range(count)}
"""Sorted as a folder is: the first 90 are of one recording."""


def test_the_order_in_which_clips_are_given_changes_nothing() -> None:
    backwards = dict(reversed(CLIPS.items()))
    assert draw_order(backwards, 0) == draw_order(CLIPS, 0)
    assert sorted(draw_order(CLIPS, 0)) == sorted(CLIPS)


def test_each_recording_gives_one_clip_before_any_gives_a_second_one() -> None:
    drawn = [CLIPS[key] for key in draw_order(CLIPS, 0)]
    assert sorted(drawn[:4]) == ["a", "b", "c", "d"]
    assert Counter(drawn[:10]) == {"a": 3, "b": 3, "c": 3, "d": 1}
    assert Counter(drawn[:16]) == {"a": 6, "b": 6, "c": 3, "d": 1}
    assert {*drawn[16:]} == {"a"}


def test_clips_and_recordings_are_drawn_evenly_over_seeds() -> None:
    first = Counter(draw_order(CLIPS, seed)[0] for seed in range(400))
    by_recording = Counter(CLIPS[key] for key in first.elements())
    assert all(60 < by_recording[name] < 140 for name in "abcd"), "100 each, with a deviation of 9"
    of_a = [key for key in first if CLIPS[key] == "a"]
    assert len(of_a) > 40, "of 90 clips about 60 are drawn at least once"


def test_another_clip_moves_no_others_against_each_other() -> None:
    """So a set of fewer clips is a part of one of more, and most of a set stays when the dataset grows."""
    more = draw_order({**CLIPS, "e-000": "e"}, 0)
    assert [key for key in more if key != "e-000"] == draw_order(CLIPS, 0)


def test_a_seed_is_a_draw_of_its_own() -> None:
    assert draw_order(CLIPS, 1)[:10] != draw_order(CLIPS, 0)[:10]


def test_a_recording_is_a_group_or_else_a_source() -> None:
    assert recording("x", "1" * 64) == "group x"
    assert recording(None, "1" * 64) == f"source {'1' * 64}"
