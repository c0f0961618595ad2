"""The order of samples in training: pure functions of (seed, epoch, keys).

The order is one permutation per epoch, keyed by a hash; position ``p`` of the infinite sequence is sample ``p mod n``
of epoch ``p // n``. So a training run is resumed with one integer, and neither the listing order of the files nor the
number of batches prepared ahead changes a batch. Training runs in one process, on one device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Self

import numpy as np


def hash_integer(*parts: int | str) -> int:
    """A 64-bit integer that depends on all parts and on their order; the same on every machine."""
    text = "\0".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def epoch_order(seed: int, epoch: int, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys in the order of one epoch: each once, independent of the order in which they are given.

    Raises:
        ValueError: a key is repeated.
    """
    return _epoch_order(seed, epoch, frozen_keys(keys))


def batch_keys(seed: int, step: int, batch_size: int, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys of the batch of a step: positions ``step * batch_size + i`` of the infinite sequence.

    A batch may contain the end of one epoch and the start of the next; no sample is skipped or padded. Pass the result
    of ``frozen_keys`` if this is called in each step.

    Raises:
        ValueError: there are no keys, a key is repeated, or a number is out of range.
    """
    if step < 0 or batch_size < 1:
        raise ValueError(f"step must be at least 0 and batch_size at least 1, not {step} and {batch_size}")
    ordered = frozen_keys(keys)
    n = len(ordered)
    if not n:
        raise ValueError("there are no keys to draw from")
    positions = range(step * batch_size, (step + 1) * batch_size)
    return tuple(_epoch_order(seed, position // n, ordered)[position % n] for position in positions)


class FrozenKeys(tuple[str, ...]):
    """Sorted, unique keys; hashed only once, so that looking up an epoch's order is cheap."""

    _hash: int

    def __new__(cls, keys: Iterable[str]) -> Self:
        self = super().__new__(cls, sorted(keys))
        if len(set(self)) != len(self):
            raise ValueError("a key is repeated")
        self._hash = tuple.__hash__(self)
        return self

    def __hash__(self) -> int:
        return self._hash


def frozen_keys(keys: Iterable[str]) -> FrozenKeys:
    """The keys, sorted and checked; ``FrozenKeys`` are returned as they are."""
    return keys if isinstance(keys, FrozenKeys) else FrozenKeys(keys)


@lru_cache(maxsize=16)
def _epoch_order(seed: int, epoch: int, keys: FrozenKeys) -> tuple[str, ...]:
    generator = np.random.Generator(np.random.Philox(key=hash_integer("epoch", seed, epoch)))
    # Sorting random integers, not Generator.permutation: numpy guarantees the bit stream, not the shuffle
    draws = generator.bit_generator.random_raw(len(keys))
    return tuple(keys[i] for i in np.argsort(draws, kind="stable"))


def sample_offsets(seed: int, step: int, keys: Sequence[str], choices: int, name: str = "offset") -> list[int]:
    """For each sample of a step an integer in ``0 .. choices - 1``, independent of what else is in the batch.

    Args:
        name: what is drawn; draws of one step under different names are independent.
    """
    if choices < 1:
        raise ValueError(f"choices must be at least 1, not {choices}")
    return [hash_integer(name, seed, step, key) % choices for key in keys]
