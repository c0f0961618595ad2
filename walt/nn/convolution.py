"""Convolutions that repeat the edges of what they see, over tensors that are channels-last in memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve_padded(
    x: Tensor,
    padding: tuple[int, int, int, int, int],
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int, int],
) -> Tensor:
    """The convolution of (B, C, T, H, W), whose edges are repeated as ``EdgePad`` does.

    Where that is faster it makes some columns of the output at a time, from copies of the input columns that they see.
    """
    before, width, reach = padding[3], x.shape[4], weight.shape[4]
    count = (before + width + padding[4] - reach) // stride[2] + 1
    columns = _columns_at_once(x, weight, count)
    if columns == count:
        return convolve(EdgePad.apply(x, padding), weight, bias, stride)
    out: Tensor | None = None
    for begin in range(0, count, columns):
        end = min(begin + columns, count)
        first, last = begin * stride[2] - before, (end - 1) * stride[2] + reach - before  # of the input and its padding
        seen = x[..., max(first, 0) : min(last, width)]
        seen = EdgePad.apply(seen, (*padding[:3], max(-first, 0), max(last - width, 0)))
        made = convolve(seen, weight, bias, stride)
        if out is None:
            out = torch.empty((*made.shape[:4], count), dtype=made.dtype, memory_format=torch.channels_last_3d)
        out[..., begin:end] = made
    assert out is not None
    return out


_STRIPES = {64: 32, 128: 32, 256: 32, 512: 16}
"""Input channels -> columns of the output that a convolution in bf16 with AMX makes at once, where there are more than
one and a half times as many. Of wider ones oneDNN (torch 2.13) makes 0.5 to 0.7 times as many a second: figures in
docs/results/autoencoder.md, where other numbers of channels gained nothing."""


def _columns_at_once(x: Tensor, weight: Tensor, count: int) -> int:
    """How many of the ``count`` columns of the output to make at once. The same for any number of frames and clips, so
    that pieces of a video stay the whole bit for bit. With gradients all, since the backward pass is another kernel."""
    if torch.is_grad_enabled() or x.device.type != "cpu" or weight.shape[2] == 1 or not _has_amx():
        return count
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    columns = _STRIPES.get(weight.shape[1]) if dtype == torch.bfloat16 else None
    return count if columns is None or count <= columns * 3 // 2 else columns


@cache
def _has_amx() -> bool:
    """Whether oneDNN computes convolutions in bf16 with AMX here."""
    return torch.backends.mkldnn.is_available() and bool(torch.cpu._is_amx_tile_supported())


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...]) -> Tensor:
    """The convolution without padding of (B, C, H, W) or (B, C, T, H, W).

    Without gradients, on a processor, an output depends on nothing but the inputs that it sees: not on how many others
    there are. Left alone, torch takes another kernel, which sums in another order, where the batch is one, where it is
    less than 16 (kernels of one cell, one thread), or where the input is small (``use_mkldnn`` in its Convolution.cpp).
    """
    if x.device.type == "cpu" and stride[-1] > 1 and x.shape[-1] < weight.shape[-1] + stride[-1]:
        # of one column, with a stride, oneDNN's kernel for bf16 with AMX gives sums of other inputs (torch 2.13)
        x, stride = x[..., : weight.shape[-1]], (*stride[:-1], 1)
    if torch.is_grad_enabled() or x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        convolution = F.conv3d if x.dim() == 5 else F.conv2d
        return convolution(x, weight, bias, stride)
    x = channels_last(x)
    if x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        convolution = F.conv3d if x.dim() == 5 else F.conv2d
        return convolution(x, weight, bias, stride)
    ones = (1,) * len(stride)
    return torch.ops.aten.mkldnn_convolution(x, weight, bias, (0,) * len(stride), stride, ones, 1)


def channels_last(x: Tensor) -> Tensor:
    """(B, C, ...) in memory channels-last, as torch sees it too: where an axis has one element its stride is free, and
    with some of them torch would take the tensor for one in the usual order, and another kernel. Without gradients."""
    x = x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)
    strides, step = [0] * x.dim(), 1
    for axis in (1, *range(x.dim() - 1, 1, -1), 0):
        strides[axis] = step
        step *= x.shape[axis]
    return x if list(x.stride()) == strides else x.as_strided(x.shape, strides)


class EdgePad(torch.autograd.Function):
    """Repeat the edges of (B, C, T, H, W) by (front, top, bottom, left, right) cells, in one channels-last copy.

    torch's replicate padding converts channels-last tensors back and forth; that took a fifth of a training step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: tuple[int, int, int, int, int]) -> Tensor:
        ctx.padding = padding
        if not any(padding):
            return x.view_as(x)
        front, top, bottom, left, right = padding
        batch, channels, frames, height, width = x.shape
        shape = (batch, channels, front + frames, top + height + bottom, left + width + right)
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last_3d)
        core = out[:, :, front:]
        core[..., top : top + height, left : left + width] = x
        core[..., top : top + height, :left] = x[..., :1]
        core[..., top : top + height, left + width :] = x[..., -1:]
        core[..., :top, :] = core[..., top : top + 1, :]
        core[..., top + height :, :] = core[..., top + height - 1 : top + height, :]
        out[:, :, :front] = out[:, :, front : front + 1]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        front, top, bottom, left, right = ctx.padding
        gradient = gradients[0]
        if not any(ctx.padding):
            return gradient, None
        bottom, right = gradient.shape[3] - bottom, gradient.shape[4] - right
        inner = gradient[:, :, front:].clone(memory_format=torch.channels_last_3d)
        if front:
            inner[:, :, 0] += gradient[:, :, :front].sum(2)
        inner[..., top, :] += inner[..., :top, :].sum(3)
        inner[..., bottom - 1, :] += inner[..., bottom:, :].sum(3)
        inner[..., left] += inner[..., :left].sum(4)
        inner[..., right - 1] += inner[..., right:].sum(4)
        return inner[..., top:bottom, left:right], None
