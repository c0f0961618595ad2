"""Weights where torch's own tensors begin: products of the same numbers elsewhere may round otherwise."""

from __future__ import annotations

from torch import nn

_ALIGNMENT = 64
"""Bytes at a multiple of which torch's allocator puts tensors on processors."""


def as_torch_allocates(model: nn.Module) -> None:
    """Move weights to memory of their own where they do not begin as torch's own tensors do.

    transformers and diffusers leave them in the mapped file, where they begin anywhere (seen with torch 2.13, diffusers
    0.42.1: a video differed by one level).
    """
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.data_ptr() % _ALIGNMENT:
            parameter.data = parameter.data.clone()
