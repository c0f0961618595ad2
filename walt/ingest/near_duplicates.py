"""Near-duplicates among all clips, found without comparing all pairs, and none missed.

Two clips are near-duplicates when their perceptual hashes differ in few bits and the mean colours of the hashed frames
are near, since the hash sees no colour. If hashes differ in d bits at most and are cut into d + 2 bands, two bands at
least are the same in both (pigeonhole), so only clips that share two bands are compared. Two bands, not one of d + 1:
for a video and d = 9 they hold 34 bits, which strangers rarely share, where one would hold 19, which all do among a
million clips.

Which clip stays depends on the set of clips alone: they are taken in an order that their content gives, and one stays
when no clip that stays already is near it. So each clip that goes is near one that stays, and what goes does not take
others with it.
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
    """Which clips go, and which clip each of them is near.

    Args:
        hashes: (N, F) the hashes of each clip's F frames, in order of preference: of two near ones the earlier stays.
        colours: (N, C) the mean colours of these frames.
        bits: the most bits by which near ones' hashes differ, over all F frames.
        colour: the most by which any of their colours differ.

    Returns:
        index -> index of the first clip that stays and is near it.
    """
    suspects = np.zeros(len(hashes), dtype=bool)  # who shares two bands with somebody
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
    """Cut the rows' bits into ``count`` bands of like width; each two of them as one number, (N,).

    Of a band wider than 32 bits the first 32 are taken: equal bands have equal beginnings.
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
