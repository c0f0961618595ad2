"""Which of the processes of a stage this one is: a stage that runs on N devices is N processes, its *ranks*.

One process alone is rank 0 of 1. What ranks tell each other is in ``walt.nn.collectives``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process's place among the ranks."""

    rank: int
    """0 .. count - 1; the first one writes, logs and publishes."""
    count: int
    """How many there are, at least 1."""

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """What this rank has to do of a list that all ranks have: every ``count``-th item."""
        return items[self.rank :: self.count]


_ALONE = Ranks(0, 1)
_present = [_ALONE]


def ranks() -> Ranks:
    """This process's place among the ranks of its stage."""
    return _present[0]


def become(rank: int, count: int) -> None:
    """Say once, at the start of a process, which rank it is."""
    assert 0 <= rank < count, f"rank {rank} is not one of {count}"
    _present[0] = Ranks(rank, count)
