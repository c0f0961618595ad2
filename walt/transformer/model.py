"""The W.A.L.T transformer: window attention over latents of videos and of images (paper section 3.2 to 3.4).

Legend: B batch, t latent frames (``1 + t`` in the paper's notation), h w latent cells, c latent channels, p patch size,
T H W the token grid (t, h / p, w / p), D width, L text tokens, S width of the text encoder's output.

A batch element is a video of t latent frames or a stack of t independent images, which do not see each other.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from walt.nn.adaln import (
    LabelEmbedding,
    LowRankModulation,
    SharedModulation,
    TimestepEmbedding,
    in_own_precision,
    modulate,
)
from walt.nn.attention import TextCrossAttention, WindowSelfAttention
from walt.nn.mixed import arrange
from walt.nn.positions import AbsolutePosition, Window, token_grid
from walt.nn.pretrained import load_config, load_weights, save_weights
from walt.transformer.config import TransformerConfig
from walt.transformer.initial_weights import initialise


class Block(nn.Module):
    """Self-attention in a window, cross-attention to text, MLP; the first and the last are modulated and gated.

    Without text there is no cross-attention.
    """

    def __init__(self, config: TransformerConfig, window: Window) -> None:
        super().__init__()
        width = config.width
        self.self_attention = WindowSelfAttention(
            width, config.heads, window, config.qk_norm, config.relative_position_bias
        )
        self.cross_attention: TextCrossAttention | None = None
        if config.conditioning == "text":
            spatial = (1, *config.spatial_window[1:])
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
        self,
        x: Tensor,
        condition: Tensor,
        shared: Tensor | None,
        text: Tensor | None,
        text_mask: Tensor | None,
        videos: int,
    ) -> Tensor:
        """x (B, T, H, W, D), the first ``videos`` of which are videos; condition c + t (B, 1 or T, 1, 1, D); shared A^1
        (..., 6 D); text (B, 1 or T, L, D)."""
        modulation = self.modulation(condition)
        if shared is not None:
            modulation = modulation + shared
        scale1, shift1, gate1, scale2, shift2, gate2 = modulation.chunk(6, dim=-1)
        x = x + gate1 * self.self_attention(modulate(x, scale1, shift1), videos)
        if self.cross_attention is not None:
            x = x + self.cross_attention(self.cross_norm(x), text, text_mask)
        return x + gate2 * self.mlp(modulate(x, scale2, shift2))


class WaltTransformer(nn.Module):
    """Noisy latents, timestep and conditions -> the prediction (v in the paper), of the latents' shape.

    Attributes:
        activation_checkpointing: in training, keep each block's input only and compute the block again in the backward
            pass. Changes memory and time, not the result.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.activation_checkpointing = False
        width, patch = config.width, config.patch_size
        self.patch_in = nn.Linear(self._input_channels() * patch**2, width)
        self.position = AbsolutePosition(token_grid(config.latent_grid, patch), width)
        self.time_embedding = TimestepEmbedding(width)
        if config.text_width is not None:
            self.text_in = nn.Linear(config.text_width, width)
        if config.num_classes is not None:
            self.label_embedding = LabelEmbedding(config.num_classes, width)
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

    def _input_channels(self) -> int:
        """Channels of the tensors that are concatenated at the input; known frames bring a mask with them."""
        config = self.config
        latents = 1 + config.self_conditioning + (config.super_resolution is not None) + config.frame_prediction
        return config.latent_channels * latents + config.frame_prediction

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        text: Tensor | None = None,
        text_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        images: bool | Tensor = False,
        self_condition: Tensor | None = None,
        known: Tensor | None = None,
        known_frames: Tensor | None = None,
        low_resolution: Tensor | None = None,
        noise_level: Tensor | None = None,
    ) -> Tensor:
        """Predict. Conditions are given only to the models that have them.

        Args:
            latents: (B, c, t, h, w), normalised, with noise of the given timesteps. Images alone may have any t.
            timesteps: (B,) int64, 0 .. num_steps - 1.
            text: (B, L, S), or (B, t, L, S) with its own condition for each image of a stack.
            text_mask: (B, L) or (B, t, L), true where there is text.
            labels: classes, (B,) or (B, t) int64, 0 .. num_classes; num_classes is 'no class'.
            images: the batch holds stacks of t independent images instead of videos; or (B,) bool, which elements do.
            self_condition: an earlier estimate of the clean latents, (B, c, t, h, w); zeros when absent.
            known: frame prediction: clean latents (B, c, t, h, w), of which the first are read; nothing when absent.
            known_frames: frame prediction: (B,) int64, how many are known, 0 to 2; none for stacks of images.
            low_resolution: super-resolution: (B, c, t, h / f, w / f), noised to ``noise_level``.
            noise_level: super-resolution: (B,) int64.

        Returns:
            (B, c, t, h, w).
        """
        rows = arrange(images, len(latents))
        inputs = self._inputs(latents, images, self_condition, known, known_frames, low_resolution)  # (B, C, t, h, w)
        x = self.patch_in(patchify(inputs, self.config.patch_size))  # (B, T, H, W, D)
        x = self.position(rows.sort(x), rows.videos)
        condition = rows.sort(self._condition(timesteps, labels, noise_level))  # (B, 1 or T, 1, 1, D)
        if self.config.conditioning == "text":
            text, text_mask = self._text(text, text_mask, rows.videos)
            text, text_mask = rows.sort(text), rows.sort(text_mask)  # (B, 1 or T, L, D), (B, 1 or T, L)
        else:
            assert text is None, f"a model of conditioning {self.config.conditioning} takes no text"
        shared = None if self.shared_modulation is None else self.shared_modulation(condition)
        again = self.activation_checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            inputs_of_block = (x, condition, shared, text, text_mask, rows.videos)
            x = checkpoint(block, *inputs_of_block, use_reentrant=False) if again else block(*inputs_of_block)
        with in_own_precision(condition):
            scale, shift = self.final_modulation(condition).chunk(2, dim=-1)
        x = self.patch_out(modulate(x, scale, shift))  # (B, T, H, W, p p c)
        return rows.restore(unpatchify(x, self.config.patch_size))

    def _inputs(
        self,
        latents: Tensor,
        images: bool | Tensor,
        self_condition: Tensor | None,
        known: Tensor | None,
        known_frames: Tensor | None,
        low_resolution: Tensor | None,
    ) -> Tensor:
        """All that has the latents' grid, concatenated along channels: (B, C, t, h, w)."""
        inputs = [latents]
        if self.config.self_conditioning:
            inputs.append(torch.zeros_like(latents) if self_condition is None else self_condition)
        if self.config.super_resolution is not None:
            assert low_resolution is not None, "a super-resolution model needs its input"
            inputs.append(self._upsample(low_resolution))
        if self.config.frame_prediction:
            inputs.append(known_frames_input(known, known_frames, images, latents))
        else:
            assert known is None, "the model was not built for frame prediction"
        return torch.cat(inputs, dim=1)

    def _condition(self, timesteps: Tensor, labels: Tensor | None, noise_level: Tensor | None) -> Tensor:
        """c + t, all that goes through AdaLN: (B, 1 or T, 1, 1, D)."""
        condition = self.time_embedding(timesteps)[:, None]  # (B, 1, D)
        if self.config.super_resolution is not None:
            assert noise_level is not None, "a super-resolution model needs the noise level of its input"
            condition = condition + self.noise_level_embedding(noise_level)[:, None]
        assert (labels is not None) == (self.config.conditioning == "class"), "labels are for class-conditional models"
        if labels is not None:
            condition = condition + self.label_embedding(labels if labels.dim() == 2 else labels[:, None])
        return condition[:, :, None, None]

    def _text(self, text: Tensor | None, text_mask: Tensor | None, videos: int) -> tuple[Tensor, Tensor]:
        """Text of the model's width, one entry for all frames or one per frame: (B, 1 or T, L, D), (B, 1 or T, L)."""
        assert text is not None, "a text-conditioned model needs text"
        assert text_mask is not None, "a text-conditioned model needs its text's mask"
        alone = self.config.cross_attention == "spatial" or videos == len(text)
        assert alone, "cross-attention in the block's own window would mix the images of a stack"
        if text.dim() == 3:
            text, text_mask = text[:, None], text_mask[:, None]
        return self.text_in(text), text_mask

    def _upsample(self, low_resolution: Tensor) -> Tensor:
        """(B, c, t, h / f, w / f) -> (B, c, t, h, w): convolution, depth-to-space, frame by frame (3.4)."""
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


