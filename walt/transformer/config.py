"""Sections ``base``, ``aspect``, ``sr_2x`` and ``sr_4x``: window-attention transformers (paper sections 3.2 to 3.4)."""

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
    spatial_window: tuple[PositiveInt, PositiveInt, PositiveInt]
    """(1, hp, wp) of the even blocks, in tokens. More than one frame is an ablation: (1+t, H, W) in both windows is
    full attention in every block."""
    spatiotemporal_window: tuple[PositiveInt, PositiveInt, PositiveInt]
    """(1+t, h, w) of the odd blocks, in tokens. In any block with a window of several frames, each
    image attends only to itself (identity attention)."""
    adaln: Literal["lora", "separate"]
    adaln_rank: PositiveInt
    """Rank r of AdaLN-LoRA (paper equation 4)."""
    qk_norm: bool
    relative_position_bias: bool
    self_conditioning: bool
    """One more latent at the input: the estimate of an earlier pass (paper section 3.2.2)."""
    frame_prediction: bool
    """One more latent and a mask at the input: the first latent frames where they are known (paper section 3.3)."""
    conditioning: Literal["text", "class", "none"]
    """``text``: cross-attention in every block. ``class``: a label's embedding is added to the timestep's, and no block
    has cross-attention. ``none``: neither."""
    num_classes: PositiveInt | None
    """``class`` only. Labels are 0 .. num_classes - 1; num_classes itself means 'no class'."""
    text_width: PositiveInt | None
    """``text`` only: width of the text encoder's output."""
    cross_attention: Literal["spatial", "own"] | None
    """``text`` only: windows of the cross-attention's keys: one frame of ``spatial_window`` for joint training with
    images, the block's own for video only."""
    super_resolution: SuperResolutionConfig | None

    @model_validator(mode="after")
    def _check_divisibility(self) -> TransformerConfig:
        frames, height, width = self.latent_grid
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide the latent grid {height}x{width}")
        tokens = (frames, height // self.patch_size, width // self.patch_size)
        for name in ("spatial_window", "spatiotemporal_window"):
            window = getattr(self, name)
            if any(n % w for n, w in zip(tokens, window, strict=True)):
                raise ValueError(f"{name} {window} does not divide the token grid {tokens}")
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} does not divide width {self.width}")
        if self.frame_prediction and frames == 1:
            raise ValueError("frame_prediction needs a latent_grid of more than one frame")
        return self

    @model_validator(mode="after")
    def _check_conditioning(self) -> TransformerConfig:
        belongs = {"num_classes": "class", "text_width": "text", "cross_attention": "text"}
        for name, conditioning in belongs.items():
            value = getattr(self, name)
            if self.conditioning == conditioning and value is None:
                raise ValueError(f"conditioning {conditioning} needs {name}")
            if self.conditioning != conditioning and value is not None:
                raise ValueError(f"{name} is {value}, but conditioning is {self.conditioning}: {name} must be null")
        return self


class AspectConfig(Section):
    """The ``aspect`` section: the base model's grid after aspect-ratio finetuning (paper, Table 6).

    All else is as in ``base``: ``base.with_keys_of(aspect)``. Windows keep their share of the grid: 1x16x16 and 5x8x8
    of 5x16x16 become 1x16x28 and 5x8x14 of 5x16x28.
    """

    resolution: tuple[PositiveInt, PositiveInt]
    latent_grid: tuple[PositiveInt, PositiveInt, PositiveInt]
    spatial_window: tuple[PositiveInt, PositiveInt, PositiveInt]
    spatiotemporal_window: tuple[PositiveInt, PositiveInt, PositiveInt]
