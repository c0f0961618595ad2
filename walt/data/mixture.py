"""Clips of several collections, drawn by weight: in training, as a function of (seed, position).

The members of a union (docs/decisions/0011) have shares of the infinite sequence of samples. Each block of 65536
positions holds each member as often as its share says, in an order that is drawn anew for each block; where a member's
turn comes, it gives the next clip of its own order, in which each of its clips comes once an epoch. So how often a
member was drawn before any position is known without looking back: a run is resumed with one integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from walt.core.errors import ConfigurationError
from walt.core.suggestions import did_you_mean
from walt.data.epoch_order import batch_keys, hash_integer, keys_at
from walt.data.key_index import FrozenKeys
from walt.data.members import Members

BLOCK = 1 << 16
"""Positions in which each member comes as often as its share says, exactly."""


class Turns:
    """Whose turn it is at each position of an infinite sequence, by shares that sum to 1.

    Raises ValueError: a share that is not 0 is below 1 in 65536.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        counts = dict(zip(shares, _apportioned(list(shares.values())), strict=True))
        for name, share in shares.items():
            if share and not counts[name]:
                raise ValueError(f"the share of '{name}' is below 1 in {BLOCK}: give it none, or more")
        self.names = tuple(name for name, count in counts.items() if count)
        self._counts = tuple(count for count in counts.values() if count)

    def shares(self) -> dict[str, float]:
        """Of all positions, by name."""
        return {name: count / BLOCK for name, count in zip(self.names, self._counts, strict=True)}

    def at(self, seed: int, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """At positions ``start`` .. ``stop - 1``: whose turn it is, as a place in ``names``, and how many turns that
        one had before. Each (stop - start,)."""
        edges = [start, *range((start // BLOCK + 1) * BLOCK, stop, BLOCK), stop]
        turns, before = [], []
        for first, end in pairwise(edges):
            block = first // BLOCK
            own, ranks = _block(seed, block, self._counts)
            part = slice(first - block * BLOCK, end - block * BLOCK)
            turns.append(own[part].astype(np.int64))
            before.append(block * np.array(self._counts)[turns[-1]] + ranks[part])
        return np.concatenate(turns), np.concatenate(before)


class Mixture:
    """The clips of one kind, by member, and how often each member is drawn.

    Args:
        members: the clips of each; one without clips is left out.
        weights: of each member, 0 or more: its share of all samples is its weight divided by the sum of those of
            members that have clips. 0 leaves it out.

    Raises:
        KeyError: a member has no weight.
        ValueError: a share is below 1 in 65536, or no member that has clips has a weight.
    """

    def __init__(self, members: Mapping[str, FrozenKeys], weights: Mapping[str, float]) -> None:
        taken = {name: weights[name] for name in sorted(members) if len(members[name])}
        total = sum(taken.values())
        if not total:
            raise ValueError("no member that has clips has a weight above 0")
        self._turns = Turns({name: weight / total for name, weight in taken.items()})
        self._members = {name: members[name] for name in self._turns.names}

    def shares(self) -> dict[str, float]:
        """Of all samples, by member."""
        return self._turns.shares()

    def epochs(self, samples: int) -> dict[str, float]:
        """How often each clip of a member has come after so many samples, on average."""
        sizes = {name: len(keys) for name, keys in self._members.items()}
        return {name: samples * share / sizes[name] for name, share in self.shares().items()}

    def batch_keys(self, seed: int, step: int, batch_size: int) -> tuple[str, ...]:
        """The keys of the batch of a step, as ``walt.data.epoch_order.batch_keys``. Raises ValueError."""
        if step < 0 or batch_size < 1:
            raise ValueError(f"step must be at least 0 and batch_size at least 1, not {step} and {batch_size}")
        found: list[str] = [""] * batch_size
        turns, before = self._turns.at(seed, step * batch_size, (step + 1) * batch_size)
        for number, (name, keys) in enumerate(self._members.items()):
            own = np.flatnonzero(turns == number)
            if len(own):
                drawn = keys_at(hash_integer("member", seed, name), int(before[own[0]]), len(own), keys)
                for at, key in zip(own.tolist(), drawn, strict=True):
                    found[at] = key
        return tuple(found)


def drawn_keys(seed: int, step: int, batch_size: int, pool: FrozenKeys | Mixture) -> tuple[str, ...]:
    """The keys of the batch of a step: of clips that all come equally often, or of a mixture. Raises ValueError."""
    if isinstance(pool, Mixture):
        return pool.batch_keys(seed, step, batch_size)
    return batch_keys(seed, step, batch_size, pool)


def mixtures(
    members: Members, weights: Mapping[str, float], keys: Mapping[str, FrozenKeys], key: str
) -> dict[str, Mixture]:
    """What is drawn by these weights.

    Args:
        keys: the clips that are trained on, by their kind; a kind without clips gets no mixture.
        key: the setting that gives the weights, for messages.

    Raises:
        ConfigurationError: the data have no members; a weight is of a name that no member has; a member has no weight;
            one with a weight has no clip that is trained on; a kind has no clips of members with a weight, or a share
            is too small.
    """
    if not members.names:
        raise ConfigurationError(f"{key}: the dataset is not a union: it must be null")
    check_member_names(weights, members.names, key)
    found = {kind: members.split(own) for kind, own in keys.items() if len(own)}
    for name, weight in weights.items():
        if weight and not any(len(own[name]) for own in found.values()):
            raise ConfigurationError(f"{key}.{name}: no clip of this member is trained on: give it 0")
    try:
        return {kind: Mixture(own, weights) for kind, own in found.items()}
    except ValueError as error:
        raise ConfigurationError(f"{key}: {error}") from None


def check_member_names(weights: Mapping[str, float], names: Iterable[str], key: str) -> None:
    """Raise ConfigurationError, in one line, unless each member has a weight, and nothing else has one."""
    there = sorted(names)
    for name in weights:
        if name not in there:
            raise ConfigurationError(
                f"{key}: no member is called '{name}'{did_you_mean(name, there)} (members: {', '.join(there)})"
            )
    for name in there:
        if name not in weights:
            raise ConfigurationError(f"{key}: no weight for the member '{name}' (0 leaves it out)")


def _apportioned(shares: Sequence[float]) -> list[int]:
    """Whole numbers of a block's positions, by the largest remainders."""
    exact = [share * BLOCK for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: BLOCK - sum(counts)]:
        counts[place] += 1
    return counts


@lru_cache(maxsize=8)
def _block(seed: int, block: int, counts: tuple[int, ...]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """At each position of a block: whose turn it is, and how often it had one in this block before. Each (BLOCK,)."""
    generator = np.random.Generator(np.random.Philox(key=hash_integer("mixture", seed, block)))
    order = np.argsort(generator.bit_generator.random_raw(BLOCK), kind="stable")  # as the order of an epoch
    turns = np.repeat(np.arange(len(counts), dtype=np.uint16), counts)[order]
    ranks = np.empty(BLOCK, np.uint16)
    for number, count in enumerate(counts):
        ranks[turns == number] = np.arange(count)
    return turns, ranks
