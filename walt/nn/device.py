"""The device that tensors are on."""

from __future__ import annotations

import ctypes
import sys
from typing import Literal

import torch

from walt.core.errors import ConfigurationError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""


def select_device(name: Literal["auto", "cpu", "cuda"]) -> str:
    """The device that ``compute.device`` names. Raises ConfigurationError when it asks for a GPU that is not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("compute.device is cuda, but torch finds no GPU")
    return "cuda" if available and name != "cpu" else "cpu"


def prefetch_depth(device: str) -> int:
    """Batches to prepare ahead: some for a GPU, none where the model needs the processor itself."""
    return 0 if device == "cpu" else 2


def keep_freed_memory(device: str) -> None:
    """On processors: have the C library keep what is freed for the next allocation, from now on, in this process.

    It gives large blocks back to the system at once, which then has to clear new pages for the next step's tensors: a
    tenth to a fifth of a step of transformers (docs/results/transformer.md). The most that the process ever holds stays
    the same, and it holds it to the end. Nothing happens where the C library is not glibc, which has this setting.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" and device == "cpu" else None
    # no separate mappings first: alone, the second setting would fix their limit too low; old versions take 32 MiB
    if allocator and (allocator(_MMAP_THRESHOLD, 2**30) or allocator(_MMAP_THRESHOLD, 2**25)):
        allocator(_TRIM_THRESHOLD, 2**31 - 1)
