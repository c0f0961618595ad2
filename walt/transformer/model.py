"""The W.A.L.T transformer: window attention over latents of videos and of images (paper section 3.2 to 3.4).

Legend: B batch, t latent frames (``1 + t`` in the paper's notation), h w latent cells, c latent channels, p patch size,
T H W the token grid (t, h / p, w / p), D width, L text tokens, S width of the text encoder's output.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from walt.nn.adaln import LowRankModulation, SharedModulation, TimestepEmbedding, modulate
from walt.nn.attention import TextCrossAttention, WindowSelfAttention
from walt.nn.positions import AbsolutePosition
from walt.nn.windows import Window
from walt.transformer.config import TransformerConfig
from walt.transformer.initialise import initialise


class Block(nn.Module):
    """Self-attention in a window, cross-attention to text, MLP; the first and the last are modulated and gated."""

    def __init__(self, config: TransformerConfig, window: Window) -> None:
        super().__init__()
        width = config.width
        spatial = (1, *config.spatial_window[1:])
        self.spatiotemporal = window[0] > 1
        self.self_attention = WindowSelfAttention(
            width, config.heads, window, config.qk_norm, config.relative_position_bias
        )
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = TextCrossAttention(
            width, config.heads, spatial if config.cross_attention == "spatial" else window, config.qk_norm
        )
        self.mlp = nn.Sequential(
            nn.Linear(width, config.mlp_width), nn.GELU(approximate="tanh"), nn.Linear(config.mlp_width, width)
        )
        self.modulation: nn.Module = (
            LowRankModulation(width, config.adaln_rank) if config.adaln == "lora" else SharedModulation(width)
        )

    def forward(
        self, x: Tensor, condition: Tensor, shared: Tensor | None, text: Tensor, text_mask: Tensor, images: bool
    ) -> Tensor:
        """x (B, T, H, W, D); condition c + t (B, 1 or T, 1, 1, D); shared A^1 (..., 6 D); text (B, 1 or T, L, D)."""
        modulation = self.modulation(condition)
        if shared is not None:
            modulation = modulation + shared
        scale1, shift1, gate1, scale2, shift2, gate2 = modulation.chunk(6, dim=-1)
        attended = self.self_attention(modulate(x, scale1, shift1), identity=images and self.spatiotemporal)
        x = x + gate1 * attended
        x = x + self.cross_attention(self.cross_norm(x), text, text_mask)
        return x + gate2 * self.mlp(modulate(x, scale2, shift2))


class WaltTransformer(nn.Module):
    """Noisy latents, timestep and text -> the prediction (v in the paper), of the latents' shape.

    Attributes:
        activation_checkpointing: in training, keep each block's input only and compute the block again in the backward
            pass. Changes memory and time, not the result.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.activation_checkpointing = False
        width, patch = config.width, config.patch_size
        channels = config.latent_channels * self._inputs()
        self.patch_in = nn.Linear(channels * patch**2, width)
        self.position = AbsolutePosition(config.token_grid, width)
        self.time_embedding = TimestepEmbedding(width)
        self.text_in = nn.Linear(config.text_width, width)
        windows = (config.spatial_window, config.spatiotemporal_window)
        self.shared_modulation = SharedModulation(width) if config.adaln == "lora" else None
        self.blocks = nn.ModuleList(Block(config, windows[index % 2]) for index in range(config.layers))
        self.final_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.patch_out = nn.Linear(width, config.latent_channels * patch**2)
        if config.super_resolution is not None:
            factor = config.super_resolution.factor
            self.upsample = nn.Conv2d(config.latent_channels, config.latent_channels * factor**2, 3, padding=1)
            self.noise_level_embedding = TimestepEmbedding(width)
        initialise(self)

    def _inputs(self) -> int:
        """Latent-shaped tensors that are concatenated along channels at the input."""
        return 1 + self.config.self_conditioning + (self.config.super_resolution is not None)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        text: Tensor,
        text_mask: Tensor,
        *,
        images: bool = False,
        self_condition: Tensor | None = None,
        low_resolution: Tensor | None = None,
        noise_level: Tensor | None = None,
    ) -> Tensor:
        """Predict.

        Args:
            latents: (B, c, t, h, w), normalised, with noise of the given timesteps.
            timesteps: (B,) int64, 0 .. num_steps - 1.
            text: (B, L, S), or (B, t, L, S) with its own condition for each image of a stack.
            text_mask: (B, L) or (B, t, L), true where there is text.
            images: the batch holds stacks of t independent images instead of videos.
            self_condition: an earlier estimate of the clean latents, (B, c, t, h, w); zeros when absent.
            low_resolution: super-resolution only: (B, c, t, h / f, w / f), noised to ``noise_level``.
            noise_level: super-resolution only: (B,) int64.

        Returns:
            (B, c, t, h, w).
        """
        condition = self.time_embedding(timesteps)  # (B, D)
        inputs = [latents]
        if self.config.self_conditioning:
            inputs.append(torch.zeros_like(latents) if self_condition is None else self_condition)
        if self.config.super_resolution is not None:
            assert low_resolution is not None, "a super-resolution model needs its input"
            assert noise_level is not None, "a super-resolution model needs the noise level of its input"
            inputs.append(self._upsample(low_resolution))
            condition = condition + self.noise_level_embedding(noise_level)
        x = self.patch_in(patchify(torch.cat(inputs, dim=1), self.config.patch_size))  # (B, T, H, W, D)
        x = self.position(x, images)
        if text.dim() == 3:
            text, text_mask = text[:, None], text_mask[:, None]
        text = self.text_in(text)  # (B, 1 or T, L, D)
        condition = condition[:, None, None, None]  # (B, 1, 1, 1, D)
        shared = None if self.shared_modulation is None else self.shared_modulation(condition)
        again = self.activation_checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            inputs_of_block = (x, condition, shared, text, text_mask, images)
            x = checkpoint(block, *inputs_of_block, use_reentrant=False) if again else block(*inputs_of_block)
        scale, shift = self.final_modulation(condition).chunk(2, dim=-1)
        x = self.patch_out(modulate(x, scale, shift))  # (B, T, H, W, p p c)
        return unpatchify(x, self.config.patch_size)

    def _upsample(self, low_resolution: Tensor) -> Tensor:
        """(B, c, t, h / f, w / f) -> (B, c, t, h, w): convolution, depth-to-space, a frame at a time (3.4)."""
        batch, _, frames, *_ = low_resolution.shape
        assert self.config.super_resolution is not None
        images = low_resolution.transpose(1, 2).flatten(0, 1)
        images = F.pixel_shuffle(self.upsample(images), self.config.super_resolution.factor)
        return images.unflatten(0, (batch, frames)).transpose(1, 2)


def patchify(latents: Tensor, patch: int) -> Tensor:
    """(B, c, t, h, w) -> (B, t, h / p, w / p, p p c)."""
    batch, channels, frames, height, width = latents.shape
    x = latents.reshape(batch, channels, frames, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 3, 5, 4, 6, 1).flatten(4)


def unpatchify(x: Tensor, patch: int) -> Tensor:
    """The inverse of ``patchify``: (B, T, H, W, p p c) -> (B, c, t, h, w)."""
    x = x.unflatten(-1, (patch, patch, -1))  # (B, T, H, W, p, p, c)
    return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5).flatten(3, 4)
