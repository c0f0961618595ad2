"""Which clips are taken where fewer are wanted than there are: a seeded draw, spread over the recordings.

The first ones of a table would be those of few sources, whose clips are neighbours there, or, in a table of another
order, those of few classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from walt.data.epoch_order import hash_integer


def recording(group: str | None, source_sha256: str) -> str:
    """The name of a clip's recording: the group of its source, or the source's SHA-256."""
    return f"source {source_sha256}" if group is None else f"group {group}"


def draw_order(recordings: Mapping[str, str], seed: int) -> list[str]:
    """The keys in the order in which they are drawn: one clip of each recording, then a second one of each that has
    more, and so on; the recordings, and the clips of each, in an order that the seed gives.

    It is a function of the seed and of the clips, not of the mapping's order. Another clip moves no other two against
    each other, so fewer clips are a part of more of them.

    Args:
        recordings: key -> its recording, of all clips that may be drawn.
    """
    of_each: dict[str, list[tuple[int, str]]] = {}
    for key, name in recordings.items():
        of_each.setdefault(name, []).append((hash_integer("clip drawn", seed, key), key))
    turns = [
        (turn, place, key)
        for name, drawn in of_each.items()
        for place in (hash_integer("recording drawn", seed, name),)
        for turn, (_, key) in enumerate(sorted(drawn))
    ]
    return [key for _, _, key in sorted(turns)]
