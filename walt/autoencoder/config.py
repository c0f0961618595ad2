"""Section ``autoencoder``: the causal autoencoder's architecture (paper section 3.1; MAGVIT-v2 for the layers)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from walt.core.config import Section


class AutoencoderConfig(Section):
    """Encoder and decoder; one downsampling follows each level but the last."""

    dimensions: Literal[2, 3]
    """3: causal in time, for videos and images. 2: kernels without extent in time, each frame alone, for images."""
    patch_size: PositiveInt
    """Pixels per side that are folded into channels before the first level; the paper's is 1 (none), 2 is much
    faster."""
    base_channels: PositiveInt
    channel_multipliers: tuple[PositiveInt, ...] = Field(min_length=2)
    """Width of each level, in base channels; the paper's video model has (1, 2, 2, 4)."""
    temporal_downsample: tuple[bool, ...]
    """For each downsampling, whether it halves time too; the paper's is (false, true, true): f_s = 8, f_t = 4."""
    blocks_per_level: PositiveInt
    latent_channels: PositiveInt
    downsample_kernel: Literal[3, 4]
    groups: PositiveInt
    """Groups of the per-frame GroupNorm."""

    @model_validator(mode="after")
    def _check_levels(self) -> AutoencoderConfig:
        if len(self.temporal_downsample) != len(self.channel_multipliers) - 1:
            raise ValueError("temporal_downsample needs one entry fewer than channel_multipliers")
        if self.dimensions == 2 and any(self.temporal_downsample):
            raise ValueError("temporal_downsample must be all false where dimensions is 2")
        for multiplier in self.channel_multipliers:
            if (self.base_channels * multiplier) % self.groups:
                raise ValueError(f"groups must divide base_channels x {multiplier}")
        return self

    def time_kernel(self, kernel: int) -> int:
        """Extent in time of a kernel that is ``kernel`` wide in space."""
        return kernel if self.dimensions == 3 else 1

    @property
    def spatial_factor(self) -> int:
        """f_s: pixels per latent cell, in height and in width."""
        return self.patch_size * int(2 ** len(self.temporal_downsample))

    @property
    def temporal_factor(self) -> int:
        """f_t: pixel frames per latent frame, after the first."""
        return int(2 ** sum(self.temporal_downsample))


def latent_shape(config: AutoencoderConfig, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
    """(c, t, h, w) of the latents of a clip of so many frames and pixels."""
    space, time = config.spatial_factor, config.temporal_factor
    return config.latent_channels, 1 + (frames - 1) // time, height // space, width // space


class DiscriminatorConfig(Section):
    """The 3D discriminator of the adversarial loss (MAGVIT-v2, arXiv 2310.05737)."""

    base_channels: PositiveInt
    """Width after the first convolution; the paper's is 128."""
    channel_multipliers: tuple[PositiveInt, ...] = Field(min_length=1)
    """Width after each residual block, in base channels; each block halves time, height and width.

    The paper's are (2, 4, 4, 4, 4).
    """
