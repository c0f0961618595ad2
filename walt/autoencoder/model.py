"""The causal autoencoder: videos to continuous latents and back (paper section 3.1, layers from MAGVIT-v2).

Legend: B batch, 1+T pixel frames, H W pixels, 1+t latent frames, h w latent cells, c latent channels;
t = T / f_t, h = H / f_s, with f_t = 4 and f_s = 8 in the paper. An image is a video of one frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walt.autoencoder.config import AutoencoderConfig
from walt.nn.causal import (
    AdaptiveGroupNorm,
    CausalConv3d,
    DepthToSpaceUpsample,
    FrameGroupNorm,
    ResidualBlocks,
    Stream,
)


class Encoder(nn.Module):
    """Video (B, 3, 1+T, H, W) -> moments (B, 2c, 1+t, h, w)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.base_channels * multiplier for multiplier in config.channel_multipliers]
        time_kernel = config.time_kernel(3)
        self.patch_size = config.patch_size
        self.conv_in = CausalConv3d(3 * config.patch_size**2, widths[0], (time_kernel, 3, 3))
        self.levels = nn.ModuleList()
        self.downs = nn.ModuleList()
        channels = widths[0]
        kernel = config.downsample_kernel
        for level, width in enumerate(widths):
            self.levels.append(ResidualBlocks(channels, width, config.blocks_per_level, config.groups, time_kernel))
            channels = width
            if level < len(config.temporal_downsample):
                stride = (2 if config.temporal_downsample[level] else 1, 2, 2)
                self.downs.append(CausalConv3d(width, width, (config.time_kernel(kernel), kernel, kernel), stride))
        self.middle = ResidualBlocks(channels, channels, config.blocks_per_level, config.groups, time_kernel)
        self.norm_out = FrameGroupNorm(config.groups, channels)
        self.conv_out = CausalConv3d(channels, 2 * config.latent_channels, (1, 1, 1))
        with torch.no_grad():  # start with little noise on the latents: the model need not learn to remove it
            assert self.conv_out.bias is not None
            self.conv_out.bias[config.latent_channels :] = -4.0

    def forward(self, video: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.conv_in(space_to_depth(_as_computed(video), self.patch_size), stream)
        for level, blocks in enumerate(self.levels):
            x = blocks(x, stream)
            if level < len(self.downs):
                x = self.downs[level](x, stream)
        return self.conv_out(F.silu(self.norm_out(self.middle(x, stream))), stream)


class Decoder(nn.Module):
    """Latents (B, c, 1+t, h, w) -> video (B, 3, 1+T, H, W); the latents also steer an adaptive norm at each level."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.base_channels * multiplier for multiplier in config.channel_multipliers]
        time_kernel = config.time_kernel(3)
        channels = widths[-1]
        self.conv_in = CausalConv3d(config.latent_channels, channels, (time_kernel, 3, 3))
        self.middle = ResidualBlocks(channels, channels, config.blocks_per_level, config.groups, time_kernel)
        self.norms = nn.ModuleList()
        self.levels = nn.ModuleList()
        self.ups = nn.ModuleList()
        for level in reversed(range(len(widths))):
            self.norms.append(AdaptiveGroupNorm(config.groups, channels, config.latent_channels))
            self.levels.append(
                ResidualBlocks(channels, widths[level], config.blocks_per_level, config.groups, time_kernel)
            )
            channels = widths[level]
            if level > 0:
                temporal = config.temporal_downsample[level - 1]
                self.ups.append(DepthToSpaceUpsample(channels, channels, temporal, time_kernel))
        self.norm_out = FrameGroupNorm(config.groups, channels)
        self.patch_size = config.patch_size
        self.conv_out = CausalConv3d(channels, 3 * config.patch_size**2, (time_kernel, 3, 3))

    def forward(self, latents: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.middle(self.conv_in(latents, stream), stream)
        for level, blocks in enumerate(self.levels):
            x = blocks(self.norms[level](x, latents, stream), stream)
            if level < len(self.ups):
                x = self.ups[level](x, stream)
        return depth_to_space(self.conv_out(F.silu(self.norm_out(x)), stream), self.patch_size)


def _as_computed(video: Tensor) -> Tensor:
    """In the type to which autocast would round it for the first convolution, so that what comes before copies half as
    much. Without gradients, on processors."""
    if torch.is_grad_enabled() or video.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return video
    return video.to(torch.get_autocast_dtype("cpu"))


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


class CausalAutoencoder(nn.Module):
    """Encoder and decoder. Pixels are in [-1, 1]; latents are as encoded, not yet normalised (see ``statistics``)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    @property
    def activation_checkpointing(self) -> bool:
        """Whether training keeps only the inputs of residual blocks, and computes the rest again in the backward
        pass."""
        return any(module.activation_checkpointing for module in self.modules() if isinstance(module, ResidualBlocks))

    @activation_checkpointing.setter
    def activation_checkpointing(self, value: bool) -> None:
        for module in self.modules():
            if isinstance(module, ResidualBlocks):
                module.activation_checkpointing = value

    @property
    def takes_chunks(self) -> bool:
        """Whether a video may come in pieces of time, with a stream."""
        return True

    def parts(self) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
        """The two networks, which are called apart, each with its layers that hold nearly all of its weights."""
        for network, changes in ((self.encoder, self.encoder.downs), (self.decoder, self.decoder.ups)):
            yield network, [block for blocks in (*network.levels, network.middle) for block in blocks] + list(changes)

    def encode(self, video: Tensor, stream: Stream | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents' Gaussian.

        Args:
            video: (B, 3, 1+T, H, W) in [-1, 1]; T divisible by f_t, H and W by f_s.
            stream: ``Stream(model.encoder)``, when ``video`` is a chunk of a longer one: all chunks but the first have
                a multiple of f_t frames. See ``walt.autoencoder.streaming``.

        Returns:
            Two tensors (B, c, 1+t, h, w); (B, c, t, h, w) for later chunks.

        Raises:
            ValueError: the shape does not fit the factors.
        """
        _, _, frames, height, width = video.shape
        space, time = self.config.spatial_factor, self.config.temporal_factor
        alone = 0 if stream is not None and stream.started else 1
        if frames % time != alone % time or height % space or width % space:
            length = f"1 + {time}k" if alone else f"{time}k"
            what = "a video" if stream is None else "this chunk of a video"
            raise ValueError(
                f"{what} must have {length} frames and sides divisible by {space}, not {tuple(video.shape[2:])}"
            )
        mean, log_variance = self.encoder(video, stream).chunk(2, dim=1)
        if stream is not None:
            stream.started = True
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents: Tensor, stream: Stream | None = None) -> Tensor:
        """Latents (B, c, 1+t, h, w) -> video (B, 3, 1+T, H, W), about in [-1, 1] (not clamped).

        With ``Stream(model.decoder)`` the latents are a chunk of any length; later chunks (B, c, t, h, w) give
        (B, 3, T, H, W).
        """
        video = self.decoder(latents, stream)
        if stream is not None:
            stream.started = True
        return video
