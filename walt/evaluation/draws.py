"""What a bootstrap draws. Resamples are functions of the number of what is drawn, and so pair two models.

Clips that were cut from one recording are like each other, and so are videos of one prompt: drawn one by one they would
say that more is known than is, by as much as they are alike. They are drawn together then, all or none (a cluster
bootstrap; Davison and Hinkley, Bootstrap Methods and their Application, section 3.8). Where no two items are of one
group, each is drawn by itself, to the bit as if nothing were known of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200

Groups = Sequence[str] | None
"""The name of each item's group, in the items' order; None: each is one of its own."""


def resamples(items: int, stream: int = 0) -> NDArray[np.int64]:
    """(RESAMPLES, items) numbers of items, drawn with replacement: always the same for the same arguments.

    Args:
        stream: sets that are resampled independently of each other have different ones.
    """
    numbers = np.random.RandomState([stream, items])  # the legacy generator: the same numbers in every version
    return np.asarray(numbers.randint(0, items, size=(RESAMPLES, items), dtype=np.int64))


def together(groups: Groups) -> Groups:
    """The same groups; None where no two items are of one."""
    return None if groups is None or len(set(groups)) == len(groups) else groups


def independent(groups: Groups) -> int | None:
    """How many groups are drawn; None where each item is drawn by itself."""
    groups = together(groups)
    return None if groups is None else len(set(groups))


def draws(items: int, groups: Groups = None, stream: int = 0) -> Sequence[NDArray[np.int64]]:
    """RESAMPLES times the numbers of the items that were drawn: of whole groups, as many as there are; the number of
    items differs from one to the next then. One group alone is there each time.

    Args:
        stream: as in ``resamples``.
    """
    groups = together(groups)
    return list(resamples(items, stream)) if groups is None else _of_groups(tuple(groups), stream)


@lru_cache(maxsize=8)  # each metric of a set has the same
def _of_groups(groups: tuple[str, ...], stream: int) -> list[NDArray[np.int64]]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    of_items = np.array([numbers[name] for name in groups])
    members = [np.flatnonzero(of_items == number) for number in range(len(numbers))]
    mixed = np.random.RandomState([stream, len(numbers), len(groups)])
    # mixed: parts of a resample, of which an inception score is the mean, would hold whole groups
    found = [
        mixed.permutation(np.concatenate([members[number] for number in chosen])).astype(np.int64)
        for chosen in resamples(len(numbers), stream)
    ]
    for drawn in found:
        drawn.flags.writeable = False
    return found
