"""Near-duplicates: what bands find is what comparing all pairs finds, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from walt.ingest.near_duplicates import near_duplicates

Prints = tuple[NDArray[np.uint64], NDArray[np.float32]]


def by_all_pairs(hashes: NDArray[np.uint64], colours: NDArray[np.float32], bits: int, colour: float) -> dict[int, int]:
    gone: dict[int, int] = {}
    for index in range(len(hashes)):
        for other in range(index):
            near = np.bitwise_count(hashes[index] ^ hashes[other]).sum() <= bits
            if other not in gone and near and np.abs(colours[index] - colours[other]).max() <= colour:
                gone[index] = other
                break
    return gone


@st.composite
def prints(draw: st.DrawFn) -> Prints:
    """A few originals, and copies of them with some bits and colours changed: chains of near ones are common."""
    frames = draw(st.sampled_from([1, 3]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    originals = generator.integers(0, 2**64, (draw(st.integers(1, 4)), frames), dtype=np.uint64)
    hashes = []
    for _ in range(draw(st.integers(1, 25))):
        clip = originals[generator.integers(len(originals))].copy()
        for _ in range(generator.integers(0, 8)):
            clip[generator.integers(frames)] ^= np.uint64(1) << np.uint64(generator.integers(64))
        hashes.append(clip)
    colours = generator.choice([100.0, 104.0, 108.0], (len(hashes), 3 * frames), p=[0.9, 0.05, 0.05])
    return np.stack(hashes), colours.astype(np.float32)


@pytest.mark.slow
@given(prints(), st.sampled_from([0, 1, 3, 6, 9, 24]), st.sampled_from([0.0, 4.0, 255.0]))
@settings(max_examples=150, deadline=None)
def test_bands_miss_nothing(clips: Prints, bits: int, colour: float) -> None:
    assert near_duplicates(*clips, bits, colour) == by_all_pairs(*clips, bits, colour)


def test_each_removed_clip_is_similar_to_a_kept_one() -> None:
    """A chain: the second is near the first and goes, so the third, which is near the second only, stays."""
    chain = np.array([[0b0], [0b11], [0b1111], [0b111111]], dtype=np.uint64)
    assert near_duplicates(chain, np.zeros((4, 3), np.float32), 2, 0.0) == {1: 0, 3: 2}


@pytest.mark.parametrize("shape", [(0, 3), (1, 1)])
def test_few_clips_have_no_duplicates(shape: tuple[int, int]) -> None:
    assert near_duplicates(np.zeros(shape, np.uint64), np.zeros((shape[0], 3), np.float32), 9, 16.0) == {}


@pytest.mark.slow
def test_unrelated_clips_are_not_compared_with_each_other() -> None:
    """Where all pairs were compared this would not end within a test's time."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, (300_000, 3), dtype=np.uint64)
    hashes[-1] = hashes[0] ^ np.uint64(0b111)
    assert near_duplicates(hashes, np.zeros((len(hashes), 9), np.float32), 9, 0.0) == {len(hashes) - 1: 0}
