"""Attention for processors, forward and backward: the scores exist a cache-sized piece at a time and are never kept.

Where scores are stored, reading and writing them takes longer than the products they come from, and a bias that needs a
gradient multiplies that. Here the bias is the matrix that the product is added to; in the backward pass the scores are
computed again, and the bias's gradient is summed piece by piece while the pieces are in the cache.

An operator of its own: torch.compile, automatic differentiation and FLOP counters see one step, on ``meta`` too.

A heads, G windows of the batch, N queries and M keys of a window, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from walt.nn.positions import add_frames, all_frames, table_gradient, within_frames
from walt.nn.windows import Window

_PIECE_BYTES = 4 * 2**20
"""Of scores in work at a time. Of 1 to 16 MiB none was faster by a twentieth with a cache of 1 MiB a core."""

_FORWARD = "(Tensor query, Tensor key, Tensor value, Tensor? table, Tensor? hidden, int[] window) -> Tensor"
_BACKWARD = (
    "(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor? table, Tensor? hidden, int[] window)"
    " -> (Tensor, Tensor, Tensor, Tensor)"
)


@torch.library.custom_op("walt::attend", mutates_args=(), schema=_FORWARD)
def chunked_attention(
    query: Tensor, key: Tensor, value: Tensor, table: Tensor | None, hidden: Tensor | None, window: Sequence[int]
) -> Tensor:
    """softmax(q k + bias) v: (A, G, N, d), without any scaling; all of one floating-point type.

    Args:
        query: (A, G, N, d). Keys and values: (A, G, M, d).
        table: a relative position bias's (see ``RelativePositionBias``), of any type; then M is N.
        hidden: (G, M), true for keys that are not to be seen. There is no gradient to it, and not both with a table.
        window: (frames, height, width) of the N tokens; read with a table alone.
    """
    with torch.autocast("cpu", enabled=False):
        q, k, v = (x.contiguous().flatten(0, 1) for x in (query, key, value))  # (A G, N or M, d)
        out = torch.empty_like(q)
        biases = _Bias(query, table, hidden, window)
        for piece in _pieces(query, key):
            out[piece] = _weights(q[piece], k[piece], biases, piece) @ v[piece]
        return out.view(query.shape)


@torch.library.custom_op("walt::attend_backward", mutates_args=(), schema=_BACKWARD)
def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, table: Tensor | None, hidden: Tensor | None,
    window: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and table; the last is empty where there is no table."""
    with torch.autocast("cpu", enabled=False):
        q, k, v, g = (x.contiguous().flatten(0, 1) for x in (query, key, value, grad))
        gradients = [torch.empty_like(x) for x in (q, k, v)]
        biases = _Bias(query, table, hidden, window)
        for piece in _pieces(query, key):
            weights = _weights(q[piece], k[piece], biases, piece)
            gradients[2][piece] = weights.transpose(1, 2) @ g[piece]
            scores = g[piece] @ v[piece].transpose(1, 2)  # the gradient of the weights, and then of the scores
            scores = torch._softmax_backward_data(scores, weights, -1, weights.dtype)
            gradients[0][piece] = scores @ k[piece]
            gradients[1][piece] = scores.transpose(1, 2) @ q[piece]
            biases.add_gradient(scores, piece)
        of_query, of_key, of_value = (x.view(like.shape) for x, like in zip(gradients, (query, key, value), strict=True))
        return of_query, of_key, of_value, biases.gradient()


