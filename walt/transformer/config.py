"""Sections ``base`` and ``sr_2x``: a window-attention transformer's architecture (paper section 3.2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from walt.core.config import Section


class SuperResolutionConfig(Section):
    """How a super-resolution model takes its low-resolution latent (paper section 3.4)."""

    factor: Literal[2, 4]
    max_noise_level: int = Field(ge=0)
    """t_max_noise: the augmentation's level is drawn from 0 .. this, in diffusion steps."""
    sampling_noise_level: int = Field(ge=0)
    """The level used when sampling."""


class TransformerConfig(Section):
    """A W.A.L.T transformer; the grid of latents it works on is part of the configuration."""

    resolution: tuple[PositiveInt, PositiveInt]
    """(height, width) in pixels of what it generates; one of ``ingest.sizes``."""
    latent_grid: tuple[PositiveInt, PositiveInt, PositiveInt]
    """(frames, height, width) of the latents."""
    latent_channels: PositiveInt
    layers: PositiveInt
    """Blocks; spatial (even) and spatiotemporal (odd) windows alternate."""
    width: PositiveInt
    heads: PositiveInt
    mlp_width: PositiveInt
    patch_size: PositiveInt
    spatial_window: tuple[PositiveInt, PositiveInt]
    """(hp, wp) of the spatial blocks, in tokens."""
    spatiotemporal_window: tuple[PositiveInt, PositiveInt, PositiveInt]
    """(1+t, h, w) of the spatiotemporal blocks, in tokens."""
    adaln: Literal["lora", "separate"]
    adaln_rank: PositiveInt
    """Rank r of AdaLN-LoRA (paper equation 4)."""
    qk_norm: bool
    relative_position_bias: bool
    self_conditioning: bool
    text_width: PositiveInt
    """Width of the text encoder's output."""
    cross_attention: Literal["spatial", "own"]
    """Windows of the cross-attention's keys: spatial for joint image training, the block's own for video only."""
    super_resolution: SuperResolutionConfig | None

    @model_validator(mode="after")
    def _check_divisibility(self) -> TransformerConfig:
        frames, height, width = self.latent_grid
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide the latent grid {height}x{width}")
        tokens = (frames, height // self.patch_size, width // self.patch_size)
        windows = {"spatial_window": (1, *self.spatial_window), "spatiotemporal_window": self.spatiotemporal_window}
        for name, window in windows.items():
            if any(n % w for n, w in zip(tokens, window, strict=True)):
                raise ValueError(f"{name} {window} does not divide the token grid {tokens}")
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} does not divide width {self.width}")
        return self

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """(frames, height, width) in tokens."""
        frames, height, width = self.latent_grid
        return frames, height // self.patch_size, width // self.patch_size
