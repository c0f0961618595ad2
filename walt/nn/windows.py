"""Cutting a token grid into non-overlapping windows, and back. B batch, T H W the grid in tokens, D width."""

from __future__ import annotations

from torch import Tensor

Window = tuple[int, int, int]
"""(frames, height, width) in tokens."""


def partition(x: Tensor, window: Window) -> Tensor:
    """(B, T, H, W, D) -> (B, windows, tokens in a window, D); windows and tokens in row-major order.

    Raises:
        ValueError: the window does not divide the grid.
    """
    batch, frames, height, width, channels = x.shape
    t, h, w = window
    if frames % t or height % h or width % w:
        raise ValueError(f"window {window} does not divide the grid {(frames, height, width)}")
    x = x.reshape(batch, frames // t, t, height // h, h, width // w, w, channels)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, -1, t * h * w, channels)


def merge(x: Tensor, window: Window, grid: Window) -> Tensor:
    """The inverse of ``partition``: (B, windows, tokens, D) -> (B, T, H, W, D)."""
    batch, channels = x.shape[0], x.shape[-1]
    t, h, w = window
    frames, height, width = grid
    x = x.reshape(batch, frames // t, height // h, width // w, t, h, w, channels)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, frames, height, width, channels)
