"""Videos of any length, chunk by chunk: memory does not grow with the length, and nothing is lost at the seams.

The result is that of the whole clip: on a processor in bf16 (autocast) bit for bit; in fp32 too, but for convolutions
of a few small frames, for which oneDNN may sum in another order (``tests/autoencoder/test_streaming.py``); on a GPU up
to rounding. Each stream has its own caches, so streams may be interleaved freely.

How much is computed at once is a number of pixels, over all clips and frames: ``compute.megapixels_at_once``. Clips of
less go together, a clip of more goes in pieces of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.model import CausalAutoencoder
from walt.core.sizes import Size
from walt.nn.causal import Stream


def clips_at_once(num_frames: int, size: Size, megapixels: float) -> int:
    """How many clips of that many frames and that (height, width) are computed together; 1 at least."""
    height, width = size
    return max(1, _pixels(megapixels) // (num_frames * height * width))


def frames_at_once(config: AutoencoderConfig, size: Size, megapixels: float) -> int:
    """Frames in a chunk of a video of that (height, width): a multiple of f_t, f_t at least. The first chunk has one
    more."""
    height, width = size
    return config.temporal_factor * max(1, _pixels(megapixels) // (config.temporal_factor * height * width))


def encode_within(model: CausalAutoencoder, video: Tensor, megapixels: float) -> Tensor:
    """Means of the latents (B, c, 1+t, h, w) of videos (B, 3, 1+T, H, W), in pieces of time where they are too large
    to be computed at once. Without gradients. Raises ValueError as ``CausalAutoencoder.encode``."""
    clips, _, frames, height, width = video.shape
    step = frames_at_once(model.config, (height, width), megapixels / clips)
    if frames <= 1 + step or not model.takes_chunks:
        with torch.no_grad():
            return model.encode(video)[0]
    pieces = [video[:, :, : 1 + step], *video[:, :, 1 + step :].split(step, dim=2)]
    return torch.cat(list(encode_stream(model, pieces)), dim=2)


def decode_within(model: CausalAutoencoder, latents: Tensor, megapixels: float) -> Iterator[Tensor]:
    """Videos of latents (B, c, 1+t, h, w), as one piece (B, 3, 1+T, H, W) or, where they are too large to be computed
    at once, in several, the first (B, 3, 1+T', H, W), later ones (B, 3, T', H, W). Not clamped, without gradients."""
    clips, _, frames, height, width = latents.shape
    size = (height * model.config.spatial_factor, width * model.config.spatial_factor)
    step = frames_at_once(model.config, size, megapixels / clips) // model.config.temporal_factor
    if frames <= 1 + step or not model.takes_chunks:
        with torch.no_grad():
            video = model.decode(latents)
        yield video
        return
    yield from decode_stream(model, [latents[:, :, : 1 + step], *latents[:, :, 1 + step :].split(step, dim=2)])


def _pixels(megapixels: float) -> int:
    return round(min(megapixels, 1e9) * 1e6)  # where there is no limit it is infinite


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
