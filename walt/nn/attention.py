"""Attention within windows, and to text.

B batch, T H W the token grid, N tokens of a window, L text tokens, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walt.nn.chunked_attention import chunked_attention, worth_keeping
from walt.nn.mixed import by_kind
from walt.nn.positions import RelativePositionBias, Window


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
        query, key, value = _split_heads(self.qkv(tokens), 3, self.heads)
        if self.norm is not None:
            query, key = self.norm.query(query), self.norm.key(key)
        attended = attend(query, key, value, self.bias)
        return self.out(merge(_merge_heads(attended, len(x)), self.window, grid))

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

    def forward(self, x: Tensor, text: Tensor, text_mask: Tensor, videos: int = 0) -> Tensor:
        """
        Args:
            x: tokens (B, T, H, W, D).
            text: (B, 1 or T, L, D), already of the model's width; one entry per frame for stacks of images.
            text_mask: (B, 1 or T, L), true where there is text.
            videos: where there is an entry per frame, how many of the first elements have the same one in all frames:
                of those the first is read.
        """
        grid = (x.shape[1], x.shape[2], x.shape[3])
        tokens = partition(x, self.window)  # (B, windows, N, D)
        batch, windows, count, _ = tokens.shape
        entries = _Entries(len(text), text.shape[1], windows, videos)
        if not entries.single and self.window[0] != 1:
            raise ValueError("a condition for each frame needs windows of one frame")
        assert text.shape[1] in (1, grid[0]), f"text has {text.shape[1]} entries for {grid[0]} frames"
        (query,) = _split_heads(self.query(tokens), 1, self.heads)
        key, value = _split_heads(self.key_value(tokens), 2, self.heads)
        text, text_mask = entries.distinct(text), entries.distinct(text_mask)
        text_key, text_value = _split_heads(self.key_value(text), 2, self.heads)  # (heads, entries, L, d)
        if self.norm is not None:
            query, key, text_key = self.norm.query(query), self.norm.key(key), self.norm.key(text_key)
        key = torch.cat([key, entries.of_windows(text_key, 1)], dim=2)  # (heads, B windows, N + L, d)
        value = torch.cat([value, entries.of_windows(text_value, 1)], dim=2)
        hidden = entries.of_windows(F.pad(~text_mask.flatten(0, 1), (count, 0)), 0)  # (B windows, N + L)
        attended = attend(query, key, value, hidden=hidden)
        return self.out(merge(_merge_heads(attended, batch), self.window, grid))


class _Entries:
    """Which windows an entry of the text serves: those of an element, or of a frame. Windows are in row-major order,
    frames first, so they are consecutive."""

    def __init__(self, batch: int, entries: int, windows: int, videos: int) -> None:
        self.single = entries == 1
        self.videos = batch if self.single else videos
        self.mixed = 0 < self.videos < batch
        self.of_video, self.of_frame = windows, windows // entries

    def distinct(self, x: Tensor) -> Tensor:
        """(B, 1 or T, ...) -> (B', entries, ...): those of several frames that are the same once."""
        if self.single or not self.videos:
            return x
        if not self.mixed:
            return x[:, :1]
        return torch.cat([x[: self.videos, 0], x[self.videos :].flatten(0, 1)])[:, None]

    def of_windows(self, x: Tensor, dim: int) -> Tensor:
        """What each window is given, of an axis of entries."""
        if not self.mixed:
            return x.repeat_interleave(self.of_video if self.videos else self.of_frame, dim=dim)
        videos, frames = x.tensor_split([self.videos], dim)
        repeated = [videos.repeat_interleave(self.of_video, dim=dim), frames.repeat_interleave(self.of_frame, dim=dim)]
        return torch.cat(repeated, dim)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: RelativePositionBias | None = None,
    hidden: Tensor | None = None,
) -> Tensor:
    """softmax(q k / sqrt(d) + bias) v: queries (heads, G, N, d), keys and values (heads, G, M, d) of G windows.

    The values' type is the one that is computed in: under autocast the norms before may have changed the others'.

    Args:
        hidden: (G, M), true for keys that are not to be seen; with it there is no bias.
    """
    assert bias is None or hidden is None, "attention has a position bias or hidden keys, not both"
    query, key = (query * query.shape[-1] ** -0.5).to(value.dtype), key.to(value.dtype)
    if value.device.type in ("cpu", "meta"):
        table, window = (None, [1, 1, 1]) if bias is None else (bias.table, list(bias.window))
        keep = torch.is_grad_enabled() and worth_keeping(query, key)
        return chunked_attention(query, key, value, table, hidden, window, keep)[0]
    return torchs_attention(query, key, value, bias, hidden)


def torchs_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: RelativePositionBias | None, hidden: Tensor | None
) -> Tensor:
    """The same without the scaling, by torch's kernel for the device; on GPUs one supports biases that need a
    gradient."""
    query, key, value = (x.transpose(0, 1) for x in (query, key, value))  # (G, heads, N, d)
    mask = None if hidden is None else ~hidden[:, None, None]
    if bias is not None:
        mask = bias().to(value.dtype)[None]
    return F.scaled_dot_product_attention(query, key, value, mask, scale=1.0).transpose(0, 1)


class QueryKeyNorm(nn.Module):
    """LayerNorm over the channels of each head's queries and keys, with learned scales and no shift.

    Paper section 3.2.1, after Dehghani et al., *Scaling Vision Transformers to 22 Billion Parameters*.
    """

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.query_scale = nn.Parameter(torch.ones(head_width))
        self.key_scale = nn.Parameter(torch.ones(head_width))

    def query(self, x: Tensor) -> Tensor:
        """(..., d) -> the same."""
        return F.layer_norm(x, self.query_scale.shape, self.query_scale)

    def key(self, x: Tensor) -> Tensor:
        """(..., d) -> the same."""
        return F.layer_norm(x, self.key_scale.shape, self.key_scale)


def _split_heads(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """(B, windows, N, parts D) -> a tensor (heads, B windows, N, D / heads) for each part."""
    x = x.flatten(0, 1).unflatten(-1, (parts, heads, -1))
    return x.permute(2, 3, 0, 1, 4).unbind(0)


def _merge_heads(x: Tensor, batch: int) -> Tensor:
    """(heads, B windows, N, D / heads) -> (B, windows, N, D)."""
    return x.permute(1, 2, 0, 3).flatten(-2).unflatten(0, (batch, -1))


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
