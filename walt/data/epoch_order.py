"""The order of samples in training: pure functions of (seed, epoch, keys).

The order is one permutation per epoch, keyed by a hash; position ``p`` of the infinite sequence is sample ``p mod n``
of epoch ``p // n``. So a training run is resumed with one integer, and neither the listing order of the files nor the
number of batches prepared ahead changes a batch. Training runs in one process, on one device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from walt.data.key_index import FrozenKeys


def hash_integer(*parts: int | str) -> int:
    """A 64-bit integer that depends on all parts and on their order; the same on every machine."""
    text = "\0".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def epoch_order(seed: int, epoch: int, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys in the order of one epoch: each once, independent of the order in which they are given.

    Raises:
        ValueError: a key is repeated.
    """
    ordered = frozen_keys(keys)
    return ordered.at(_permutation(seed, epoch, len(ordered)))


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
    if not len(ordered):
        raise ValueError("there are no keys to draw from")
    return keys_at(seed, step * batch_size, batch_size, ordered)


def keys_at(seed: int, position: int, count: int, keys: FrozenKeys) -> tuple[str, ...]:
    """The keys at ``count`` positions of the infinite sequence, from ``position`` on; there is at least one key."""
    found, n = tuple[str, ...](), len(keys)
    while len(found) < count:  # one epoch after another
        epoch, first = divmod(position + len(found), n)
        found += keys.at(_permutation(seed, epoch, n)[first : first + count - len(found)])
    return found


def frozen_keys(keys: Iterable[str]) -> FrozenKeys:
    """The keys, sorted and checked; ``FrozenKeys`` are returned as they are."""
    return keys if isinstance(keys, FrozenKeys) else FrozenKeys(keys)


def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.integer]:
    """The places of the keys of an epoch, in its order: 4 bytes a key. The latest one of a seed stays in memory."""
    known = _latest.get((seed, count))
    if known is not None and known[0] == epoch:
        return known[1]
    generator = np.random.Generator(np.random.Philox(key=hash_integer("epoch", seed, epoch)))
    # Sorting random integers, not Generator.permutation: numpy guarantees the bit stream, not the shuffle
    draws = generator.bit_generator.random_raw(count)
    order = np.argsort(draws)  # a third of the time of a stable sort, and the same where no two are equal
    ordered = draws[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(draws, kind="stable")
    order = order.astype(np.uint32 if count <= 1 << 32 else np.int64)
    if len(_latest) >= _SEEDS_IN_MEMORY:
        _latest.clear()
    _latest[seed, count] = epoch, order
    return order


_SEEDS_IN_MEMORY = 256
"""Each member of a mixture has its own, of videos and of images."""
_latest: dict[tuple[int, int], tuple[int, NDArray[np.integer]]] = {}


def sample_offsets(seed: int, step: int, keys: Sequence[str], choices: int, name: str = "offset") -> list[int]:
    """For each sample of a step an integer in ``0 .. choices - 1``, independent of what else is in the batch.

    Args:
        name: what is drawn; draws of one step under different names are independent.
    """
    if choices < 1:
        raise ValueError(f"choices must be at least 1, not {choices}")
    return [hash_integer(name, seed, step, key) % choices for key in keys]


def sample_draws(seed: int, step: int, keys: Sequence[str], name: str) -> list[float]:
    """For each sample of a step a number in [0, 1), as ``sample_offsets``."""
    draws = (hash_integer(name, seed, step, key) for key in keys)
    return [(draw >> 11) / 2**53 for draw in draws]  # as many bits as a float has: never 1
