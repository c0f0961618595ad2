"""Conditioning by normalisation: embeddings of timesteps and classes, AdaLN-LoRA (paper section 3.2.1, equation 4)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODULATIONS = 6
"""Scale, shift and gate for the self-attention and for the MLP."""


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
        return self.mlp(condition)


class LowRankModulation(nn.Module):
    """W_b W_a (c + t), the part of A^i that belongs to block i: (..., D) -> (..., 6 D)."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, MODULATIONS * width, bias=False)

    def forward(self, condition: Tensor) -> Tensor:
        return self.up(self.down(condition))


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """LayerNorm without own weights, then scale and shift: x (B, T, H, W, D), the others (B, 1 or T, 1, 1, D).

    With T of them each image of a stack has its own condition (paper section 3.3).
    """
    return F.layer_norm(x, (x.shape[-1],)) * (1 + scale) + shift