def _pieces(query: Tensor, key: Tensor) -> Iterator[slice]:
    """Parts of the A G windows of all heads: of several heads, all windows of each; of one head, some windows."""
    heads, windows, count, _ = query.shape
    fitting = max(1, _PIECE_BYTES // (count * key.shape[2] * query.element_size()))
    if fitting >= windows:
        size = fitting // windows * windows
        yield from (slice(start, min(start + size, heads * windows)) for start in range(0, heads * windows, size))
    else:
        for head in range(0, heads * windows, windows):
            stop = head + windows
            yield from (slice(start, min(start + fitting, stop)) for start in range(head, stop, fitting))


def _weights(query: Tensor, key: Tensor, biases: _Bias, piece: slice) -> Tensor:
    """softmax(q k + bias) of a piece: (windows of heads, N, M)."""
    bias = biases.of(piece)
    transposed = key.transpose(1, 2)
    scores = query @ transposed if bias is None else torch.baddbmm(bias, query, transposed)
    return torch.softmax(scores, -1, out=scores)  # in place: a row is read before it is written


class _Bias:
    """What is added to the scores, a piece at a time, and the sum of its gradient over windows."""

    def __init__(self, query: Tensor, table: Tensor | None, hidden: Tensor | None, window: Sequence[int]) -> None:
        self.windows, self.count = query.shape[1:3]
        self.dtype, self.table = query.dtype, table
        self.head: tuple[slice, Tensor] | None = None
        if table is not None:
            frames, height, width = window
            self.window: Window = (frames, height, width)
            self.boxes = within_frames(table.to(query.dtype), self.window)
            self.sums: Tensor | None = None
        self.hidden: Tensor | None = None
        if hidden is not None:
            mask = torch.zeros(hidden.shape, dtype=query.dtype, device=query.device)
            self.hidden = mask.masked_fill_(hidden, float("-inf"))

    def of(self, piece: slice) -> Tensor | None:
        """(windows of heads, N, M)."""
        size = piece.stop - piece.start
        if self.hidden is not None:
            windows = torch.arange(piece.start, piece.stop, device=self.hidden.device) % self.windows
            return self.hidden[windows][:, None].expand(-1, self.count, -1)
        if self.table is None:
            return None
        heads = self.heads(piece)
        if self.head is None or self.head[0] != heads:
            self.head = heads, all_frames(self.boxes[heads], self.window)  # (heads, N, N)
        bias = self.head[1]
        return bias[:, None].expand(-1, size // len(bias), -1, -1).reshape(size, self.count, self.count)

    def heads(self, piece: slice) -> slice:
        """Of which heads the piece holds windows."""
        return slice(piece.start // self.windows, (piece.stop - 1) // self.windows + 1)

    def add_gradient(self, scores: Tensor, piece: slice) -> None:
        """Take in the gradient of a piece's scores, summed in the table's type."""
        if self.table is None:
            return
        if self.sums is None:
            self.sums = torch.zeros(self.boxes.shape, dtype=self.table.dtype, device=scores.device)
        heads = self.heads(piece)
        each = scores.unflatten(0, (heads.stop - heads.start, -1))  # (heads, windows, N, N)
        total = each[:, 0] if each.shape[1] == 1 else each.sum(1, dtype=self.table.dtype)
        add_frames(self.sums[heads], total, self.window)

    def gradient(self) -> Tensor:
        """The table's; empty without one."""
        if self.table is None:
            return torch.empty(0)
        assert self.sums is not None
        return table_gradient(self.sums, self.window)


@chunked_attention.register_fake
def _shape(query: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


@_backward.register_fake
def _backward_shapes(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, table: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    of_query, of_key, of_value = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (query, key, value))
    of_table = query.new_empty(0, dtype=torch.float32) if table is None else torch.empty_like(table)
    return of_query, of_key, of_value, of_table


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.window = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    *tensors, table, hidden = ctx.saved_tensors
    of_query, of_key, of_value, of_table = _backward(grad, *tensors, table, hidden, ctx.window)
    return of_query, of_key, of_value, None if table is None else of_table, None, None


chunked_attention.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.walt.attend)
def _flops(query_shape: Sequence[int], key_shape: Sequence[int], *_: Any, **__: Any) -> int:
    """Two products."""
    heads, windows, count, width = query_shape
    return 2 * 2 * heads * windows * count * key_shape[2] * width


@register_flop_formula(torch.ops.walt.attend_backward)
def _backward_flops(_grad: Any, query_shape: Sequence[int], key_shape: Sequence[int], *_: Any, **__: Any) -> int:
    """Four products: what the mathematics needs. Computing the scores again is not counted as work done."""
    return 2 * _flops(query_shape, key_shape)
