"""Attention within windows by its definition: all tokens against all, under a mask. Slow, and easy to believe."""

from __future__ import annotations

import torch
from torch import Tensor

from walt.nn.attention import QueryKeyNorm, TextCrossAttention, WindowSelfAttention
from walt.nn.positions import Window


def places(grid: Window) -> Tensor:
    """(N, 3): frame, row and column of each token of the grid, row-major."""
    return torch.stack(torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij"), -1).flatten(0, 2)


def same_window(grid: Window, window: Window) -> Tensor:
    """(N, N) bool: whether two tokens are in one window."""
    number = places(grid) // torch.tensor(window)  # (N, 3)
    return (number[:, None] == number[None]).all(-1)


def relative_position_bias(table: Tensor, window: Window) -> Tensor:
    """(heads, N, N): for query i and key j the table's entry at i - j, (0, 0, 0) being its middle."""
    place = places(window)
    t, h, w = (place[:, None] - place[None] + torch.tensor(window) - 1).unbind(-1)
    return table[:, t, h, w]


def full_self_attention(attention: WindowSelfAttention, x: Tensor, videos: int | None = None) -> Tensor:
    """What ``attention(x, videos)`` should be."""
    grid = (x.shape[1], x.shape[2], x.shape[3])
    seen = same_window(grid, attention.window).expand(len(x), -1, -1)
    if videos is not None and attention.window[0] > 1:
        itself = torch.eye(seen.shape[1], dtype=torch.bool)
        seen = torch.cat([seen[:videos], itself.expand(len(x) - videos, -1, -1)])
    query, key, value = attention.qkv(x.flatten(1, 3)).chunk(3, -1)
    bias = None
    if attention.bias is not None:
        place, window = places(grid), torch.tensor(attention.window)
        offset = place[:, None] - place[None]
        t, h, w = torch.where(offset.abs() < window, offset + window - 1, 0).unbind(-1)
        bias = attention.bias.table[:, t, h, w]
    attended = _masked(query, key, value, attention.heads, attention.norm, seen, bias)
    return attention.out(attended).unflatten(1, grid)


def full_cross_attention(
    attention: TextCrossAttention, x: Tensor, text: Tensor, text_mask: Tensor, videos: int = 0
) -> Tensor:
    """What ``attention(x, text, text_mask, videos)`` should be."""
    grid = (x.shape[1], x.shape[2], x.shape[3])
    text = torch.cat([text[:videos, :1].expand_as(text[:videos]), text[videos:]])
    text_mask = torch.cat([text_mask[:videos, :1].expand_as(text_mask[:videos]), text_mask[videos:]])
    batch, entries, length, _ = text.shape
    tokens = same_window(grid, attention.window).expand(batch, -1, -1)  # (B, N, N)
    frame = places(grid)[:, 0]
    mine = torch.ones(len(frame), 1) if entries == 1 else frame[:, None] == torch.arange(entries)  # (N, entries)
    words = mine.bool()[None, :, :, None] & text_mask[:, None]  # (B, N, entries, L)
    seen = torch.cat([tokens, words.expand(batch, len(frame), entries, length).flatten(2)], dim=2)
    flat = x.flatten(1, 3)
    key, value = attention.key_value(torch.cat([flat, text.flatten(1, 2)], dim=1)).chunk(2, -1)
    attended = _masked(attention.query(flat), key, value, attention.heads, attention.norm, seen, None)
    return attention.out(attended).unflatten(1, grid)


def _masked(
    query: Tensor, key: Tensor, value: Tensor, heads: int, norm: QueryKeyNorm | None, seen: Tensor, bias: Tensor | None
) -> Tensor:
    """Each (B, N, D); seen (B, N, M); bias (heads, N, M)."""
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))
    if norm is not None:
        query, key = norm.query(query), norm.key(key)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + bias
    return (scores.masked_fill(~seen[:, None], float("-inf")).softmax(-1) @ value).transpose(1, 2).flatten(2)
