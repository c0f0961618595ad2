"""Causal 3D layers: no output frame sees a later input frame (MAGVIT-v2, arXiv 2310.05737, section 3.2).

Tensors are (B, C, T, H, W), in memory channels-last. Time is padded in front only, by repeating the first frame; space
is padded on both sides by repeating the edge. GroupNorm runs per frame: statistics over time would leak the future.

A video may come whole or in chunks: with a ``Stream``, each layer continues where the chunk before ended.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from walt.nn.convolution import EdgePad, channels_last, convolve, convolve_padded


class Stream:
    """What the causal layers of ``model`` need between two chunks of one video. Nothing is kept on the layers.

    A convolution with kernel k and stride s in time needs the last k - s frames of its input again: their number, and
    so the memory, is the same for any length. One stream serves one video and one pass over it (encoding or decoding).
    """

    def __init__(self, model: nn.Module) -> None:
        self._names = {module: name for name, module in model.named_modules()}
        self.frames: dict[str, Tensor] = {}
        """Layer name -> (B, C, k - s, H, W)."""
        self.started = False
        """Whether a chunk has passed: only the first one begins with a single frame."""

    def continued(self, layer: CausalConv3d, x: Tensor) -> Tensor:
        """``x`` behind the frames that the layer must see again; the first chunk behind its padding in time.

        Raises:
            KeyError: the layer is not one of the stream's model.
        """
        name, kernel = self._names[layer], layer.kernel[0]
        before = self.frames.get(name) if self.started else x[:, :, :1].expand(-1, -1, kernel - 1, -1, -1)
        if before is not None:
            x = torch.cat([before, x], dim=2)
        kept = kernel - layer.stride[0]
        if kept:
            self.frames[name] = x[:, :, -kept:].clone()  # a view would keep the whole chunk
        return x


class CausalConv3d(nn.Module):
    """3D convolution, causal in time.

    Input (B, C_in, T, H, W); output (B, C_out, 1 + (T - 1) // stride_t, H // stride_h, W // stride_w). Chunks of a
    stream after the first give T // stride_t frames.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        fan_in = in_channels * kernel[0] * kernel[1] * kernel[2]
        nn.init.trunc_normal_(self.weight, std=fan_in**-0.5)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        kt, kh, kw = self.kernel
        # in all k - 1 cells, so that H stays; a strided convolution gets the same on both sides, so that H halves
        height, width = (kh - 1) // 2, (kw - 1) // 2
        after = (kh - 1 - height, kw - 1 - width) if self.stride[1] == 1 else (height, width)
        sides = (height, after[0], width, after[1])
        if stream is not None:
            # a stream's first frame takes the same path as the others, so that chunks are the whole clip bit for bit
            x, front = stream.continued(self, x), 0
        elif x.shape[2] == 1:  # an image: every tap in time sees the same frame, so one 2D convolution with their sum
            padded = EdgePad.apply(x, (0, *sides))
            return convolve(padded[:, :, 0], self.weight.sum(2), self.bias, self.stride[1:]).unsqueeze(2)
        else:
            front = kt - 1
        return convolve_padded(x, (front, *sides), self.weight, self.bias, self.stride)


def frames_alone(x: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B T, C, H, W); a view when the memory is channels-last."""
    batch, channels, frames, height, width = x.shape
    return x.transpose(1, 2).reshape(batch * frames, channels, height, width)


def frames_together(x: Tensor, batch: int, frames: int) -> Tensor:
    """(B T, C, H, W) -> (B, C, T, H, W)."""
    return x.unflatten(0, (batch, frames)).transpose(1, 2)


_CUT_FROM = 1024  # positions of a frame: ``feature_map_threshold`` in torch's group_norm_kernel.cpp


class FrameGroupNorm(nn.Module):
    """GroupNorm over the channels and positions of each frame alone. Shape unchanged."""

    def __init__(self, groups: int, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        # where one frame leaves the layout undetermined, torch would use another kernel, which sums in another order
        frames = frames_alone(x).contiguous(memory_format=torch.channels_last)
        if not torch.is_grad_enabled() and x.device.type == "cpu":
            return frames_together(self._frame_by_frame(channels_last(frames)), x.shape[0], x.shape[2])
        return frames_together(self.norm(frames), x.shape[0], x.shape[2])

    def _frame_by_frame(self, frames: Tensor) -> Tensor:
        """(N, C, H, W) normalised, each frame summed by one thread, so that its bits do not depend on N or on threads.

        From 1024 positions on, torch's channels-last kernel cuts all positions of a batch into as many equal parts as
        there are threads: with a number of frames that the threads do not divide, in the middle of a frame. Of smaller
        frames each thread has whole ones.
        """
        count, threads = len(frames), torch.get_num_threads()
        if frames.shape[2] * frames.shape[3] < _CUT_FROM:
            return self.norm(frames)
        whole = count - count % threads
        parts = [self.norm(frames[:whole])] if whole else []
        if whole < count:
            rest = frames[whole:]
            filled = torch.cat([rest, rest[-1:].expand(threads - len(rest), -1, -1, -1)])
            parts.append(self.norm(channels_last(filled))[: len(rest)])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class AdaptiveGroupNorm(nn.Module):
    """Per-frame GroupNorm whose scale and shift come from the latent at each position (MAGVIT-v2, section 3.2)."""

    def __init__(self, groups: int, channels: int, latent_channels: int) -> None:
        super().__init__()
        self.norm = FrameGroupNorm(groups, channels, affine=False)
        self.scale = nn.Linear(latent_channels, channels)
        self.shift = nn.Linear(latent_channels, channels)
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)
        nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.shift.bias)

    def forward(self, x: Tensor, latents: Tensor, stream: Stream | None = None) -> Tensor:
        """x (B, C, T', H', W'), latents (B, c, t, h, w) -> (B, C, T', H', W')."""
        condition = latents.permute(0, 2, 3, 4, 1)  # (B, t, h, w, c)
        alone = 0 if stream is not None and stream.started else 1
        scale, shift = (
            _resize_nearest(_of_each_frame(layer, condition).permute(0, 4, 1, 2, 3), x, alone)
            for layer in (self.scale, self.shift)
        )
        return self.norm(x) * scale + shift


def _of_each_frame(layer: nn.Linear, frames: Tensor) -> Tensor:
    """``layer`` of (B, T, H, W, C). Without gradients, on a processor, of one frame at a time, so that its bits do not
    depend on how many there are: in bf16, where the processor has AMX, oneDNN chooses its kernel by the number of rows
    (torch 2.13), and some sums are rounded to the other side."""
    if torch.is_grad_enabled() or frames.device.type != "cpu":
        return layer(frames)
    return torch.stack([layer(frame) for frame in frames.flatten(0, 1).contiguous()]).unflatten(0, frames.shape[:2])


def _resize_nearest(latents: Tensor, like: Tensor, alone: int) -> Tensor:
    """(B, C, t, h, w) -> (B, C, T', H', W'), never looking ahead: the first ``alone`` frames stay, others repeat."""
    frames, height, width = like.shape[2:]
    if latents.shape[2] > alone:
        repeat = (frames - alone) // (latents.shape[2] - alone)
        latents = torch.cat([latents[:, :, :alone], latents[:, :, alone:].repeat_interleave(repeat, dim=2)], dim=2)
    if latents.shape[3] != height:
        latents = latents.repeat_interleave(height // latents.shape[3], dim=3)
        latents = latents.repeat_interleave(width // latents.shape[4], dim=4)
    return latents


class ResidualBlock(nn.Module):
    """norm, swish, 3x3x3, norm, swish, 3x3x3; convolutions without bias, a 1x1x1 shortcut where channels change.

    ``time_kernel`` is the kernel's extent in time: 3, or 1 for a network that treats each frame alone.
    """

    def __init__(self, in_channels: int, out_channels: int, groups: int, time_kernel: int = 3) -> None:
        super().__init__()
        self.norm1 = FrameGroupNorm(groups, in_channels)
        self.conv1 = CausalConv3d(in_channels, out_channels, (time_kernel, 3, 3), bias=False)
        self.norm2 = FrameGroupNorm(groups, out_channels)
        self.conv2 = CausalConv3d(out_channels, out_channels, (time_kernel, 3, 3), bias=False)
        self.shortcut: CausalConv3d | None = None
        if in_channels != out_channels:
            self.shortcut = CausalConv3d(in_channels, out_channels, (1, 1, 1), bias=False)
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)  # blocks start near the identity, so that depth does not amplify the signal

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        in_place = not torch.is_grad_enabled()  # with gradients torch would keep a copy
        hidden = self.conv1(F.silu(self.norm1(x), in_place), stream)
        hidden = self.conv2(F.silu(self.norm2(hidden), in_place), stream)
        hidden += x if self.shortcut is None else self.shortcut(x, stream)
        return hidden


class ResidualBlocks(nn.ModuleList):
    """Residual blocks in a row, the first of which changes the width. Shape otherwise unchanged."""

    activation_checkpointing = False
    """Keep only each block's input for the backward pass, and compute the rest again: less memory, more time."""

    def __init__(self, in_channels: int, out_channels: int, count: int, groups: int, time_kernel: int) -> None:
        widths = [in_channels, *[out_channels] * count]
        super().__init__(ResidualBlock(*pair, groups, time_kernel) for pair in pairwise(widths))

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        again = self.activation_checkpointing and stream is None and torch.is_grad_enabled()
        for block in self:
            x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False) if again else block(x, stream)
        return x


class DepthToSpaceUpsample(nn.Module):
    """Convolution to 4x or 8x channels, then channels to space and time; the first frame of a time upsample is dropped.

    (B, C, T, H, W) -> (B, C_out, 2T - 1 or T, 2H, 2W), so that 5 frames become 9, then 17, and 1 stays 1. Later chunks
    of a stream become 2T or T frames.
    """

    def __init__(self, in_channels: int, out_channels: int, temporal: bool, time_kernel: int = 3) -> None:
        super().__init__()
        self.time = 2 if temporal else 1
        self.conv = CausalConv3d(in_channels, out_channels * 4 * self.time, (time_kernel, 3, 3))

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.conv(x, stream)
        batch, _, frames, height, width = x.shape
        x = x.unflatten(1, (self.time, 2, 2, -1))  # (B, r_t, r_h, r_w, C, T, H, W)
        x = x.permute(0, 5, 1, 6, 2, 7, 3, 4)  # (B, T, r_t, H, r_h, W, r_w, C)
        x = x.reshape(batch, frames * self.time, height * 2, width * 2, -1)
        dropped = 0 if stream is not None and stream.started else self.time - 1
        return x[:, dropped:].permute(0, 4, 1, 2, 3)


def use_channels_last(model: nn.Module) -> None:
    """Lay the weights of all 3D convolutions out channels-last, the layout in which the activations already are."""
    for parameter in model.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
