"""Noise as a function of (seed, step, sample): the rest of the batch, and when it is drawn, change nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def sample_generator(seed: int, step: int, key: str) -> torch.Generator:
    """A separate CPU generator for one sample at one step.

    torch 2.13 uses 32 bits of a CPU generator's seed (``findings/torch_cpu_seed.sh``): one pair of draws in 4.3 billion
    is equal by chance.
    """
    digest = hashlib.sha256(f"{seed}:{step}:{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def sample_noise(
    seed: int | Sequence[int], step: int, keys: Sequence[str], shape: tuple[int, ...], device: str = "cpu"
) -> Tensor:
    """Unit Gaussian noise (len(keys), *shape), drawn on the CPU, so the same on every device.

    ``seed`` is one for all, or one for each key.
    """
    seeds = [seed] * len(keys) if isinstance(seed, int) else seed
    draws = [
        torch.randn(shape, generator=sample_generator(own, step, key)) for own, key in zip(seeds, keys, strict=True)
    ]
    return torch.stack(draws).to(device)


def sample_uniform(seed: int, step: int, keys: Sequence[str], count: int = 1) -> Tensor:
    """Uniform numbers in [0, 1), (len(keys), count), float64: timesteps and dropout are made from them."""
    generators = (sample_generator(seed, step, f"uniform:{key}") for key in keys)
    return torch.stack([torch.rand(count, generator=generator, dtype=torch.float64) for generator in generators])
