"""Attention for plans of memory: what torch's memory-efficient kernel keeps and allocates on a GPU, and no values.

The kernel never stores the scores. It keeps queries, keys, values, the output and one fp32 number per query (the
logarithm of the softmax's sum), and in the backward pass holds a sum of the queries' gradient in fp32. A bias that
needs a gradient is the exception: its gradient is of the size of all scores of all windows at once, and is then added
up. (``aten/src/ATen/native/transformers/cuda/attention_backward.cu`` of torch 2.13.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS, _COLUMNS = 32, 16
"""What the kernel rounds the numbers per query, and the rows of a bias's gradient, up to."""


def planned_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: Any
) -> Tensor:  # fmt: skip
    """As ``torch.nn.functional.scaled_dot_product_attention``: (G, heads, N, d), with a bias or mask that broadcasts to
    (G, heads, N, M)."""
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = attn_mask.expand(*query.shape[:3], key.shape[2])
    attended: Tensor = _Attention.apply(query, key, value, attn_mask)
    return attended


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        # the kernel's results are (G, N, heads, d) in memory
        out = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3]).transpose(1, 2)
        if any(ctx.needs_input_grad):
            rows = -(-query.shape[2] // _ROWS) * _ROWS
            sums = query.new_empty(*query.shape[:2], rows, dtype=torch.float32)
            ctx.save_for_backward(query, key, value, bias, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias, _, _ = ctx.saved_tensors
        of_query, of_key, of_value = (
            x.new_empty(x.shape[0], x.shape[2], x.shape[1], x.shape[3]).transpose(1, 2) for x in (query, key, value)
        )
        workspace = torch.empty_like(query, dtype=torch.float32) if query.dtype != torch.float32 else None
        of_bias = None
        if ctx.needs_input_grad[3]:
            columns = -(-bias.shape[3] // _COLUMNS) * _COLUMNS
            of_bias = bias.new_empty(*bias.shape[:3], columns)[..., : bias.shape[3]]
        del workspace
        return of_query, of_key, of_value, of_bias
