"""Classes of samples in the proportions of a set of clips."""

from __future__ import annotations

from collections import Counter

import pytest

from walt.sampling.proportions import in_proportion

CLIPS = {0: 700, 1: 200, 5: 99, 7: 1}


@pytest.mark.parametrize("count", [1, 3, 64, 1000, 2048])
def test_each_class_is_there_as_often_as_in_the_clips(count: int) -> None:
    found = in_proportion(CLIPS, count)
    asked = Counter(found)
    assert len(found) == count
    assert all(abs(asked[label] - count * clips / 1000) <= 1.0 for label, clips in CLIPS.items())
    assert in_proportion(dict(reversed(CLIPS.items())), count) == found


def test_a_part_of_them_has_these_proportions_too() -> None:
    asked = Counter(in_proportion(CLIPS, 1000)[300:400])
    assert all(abs(asked[label] - clips / 10) <= 2.0 for label, clips in CLIPS.items())
