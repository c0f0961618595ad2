"""Attention within windows, and to text.

B batch, T H W the token grid, N tokens of a window, L text tokens, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walt.nn.mixed import by_kind
from walt.nn.positions import RelativePositionBias
from walt.nn.windows import Window, merge, partition


class WindowSelfAttention(nn.Module):
    """Multi-head self-attention in non-overlapping windows (paper section 3.2.1), with query-key normalisation.

    Images do not see each other: in a window of several frames they get ``identity`` instead (paper section 3.3).
    """

    def __init__(self, width: int, heads: int, window: Window, qk_norm: bool, relative_position_bias: bool) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = QueryKeyNorm(width // heads) if qk_norm else None
        self.bias = RelativePositionBias(window, heads) if relative_position_bias else None

    def forward(self, x: Tensor, videos: int | None = None) -> Tensor:
        """(B, T, H, W, D) -> the same. The first ``videos`` elements are videos, all by default; the others images."""
        if videos is None or self.window[0] == 1:
            return self.within_windows(x)
        return by_kind(x, videos, self.within_windows, self.identity)

    def within_windows(self, x: Tensor) -> Tensor:
        """Each token attends to the tokens of its window: (B, T, H, W, D) -> the same."""
        grid = (x.shape[1], x.shape[2], x.shape[3])
        tokens = partition(x, self.window)  # (B, windows, N, D)
        query, key, value = (_split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        if self.norm is not None:
            query, key = self.norm(query, key)
        attended = attend(query, key, value, None if self.bias is None else self.bias())
        return self.out(merge(_merge_heads(attended), self.window, grid))

    def identity(self, x: Tensor) -> Tensor:
        """Each token attends to itself alone, so its own value goes through the output projection: (..., D)."""
        width = x.shape[-1]
        value = F.linear(x, self.qkv.weight[2 * width :], self.qkv.bias[2 * width :])
        return self.out(value)


class TextCrossAttention(nn.Module):
    """Window tokens attend to the concatenation of their window's tokens and the text tokens (paper section 3.4)."""

    def __init__(self, width: int, heads: int, window: Window, qk_norm: bool) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm = QueryKeyNorm(width // heads) if qk_norm else None

    def forward(self, x: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        """
        Args:
            x: tokens (B, T, H, W, D).
            text: (B, 1 or T, L, D), already of the model's width; one entry a frame for stacks of images.
            text_mask: (B, 1 or T, L), true where there is text.
        """
        frames, *_ = grid = (x.shape[1], x.shape[2], x.shape[3])
        tokens = partition(x, self.window)  # (B, windows, N, D)
        batch, windows, count, _ = tokens.shape
        # windows lie in row-major order, frames first: each entry of the text serves a run of windows
        if text.shape[1] != 1 and self.window[0] != 1:
            raise ValueError("a condition for each frame needs windows of one frame")
        repeat = windows // text.shape[1] if text.shape[1] in (1, frames) else 0
        assert repeat, f"text has {text.shape[1]} entries for {frames} frames"
        text_key_value = self.key_value(text).repeat_interleave(repeat, dim=1)  # (B, windows, L, 2D)
        key_value = torch.cat([self.key_value(tokens), text_key_value], dim=2)
        query = _split_heads(self.query(tokens), self.heads)
        key, value = (_split_heads(part, self.heads) for part in key_value.chunk(2, dim=-1))
        if self.norm is not None:
            query, key = self.norm(query, key)
        seen = torch.cat([text_mask.new_ones(batch, text.shape[1], count), text_mask], dim=2)
        seen = seen.repeat_interleave(repeat, dim=1)[:, :, None, None]  # (B, windows, 1, 1, N + L)
        hidden = torch.zeros_like(seen, dtype=query.dtype).masked_fill(~seen, float("-inf"))
        return self.out(merge(_merge_heads(attend(query, key, value, hidden)), self.window, grid))


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k / sqrt(d) + bias) v, each (B, windows, heads, N, d).

    Written out. A bias that needs a gradient keeps torch's fused attention from being used, and on processors the fused
    kernel's backward pass over many small windows took six times as long as these products.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1).to(value.dtype) @ value


class QueryKeyNorm(nn.Module):
    """LayerNorm over the channels of each head's queries and keys, with learned scales and no shift.

    Paper section 3.2.1, after Dehghani et al., *Scaling Vision Transformers to 22 Billion Parameters*.
    """

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.query_scale = nn.Parameter(torch.ones(head_width))
        self.key_scale = nn.Parameter(torch.ones(head_width))

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        shape = self.query_scale.shape
        return F.layer_norm(query, shape, self.query_scale), F.layer_norm(key, shape, self.key_scale)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, windows, N, D) -> (B, windows, heads, N, D / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(2, 3)


def _merge_heads(x: Tensor) -> Tensor:
    """(B, windows, heads, N, D / heads) -> (B, windows, N, D)."""
    return x.transpose(2, 3).flatten(-2)
