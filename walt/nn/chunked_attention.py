"""Attention for processors, forward and backward, with the scores a cache-sized piece at a time.

Where scores of large windows are stored, reading and writing them takes longer than the products they come from, and a
bias that needs a gradient multiplies that. Here the bias is the matrix that the product is added to, its gradient is
summed piece by piece while the pieces are in the cache, and the scores of large windows are
computed again in the backward pass.

An operator of its own: torch.compile, automatic differentiation and FLOP counters see one step, on ``meta`` too.

A heads, G windows of the batch, N queries and M keys of a window, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from walt.nn.positions import Window, add_frames, all_frames, table_gradient, within_frames

_PIECE_BYTES = 4 * 2**20
"""Bytes of scores at a time. 1 to 4 MiB were equally fast and 8 slower in most cases, with 1 MiB of cache per core."""

_VECTOR = 32
"""bf16 numbers in a vector of AVX-512. torch's softmax takes what is left of a row, and its gradient a shorter row,
number by number: 2 to 10 times as long as by way of fp32."""

_INPUTS = "Tensor query, Tensor key, Tensor value, Tensor? table, Tensor? hidden, int[] window"
_FORWARD = f"({_INPUTS}, bool keep) -> (Tensor, Tensor)"
_BACKWARD = f"(Tensor grad, Tensor weights, {_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor)"


def worth_keeping(query: Tensor, key: Tensor) -> bool:
    """Whether the weights should be kept for the backward pass: queries (A, G, N, d) and keys (A, G, M, d).

    So where they take no more than twice the memory of queries, keys and values, which is kept in any case.
    """
    count, others, width = query.shape[2], key.shape[2], query.shape[3]
    return count * others <= 2 * (count + 2 * others) * width


@torch.library.custom_op("walt::attend", mutates_args=(), schema=_FORWARD)
def chunked_attention(
    query: Tensor, key: Tensor, value: Tensor, table: Tensor | None, hidden: Tensor | None, window: Sequence[int],
    keep: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """softmax(q k + bias) v: (A, G, N, d), without any scaling; all of one floating-point type.

    The second result is for the backward pass: the weights (A G, N, M), or nothing.

    Args:
        query: (A, G, N, d). Keys and values: (A, G, M, d).
        table: a relative position bias's (see ``RelativePositionBias``), of any type; then M is N.
        hidden: (G, M), true for keys that are not to be seen. There is no gradient to it, and not both with a table.
        window: (frames, height, width) of the N tokens; read with a table alone.
        keep: the weights for the backward pass (see ``worth_keeping``).
    """
    with torch.autocast("cpu", enabled=False):
        q, k, v = (x.contiguous().flatten(0, 1) for x in (query, key, value))  # (A G, N or M, d)
        out = torch.empty_like(q)
        biases = _Bias(query, table, hidden, window)
        kept = q.new_empty((*q.shape[:2], k.shape[1]) if keep else 0)
        for piece in _pieces(query, key):
            weights = _weights(q[piece], k[piece], biases.of(piece), kept[piece] if keep else None)
            out[piece] = weights @ v[piece]
        return out.view(query.shape), kept


@torch.library.custom_op("walt::attend_backward", mutates_args=(), schema=_BACKWARD)
def _backward(
    grad: Tensor, weights: Tensor, query: Tensor, key: Tensor, value: Tensor, table: Tensor | None,
    hidden: Tensor | None, window: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and table; the last is empty where there is no table."""
    with torch.autocast("cpu", enabled=False):
        q, k, v, g = (x.contiguous().flatten(0, 1) for x in (query, key, value, grad))
        gradients = [torch.empty_like(x) for x in (q, k, v)]
        biases = _Bias(query, table, hidden, window)
        for piece in _pieces(query, key):
            kept = weights[piece] if len(weights) else _weights(q[piece], k[piece], biases.of(piece), None)
            gradients[2][piece] = kept.transpose(1, 2) @ g[piece]
            scores = g[piece] @ v[piece].transpose(1, 2)  # the gradient of the weights, and then of the scores
            scores = _softmax_gradient(scores, kept)
            gradients[0][piece] = scores @ k[piece]
            gradients[1][piece] = scores.transpose(1, 2) @ q[piece]
            biases.add_gradient(scores, piece)
        of_query, of_key, of_value = (
            x.view(like.shape) for x, like in zip(gradients, (query, key, value), strict=True)
        )
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


