"""Conditioning by normalisation: embeddings of timesteps and classes, AdaLN-LoRA (paper section 3.2.1, equation 4).

All of it is computed in the weights' own precision, fp32, also under autocast. In bf16, which has no number between 1
and 1 + 2^-7, nor between 1 - 2^-8 and 1, ``1 + scale`` would be 1 for scales of 0.003, and a learned step of that size
nothing. It is little work: there is one condition for a whole video.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODULATIONS = 6
"""Scale, shift and gate for the self-attention and for the MLP."""


def in_own_precision(x: Tensor) -> AbstractContextManager[object]:
    """A block without autocast, on the device of ``x``; on ``meta`` there is none."""
    device = x.device.type
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)


class TimestepEmbedding(nn.Module):
    """Diffusion step (...,) -> (..., D): sines and cosines of 128 frequencies, then a two-layer MLP (as in DiT)."""

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timesteps: Tensor) -> Tensor:
        exponents = torch.arange(self.frequencies, device=timesteps.device) / self.frequencies
        angles = timesteps[..., None].float() * torch.exp(-math.log(10_000.0) * exponents)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        with in_own_precision(waves):
            return self.mlp(waves.to(next(self.mlp.parameters()).dtype))


class LabelEmbedding(nn.Module):
    """Class labels (...,) -> (..., D); the last of ``num_classes + 1`` rows means 'no class'."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(num_classes + 1, width))

    def forward(self, labels: Tensor) -> Tensor:
        return F.embedding(labels, self.table)


class SharedModulation(nn.Module):
    """A^1 = MLP(c + t): (..., D) -> (..., 6 D). Starts at zero, so that every block starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(width, MODULATIONS * width))

    def forward(self, condition: Tensor) -> Tensor:
        with in_own_precision(condition):
            return self.mlp(condition)


class LowRankModulation(nn.Module):
    """W_b W_a (c + t), the part of A^i that belongs to block i: (..., D) -> (..., 6 D)."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, MODULATIONS * width, bias=False)

    def forward(self, condition: Tensor) -> Tensor:
        with in_own_precision(condition):
            return self.up(self.down(condition))


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """LayerNorm without own weights, then scale and shift: x (B, T, H, W, D), the others (B, 1 or T, 1, 1, D).

    With T of them each image of a stack has its own condition (paper section 3.3). Of x in fp32 all of it is in fp32,
    also under autocast.
    """
    return F.layer_norm(x, (x.shape[-1],)) * (1 + scale) + shift
