"""The causal autoencoder: videos to continuous latents and back (paper section 3.1, layers from MAGVIT-v2).

Legend: B batch, 1+T pixel frames, H W pixels, 1+t latent frames, h w latent cells, c latent channels;
t = T / f_t, h = H / f_s, with f_t = 4 and f_s = 8 in the paper. An image is a video of one frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walt.autoencoder.config import AutoencoderConfig
from walt.nn.causal import AdaptiveGroupNorm, CausalConv3d, DepthToSpaceUpsample, FrameGroupNorm, ResidualBlock


class Encoder(nn.Module):
    """Video (B, 3, 1+T, H, W) -> moments (B, 2c, 1+t, h, w)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.base_channels * multiplier for multiplier in config.channel_multipliers]
        self.patch_size = config.patch_size
        self.conv_in = CausalConv3d(3 * config.patch_size**2, widths[0], (3, 3, 3))
        self.levels = nn.ModuleList()
        self.downs = nn.ModuleList()
        channels = widths[0]
        kernel = config.downsample_kernel
        for level, width in enumerate(widths):
            self.levels.append(_blocks(channels, width, config.blocks_per_level, config.groups))
            channels = width
            if level < len(config.temporal_downsample):
                time = config.temporal_downsample[level]
                self.downs.append(CausalConv3d(width, width, (kernel,) * 3, stride=(2 if time else 1, 2, 2)))
        self.middle = _blocks(channels, channels, config.blocks_per_level, config.groups)
        self.norm_out = FrameGroupNorm(config.groups, channels)
        self.conv_out = CausalConv3d(channels, 2 * config.latent_channels, (1, 1, 1))
        with torch.no_grad():  # start with little noise on the latents: the first thing to learn is not to undo it
            assert self.conv_out.bias is not None
            self.conv_out.bias[config.latent_channels :] = -4.0

    def forward(self, video: Tensor) -> Tensor:
        x = self.conv_in(space_to_depth(video, self.patch_size))
        for level, blocks in enumerate(self.levels):
            x = blocks(x)
            if level < len(self.downs):
                x = self.downs[level](x)
        return self.conv_out(F.silu(self.norm_out(self.middle(x))))


class Decoder(nn.Module):
    """Latents (B, c, 1+t, h, w) -> video (B, 3, 1+T, H, W); the latents also steer an adaptive norm at each level."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.base_channels * multiplier for multiplier in config.channel_multipliers]
        channels = widths[-1]
        self.conv_in = CausalConv3d(config.latent_channels, channels, (3, 3, 3))
        self.middle = _blocks(channels, channels, config.blocks_per_level, config.groups)
        self.norms = nn.ModuleList()
        self.levels = nn.ModuleList()
        self.ups = nn.ModuleList()
        for level in reversed(range(len(widths))):
            self.norms.append(AdaptiveGroupNorm(config.groups, channels, config.latent_channels))
            self.levels.append(_blocks(channels, widths[level], config.blocks_per_level, config.groups))
            channels = widths[level]
            if level > 0:
                self.ups.append(DepthToSpaceUpsample(channels, channels, config.temporal_downsample[level - 1]))
        self.norm_out = FrameGroupNorm(config.groups, channels)
        self.patch_size = config.patch_size
        self.conv_out = CausalConv3d(channels, 3 * config.patch_size**2, (3, 3, 3))

    def forward(self, latents: Tensor) -> Tensor:
        x = self.middle(self.conv_in(latents))
        for level, blocks in enumerate(self.levels):
            x = blocks(self.norms[level](x, latents))
            if level < len(self.ups):
                x = self.ups[level](x)
        return depth_to_space(self.conv_out(F.silu(self.norm_out(x))), self.patch_size)


def space_to_depth(x: Tensor, patch: int) -> Tensor:
    """(B, C, T, H, W) -> (B, p p C, T, H / p, W / p), each frame alone."""
    if patch == 1:
        return x
    batch, channels, frames, height, width = x.shape
    x = x.reshape(batch, channels, frames, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 3, 5, 4, 6, 1).flatten(4).permute(0, 4, 1, 2, 3)


def depth_to_space(x: Tensor, patch: int) -> Tensor:
    """The inverse of ``space_to_depth``."""
    if patch == 1:
        return x
    x = x.permute(0, 2, 3, 4, 1).unflatten(-1, (patch, patch, -1))  # (B, T, H / p, W / p, p, p, C)
    return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5).flatten(3, 4)


def _blocks(in_channels: int, out_channels: int, count: int, groups: int) -> nn.Sequential:
    """``count`` residual blocks, the first of which changes the width."""
    return nn.Sequential(
        *(ResidualBlock(out_channels if i else in_channels, out_channels, groups) for i in range(count))
    )


class CausalAutoencoder(nn.Module):
    """Encoder and decoder. Pixels are in [-1, 1]; latents are as encoded, not yet normalised (see ``statistics``)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents' Gaussian.

        Args:
            video: (B, 3, 1+T, H, W) in [-1, 1]; T divisible by f_t, H and W by f_s.

        Returns:
            Two tensors (B, c, 1+t, h, w).

        Raises:
            ValueError: the shape does not fit the factors.
        """
        _, _, frames, height, width = video.shape
        space, time = self.config.spatial_factor, self.config.temporal_factor
        if frames % time != 1 % time or height % space or width % space:
            raise ValueError(
                f"a video must have 1 + {time}k frames and sides divisible by {space}, not {tuple(video.shape[2:])}"
            )
        mean, log_variance = self.encoder(video).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, c, 1+t, h, w) -> video (B, 3, 1+T, H, W), about in [-1, 1] (not clamped)."""
        return self.decoder(latents)