def _weights(query: Tensor, key: Tensor, bias: Tensor | None, out: Tensor | None) -> Tensor:
    """softmax(q k + bias) of a piece: (windows of heads, N, M)."""
    transposed = key.transpose(1, 2)
    scores = torch.bmm(query, transposed, out=out) if bias is None else torch.baddbmm(bias, query, transposed, out=out)
    if scores.dtype == torch.bfloat16 and scores.shape[-1] % _VECTOR:
        return scores.copy_(scores.float().softmax(-1))
    return torch.softmax(scores, -1, out=scores)  # in place: a row is read before it is written


def _softmax_gradient(grad: Tensor, weights: Tensor) -> Tensor:
    """The gradient of the scores, from that of the weights: (windows of heads, N, M)."""
    if weights.dtype == torch.bfloat16 and weights.shape[-1] < _VECTOR:
        return torch._softmax_backward_data(grad.float(), weights.float(), -1, torch.float32).to(weights.dtype)
    return torch._softmax_backward_data(grad, weights, -1, weights.dtype)


class _Bias:
    """What is added to the scores, a piece at a time, and the sum of its gradient over windows."""

    def __init__(self, query: Tensor, table: Tensor | None, hidden: Tensor | None, window: Sequence[int]) -> None:
        self.windows, self.count = query.shape[1:3]
        self.dtype, self.table = query.dtype, table
        self.expanded: tuple[slice, Tensor] | None = None
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
        if self.expanded is None or self.expanded[0] != heads:
            self.expanded = heads, all_frames(self.boxes[heads], self.window)  # (heads, N, N)
        bias = self.expanded[1]
        return bias[:, None].expand(-1, size // len(bias), -1, -1).reshape(size, self.count, self.count)

    def heads(self, piece: slice) -> slice:
        """The heads whose windows the piece holds."""
        return slice(piece.start // self.windows, (piece.stop - 1) // self.windows + 1)

    def add_gradient(self, scores: Tensor, piece: slice) -> None:
        """Add the gradient of a piece's scores, summed in the table's type."""
        if self.table is None:
            return
        if self.sums is None:
            self.sums = torch.zeros(self.boxes.shape, dtype=self.table.dtype, device=scores.device)
        heads = self.heads(piece)
        each = scores.unflatten(0, (heads.stop - heads.start, -1))  # (heads, windows, N, N)
        total = each[:, 0] if each.shape[1] == 1 else each.sum(1, dtype=self.table.dtype)
        add_frames(self.sums[heads], total, self.window)

    def gradient(self) -> Tensor:
        """The gradient of the table; empty without one."""
        if self.table is None:
            return torch.empty(0, dtype=self.dtype)
        assert self.sums is not None
        return table_gradient(self.sums, self.window)


@chunked_attention.register_fake
def _shapes(query: Tensor, key: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    heads, windows, count, _ = query.shape
    kept = query.new_empty((heads * windows, count, key.shape[2]) if others[-1] else 0)
    return torch.empty_like(query, memory_format=torch.contiguous_format), kept


@_backward.register_fake
def _backward_shapes(
    _grad: Tensor, _weights: Tensor, query: Tensor, key: Tensor, value: Tensor, table: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    like = query.new_empty(0) if table is None else table
    gradients = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (query, key, value, like)]
    return gradients[0], gradients[1], gradients[2], gradients[3]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.window, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1], *tensors)


def _differentiate(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    *gradients, of_table = _backward(grad, *ctx.saved_tensors, ctx.window)
    return *gradients, of_table if len(of_table) else None, None, None, None


chunked_attention.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.walt.attend)
def _flops(query_shape: Sequence[int], key_shape: Sequence[int], *_: Any, **__: Any) -> int:
    """Two products."""
    heads, windows, count, width = query_shape
    return 2 * 2 * heads * windows * count * key_shape[2] * width


@register_flop_formula(torch.ops.walt.attend_backward)
def _backward_flops(
    _grad: Any, _weights: Any, query_shape: Sequence[int], key_shape: Sequence[int], *_: Any, **__: Any
) -> int:
    """Four products: what the mathematics needs. Computing the scores again is not counted as work done."""
    return 2 * _flops(query_shape, key_shape)
