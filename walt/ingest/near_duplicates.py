"""Finds all near-duplicates among the clips without comparing all pairs.

Two clips are near-duplicates when their perceptual hashes differ in few bits and the mean colours of the hashed frames
are similar, since the hash ignores colour. If hashes differ in at most d bits and are cut into d + 2 bands, at least
two bands are the same in both (pigeonhole principle), so only clips that share two bands are compared. Two bands are
used instead of one of d + 1 bands: for a video and d = 9 two bands hold 34 bits, which unrelated clips rarely share,
while one would hold 19, which every clip shares with some other among a million.

Which clip is kept depends only on the set of clips: they are taken in an order that depends on their content, and a
clip is kept if no clip kept so far is similar to it. So each removed clip is similar to a kept one, and a removed clip
never causes another one to be removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from walt.media.fingerprints import HASH_BITS


def near_duplicates(
    hashes: NDArray[np.uint64], colours: NDArray[np.float32], bits: int, colour: float
) -> dict[int, int]:
    """Which clips are removed, and which kept clip each of them resembles.

    Args:
        hashes: (N, F) the hashes of each clip's F frames, in order of preference: of two similar clips the earlier is
            kept.
        colours: (N, C) the mean colours of these frames.
        bits: the largest number of bits in which hashes of near-duplicates differ, over all F frames.
        colour: the largest difference of any of their colours.

    Returns:
        index -> index of the first kept clip that is similar to it.
    """
    suspects = np.zeros(len(hashes), dtype=bool)  # clips that share two bands with another one
    for key in _pairs_of_bands(hashes, bits + 2):
        _, where, counts = np.unique(key, return_inverse=True, return_counts=True)
        suspects |= counts[where] > 1
    places = [int(place) for place in np.flatnonzero(suspects)]
    keys = np.stack(list(_pairs_of_bands(hashes[places], bits + 2)), axis=1)  # (suspects, pairs)
    kept: dict[tuple[int, int], list[int]] = defaultdict(list)  # (a pair's number, its bits) -> clips that stay
    whole: dict[int, int] = {}  # the hashes of a clip that stays as one number
    gone: dict[int, int] = {}
    for index, row in zip(places, keys, strict=True):
        number = int.from_bytes(hashes[index].astype(">u8").tobytes())
        buckets = list(enumerate(row.tolist()))
        for other in sorted({other for bucket in buckets for other in kept.get(bucket, ())}):
            if (number ^ whole[other]).bit_count() <= bits and _apart(colours[index], colours[other]) <= colour:
                gone[index] = other
                break
        else:
            whole[index] = number
            for bucket in buckets:
                kept[bucket].append(index)
    return gone


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).max())


def _pairs_of_bands(hashes: NDArray[np.uint64], count: int) -> Iterator[NDArray[np.uint64]]:
    """Cut the rows' bits into ``count`` bands of about equal width; yields each pair of bands as one number, (N,).

    Only the first 32 bits of a wider band are used: equal bands have equal beginnings.
    """
    total = hashes.shape[1] * HASH_BITS
    bands = []
    for begin, end in pairwise(total * number // count for number in range(count + 1)):
        word, offset = divmod(begin, HASH_BITS)
        value = hashes[:, word] << np.uint64(offset)
        if offset and word + 1 < hashes.shape[1]:
            value |= hashes[:, word + 1] >> np.uint64(HASH_BITS - offset)
        bands.append(value >> np.uint64(HASH_BITS - min(end - begin, 32)))
    for one, other in combinations(bands, 2):
        yield one << np.uint64(32) | other
