"""Classifier-free guidance (Ho and Salimans, arXiv 2207.12598)."""

from __future__ import annotations

from torch import Tensor


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Push the output away from the unconditional one; ``scale`` 1 is the conditional model itself."""
    return unconditional + scale * (conditional - unconditional)
