"""The discriminator of the adversarial loss: StyleGAN's residual network in 3D, with blur-pooling (MAGVIT-v2).

Legend: B batch, C channels, T frames, H W pixels. An image is a video of one frame. The network is not causal: it
sees whole videos, and nothing that it computes reaches the autoencoder's outputs.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walt.autoencoder.config import DiscriminatorConfig

_SLOPE = 0.2
_GRID = (1, 4, 4)


class Discriminator(nn.Module):
    """Video (B, 3, T, H, W) in [-1, 1] -> logits (B,), high where the video is classified as real.

    The features are averaged to a grid of (1, 4, 4) cells before the linear layers, so that any size is accepted. At
    17x128x128 with the paper's five blocks that is their own size, and averaging changes nothing.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        widths = [config.base_channels * multiplier for multiplier in (1, *config.channel_multipliers)]
        self.conv_in = SpaceTimeConv3d(3, widths[0])
        self.blocks = nn.ModuleList(DownBlock(before, after) for before, after in pairwise(widths))
        self.conv_out = SpaceTimeConv3d(widths[-1], widths[-1])
        self.hidden = nn.Linear(widths[-1] * _GRID[0] * _GRID[1] * _GRID[2], widths[-1])
        self.logit = nn.Linear(widths[-1], 1)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights that keep the activations' variance (He et al., arXiv 1502.01852), biases of zero."""
        linear = {id(self.logit), *(id(block.shortcut) for block in self.blocks)}  # no leaky ReLU follows these
        for module in self.modules():
            if isinstance(module, (nn.Conv3d, nn.Linear)):
                slope = 1.0 if id(module) in linear else _SLOPE
                nn.init.kaiming_normal_(module.weight, a=slope, nonlinearity="leaky_relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, video: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_in(video), _SLOPE)  # (B, C, T, H, W)
        for block in self.blocks:
            x = block(x)
        x = F.leaky_relu(self.conv_out(x), _SLOPE)
        x = F.adaptive_avg_pool3d(x, _GRID).flatten(1)  # (B, C 16)
        logits = self.logit(F.leaky_relu(self.hidden(x), _SLOPE))[:, 0]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


class DownBlock(nn.Module):
    """Residual block that halves each axis, rounding up: (B, C, T, H, W) -> (B, C', T / 2, H / 2, W / 2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = SpaceTimeConv3d(in_channels, in_channels)
        self.conv2 = SpaceTimeConv3d(in_channels, out_channels)
        self.shortcut = nn.Conv3d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.conv1(x), _SLOPE)
        hidden = F.leaky_relu(blur_pool(self.conv2(hidden)), _SLOPE)
        return (self.shortcut(blur_pool(x)) + hidden) * 0.5**0.5  # a sum of two, with the variance of one


class SpaceTimeConv3d(nn.Conv3d):
    """3x3x3 convolution with zeros around; the shape stays.

    For a single frame, only the middle slice of the kernel sees anything other than zeros: a 2D convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] == 1:
            return F.conv2d(x[:, :, 0], self.weight[:, :, 1], self.bias, padding=1).unsqueeze(2)
        if x.shape[2] == 2:  # padded by oneDNN, the bf16 gradient of the weight holds memory that nothing has written
            return F.conv3d(F.pad(x, (0, 0, 0, 0, 1, 1)), self.weight, self.bias, padding=(0, 1, 1))
        return super().forward(x)


def blur_pool(x: Tensor) -> Tensor:
    """Halve time, height and width after a blur with [1, 2, 1] / 4 along each (Zhang, arXiv 1904.11486).

    Edges are repeated. Sizes are rounded up: 17 -> 9 -> 5 -> 3 -> 2 -> 1, and 1 stays 1. The highest frequency, which
    a plain stride folds onto the mean, is removed first: so a shift of the input by one cell changes the output little.
    """
    for axis in (2, 3, 4):
        x = _blur_and_halve(x, axis)
    return x


def _blur_and_halve(x: Tensor, axis: int) -> Tensor:
    """One axis. Strided views and sums: no layout changes, and the gradient can be differentiated again."""
    if x.shape[axis] == 1:
        return x
    every = (slice(None),) * axis
    even, odd = x[(*every, slice(0, None, 2))], x[(*every, slice(1, None, 2))]
    first, last = x[(*every, slice(0, 1))], x[(*every, slice(-1, None))]
    is_odd = x.shape[axis] % 2
    before = torch.cat([first, odd if is_odd else odd[(*every, slice(0, -1))]], dim=axis)
    after = torch.cat([odd, last], dim=axis) if is_odd else odd
    return 0.5 * even + 0.25 * (before + after)
