"""Several sets of samples of the same prompts, each with noise of its own."""

from __future__ import annotations

from walt.data.epoch_order import hash_integer


def seed_of_set(seed: int, repeat: int) -> int:
    """The seed of a set's noise: that of the project for the first one, and for each further one a number of 64 bits.

    With ``seed + repeat`` the second set of seed 0 was the first one of seed 1, and what was averaged over seeds, or
    compared between them, was in part the same videos.
    """
    return hash_integer("set of samples", seed, repeat) if repeat else seed
