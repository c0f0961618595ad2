"""Near-duplicates among all clips, found without comparing all pairs, and none missed.

Two clips are near-duplicates when their perceptual hashes differ in few bits and the mean colours of the hashed frames
are near, since the hash sees no colour. If hashes differ in d bits at most and are cut into d + 1 bands, one band at
least is the same in both (pigeonhole), so only clips that share a band are compared.

Which clip stays depends on the set of clips alone: they are taken in an order that their content gives, and one stays
when no clip that stays already is near it. So each clip that goes is near one that stays, and what goes does not take
others with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from walt.core.fingerprints import HASH_BITS

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Fingerprint:
    """What a clip is recognised by."""

    hashes: tuple[str, ...]
    """16 hex digits for each hashed frame; clips of other numbers of frames are never near."""
    colours: tuple[Colour, ...]
    """Mean colour of each hashed frame."""


def near_duplicates(clips: Sequence[Fingerprint], bits: int, colour: float) -> dict[int, int]:
    """Which clips go, and which clip each of them is near.

    Args:
        clips: in order of preference: of two near ones the earlier stays.
        bits: the most bits by which hashes may differ, of 64, on average over the hashed frames.
        colour: the most by which mean colours may differ in any frame and channel, of 255.

    Returns:
        index -> index of the first clip that stays and is near it.
    """
    gone: dict[int, int] = {}
    for length in sorted({len(clip.hashes) for clip in clips}):
        places = [place for place, clip in enumerate(clips) if len(clip.hashes) == length]
        found = _among_alike([clips[place] for place in places], bits * length, colour)
        gone |= {places[index]: places[kept] for index, kept in found.items()}
    return gone


def _among_alike(clips: Sequence[Fingerprint], distance: int, colour: float) -> dict[int, int]:
    """The same for clips of one number of hashed frames; ``distance`` is the most bits over all of them."""
    words = np.array([[int(text, 16) for text in clip.hashes] for clip in clips], dtype=np.uint64)  # (N, frames)
    bands = list(_bands(words, distance + 1))  # each (N,)
    suspects = np.zeros(len(clips), dtype=bool)
    for band in bands:
        _, where, counts = np.unique(band, return_inverse=True, return_counts=True)
        suspects |= counts[where] > 1
    kept: dict[tuple[int, int], list[int]] = defaultdict(list)  # (band's number, its bits) -> clips that stay
    gone: dict[int, int] = {}
    for index in map(int, np.flatnonzero(suspects)):  # nobody shares a band with the others
        buckets = [(number, int(band[index])) for number, band in enumerate(bands)]
        candidates = sorted({other for bucket in buckets for other in kept.get(bucket, ())})
        near = (
            other for other in candidates if _near(clips[index], clips[other], words[[index, other]], distance, colour)
        )
        original = next(near, None)
        if original is not None:
            gone[index] = original
            continue
        for bucket in buckets:
            kept[bucket].append(index)
    return gone


def _bands(words: NDArray[np.uint64], count: int) -> Iterator[NDArray[np.uint64]]:
    """Cut the rows' bits into ``count`` bands of like width, each as one number; of a band wider than 64 bits the
    first 64, since equal bands have equal beginnings."""
    total = words.shape[1] * HASH_BITS
    edges = [total * number // count for number in range(count + 1)]
    for begin, end in pairwise(edges):
        word, offset = divmod(begin, HASH_BITS)
        value = words[:, word] << np.uint64(offset)
        if offset and word + 1 < words.shape[1]:
            value |= words[:, word + 1] >> np.uint64(HASH_BITS - offset)
        yield value >> np.uint64(HASH_BITS - min(end - begin, HASH_BITS))


def _near(one: Fingerprint, other: Fingerprint, words: NDArray[np.uint64], distance: int, colour: float) -> bool:
    if int(np.bitwise_count(words[0] ^ words[1]).sum()) > distance:
        return False
    pairs = zip(one.colours, other.colours, strict=True)
    return all(abs(a - b) <= colour for mine, theirs in pairs for a, b in zip(mine, theirs, strict=True))