def known_frames_input(
    known: Tensor | None, known_frames: Tensor | None, images: bool | Tensor, latents: Tensor
) -> Tensor:
    """c_fp = concat(m z, m): (B, c + 1, t, h, w), for latents (B, c, t, h, w) (paper section 3.3).

    Args:
        known: z, latents (B, c, t, h, w) without noise; None where nothing is known. Frames that m leaves out are not
            read.
        known_frames: (B,) int64; m is 1 in that many first frames. Stacks of images have none, whatever the values
            here.
        images: which elements are stacks: all or none, or a mask (B,).
    """
    batch, channels, frames, height, width = latents.shape
    assert (known is None) == (known_frames is None), "known and known_frames go together"
    if known is None or known_frames is None or images is True:
        return latents.new_zeros(batch, channels + 1, frames, height, width)
    if isinstance(images, Tensor):
        known_frames = known_frames.masked_fill(images, 0)
    marked = torch.arange(frames, device=latents.device) < known_frames[:, None]  # (B, t)
    marked = marked[:, None, :, None, None].expand(-1, -1, -1, height, width)  # (B, 1, t, h, w)
    return torch.cat([torch.where(marked, known, 0.0), marked.to(known.dtype)], dim=1)


def save_transformer(folder: Path, model: WaltTransformer, state_dict: dict[str, Tensor] | None = None) -> None:
    """Write weights and configuration; ``state_dict`` takes the place of the model's own weights (an EMA's, say)."""
    save_weights(folder, model.state_dict() if state_dict is None else state_dict, model.config)


def load_transformer(folder: Path, device: str = "cpu") -> WaltTransformer:
    """Read a folder written by ``save_transformer``; in eval mode. Raises as ``walt.nn.pretrained``."""
    model = WaltTransformer(load_config(folder, TransformerConfig))
    load_weights(folder, model)
    return model.to(device).eval()
