"""Videos of any length, chunk by chunk: memory does not grow with the length, and nothing is lost at the seams.

The result is that of the whole clip. Each stream has its own caches, so streams may be interleaved freely.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from walt.autoencoder.model import CausalAutoencoder
from walt.nn.causal import Stream


def encode_stream(model: CausalAutoencoder, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Means of the latents, as many chunks as come in. Without gradients.

    Args:
        chunks: the first (B, 3, 1+T, H, W), later ones (B, 3, T, H, W), in [-1, 1]; T divisible by f_t, and allowed to
            be 0 in the first.

    Yields:
        The first (B, c, 1+t, h, w), later ones (B, c, t, h, w).

    Raises:
        ValueError: a chunk's shape does not fit the factors.
    """
    stream = Stream(model.encoder)
    for chunk in chunks:
        with torch.no_grad():  # not around the yield, which would also disable gradients for the caller's own work
            mean, _ = model.encode(chunk, stream)
        yield mean


def decode_stream(model: CausalAutoencoder, latents: Iterable[Tensor]) -> Iterator[Tensor]:
    """Video chunks of latent chunks of any length: the first (B, 3, 1+T, H, W), later ones (B, 3, T, H, W).

    Values are about in [-1, 1], not clamped. Without gradients.
    """
    stream = Stream(model.decoder)
    for chunk in latents:
        with torch.no_grad():
            video = model.decode(chunk, stream)
        yield video
