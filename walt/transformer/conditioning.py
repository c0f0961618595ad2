"""Inputs besides the noisy latents that need more than one layer: classes and known frames.

B batch, t latent frames, h w latent cells, c latent channels, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LabelEmbedding(nn.Module):
    """Class labels (...,) -> (..., D); the last of ``num_classes + 1`` rows means 'no class'."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(num_classes + 1, width))

    def forward(self, labels: Tensor) -> Tensor:
        return F.embedding(labels, self.table)


def known_frames_input(
    known: Tensor | None, known_frames: Tensor | None, images: bool | Tensor, latents: Tensor
) -> Tensor:
    """c_fp = concat(m z, m): (B, c + 1, t, h, w), for latents (B, c, t, h, w) (paper section 3.3).

    Args:
        known: z, latents (B, c, t, h, w) without noise; None where nothing is known. Frames that m leaves out are not
            read.
        known_frames: (B,) int64; m is 1 in that many first frames. Stacks of images have none, whatever the values
        here. images: which elements are stacks: all or none, or a mask (B,).
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
