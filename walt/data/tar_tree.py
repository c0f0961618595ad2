"""The tree whose leaves are the tars: a place is 0 at the top, 2n + 1 and 2n + 2 below n (docs/decisions/0007).

A leaf that grows is split, and one that shrinks may be joined with others. What a leaf holds now was therefore held, as
far as it was there, by the leaf at the same place, by one above it, or by those below it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator


def upwards(place: int) -> Iterator[int]:
    """A place and all above it."""
    while place:
        yield place
        place = (place - 1) // 2
    yield 0


def place_of(bits: str) -> int:
    """The place that the binary digits lead to from the top."""
    place = 0
    for bit in bits:
        place = 2 * place + 1 + int(bit)
    return place


class Leaves:
    """The places of tars that are there, of which each may be asked for those that may hold the same items."""

    def __init__(self, places: Iterable[int]) -> None:
        self._at_or_below: defaultdict[int, list[int]] = defaultdict(list)
        self._places = frozenset(places)
        for place in sorted(self._places):
            for above in upwards(place):
                self._at_or_below[above].append(place)

    def related(self, place: int) -> list[int]:
        """Those at a place, above and below it."""
        above = [one for one in upwards(place) if one != place and one in self._places]
        return above + self._at_or_below.get(place, [])
