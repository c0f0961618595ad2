"""Sizes of pictures, and the names of their folders."""

from __future__ import annotations

Size = tuple[int, int]
"""(height, width) in pixels."""


def size_folder(size: Size) -> str:
    """``32x64`` for 32 rows of 64 pixels."""
    height, width = size
    return f"{height}x{width}"
