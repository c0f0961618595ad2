"""The device that tensors are on."""

from __future__ import annotations

import ctypes
import platform
import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

import torch

from walt.core.errors import ConfigurationError
from walt.core.log import info

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""


def select_device(name: Literal["auto", "cpu", "cuda"]) -> str:
    """The device that ``compute.device`` names. Raises ConfigurationError when it asks for a GPU that is not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("compute.device is cuda, but torch finds no GPU")
    return "cuda" if available and name != "cpu" else "cpu"


def arithmetic(device: str, precision: str, copies: bool = True) -> AbstractContextManager[object]:
    """A block whose products are computed in bf16 where ``precision`` is ``bf16``, by autocast; else in fp32.

    Where a processor cannot (``computes_bf16``) it is fp32 in any case, and that is said once.

    Args:
        device: a kind, such as ``cpu``.
        copies: whether weights in bf16 are kept until the block ends.
    """
    in_bf16 = computed_in(device, precision) == "bf16"
    if precision == "bf16" and not in_bf16:
        _say_that_it_is_fp32()
    return torch.autocast(device, torch.bfloat16, enabled=in_bf16, cache_enabled=copies)


def computed_in(device: str, precision: str) -> str:
    """``bf16`` or ``fp32``: what the products of ``arithmetic`` are computed in there, whatever a setting asks for."""
    return "bf16" if precision == "bf16" and computes_bf16(device) else "fp32"


def computes_bf16(device: str) -> bool:
    """Whether a device of this kind has instructions for bf16. Of others that have none only processors are known.

    On a processor without them a product takes 50 times as long in bf16 as in fp32 (docs/results/transformer.md).
    """
    return device != "cpu" or _processor_computes_bf16()


@cache
def _processor_computes_bf16() -> bool:
    """oneDNN says that it computes bf16 also where AVX-512 has no instruction for it and it goes by way of fp32."""
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return platform.machine().lower() not in ("x86_64", "amd64") or bool(torch.cpu._is_avx512_bf16_supported())


@cache
def _say_that_it_is_fp32() -> None:
    info("precision bf16: this processor has no instructions for it, so products are computed in fp32, which is faster")


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
