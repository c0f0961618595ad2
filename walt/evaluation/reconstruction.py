"""Videos of any length through the autoencoder and back, and how much of them is lost. Memory does not grow.

PSNR and SSIM are torchmetrics', of pixels in [0, 1]: PSNR = -10 log10(mean squared error over all frames), SSIM (Wang
et al. 2004, Gaussian window of 11 pixels) averaged over frames, where the window is whole: torchmetrics counts the
border too, and mirrors the picture there. The perceptual distance takes the place of LPIPS: the
mean squared difference of an image classifier's logits, averaged over frames, which is the training's perceptual loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.image import PeakSignalNoiseRatio

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.losses import perceptual_loss
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual import PerceptualNetwork
from walt.autoencoder.streaming import decode_stream, encode_stream, frames_at_once
from walt.core.sizes import Size
from walt.data.clip_pixels import pixels
from walt.evaluation.running_frechet import RunningFrechetDistance
from walt.media.images import Picture
from walt.nn.device import arithmetic

SSIM_WINDOW = 11
"""Pixels; a smaller picture has no SSIM."""
FRECHET_FRAMES = 17
"""Frames of a clip for the Frechet distance, as in training; what is left at a video's end is left out."""

MEGAPIXELS_AT_ONCE = 2**18 / 1e6
"""128 channels of so many pixels, the paper's first level, are 134 MB in fp32."""
_CHUNK_LATENT_FRAMES = 4  # 17 frames, then 16, however small they are


def chunk_frames(config: AutoencoderConfig, size: Size, megapixels: float) -> int:
    """Frames in a chunk of pictures of that size: a multiple of f_t, f_t at least. The first chunk has one more."""
    return min(frames_at_once(config, size, megapixels), config.temporal_factor * _CHUNK_LATENT_FRAMES)


def compression(config: AutoencoderConfig, num_frames: int, size: Size) -> float:
    """Values of a video divided by values of its latents; frames that fill it up to 1 + f_t k are not counted."""
    height, width = size
    latent_frames = 1 + -(-(num_frames - 1) // config.temporal_factor)
    cells = latent_frames * (height // config.spatial_factor) * (width // config.spatial_factor)
    return 3 * num_frames * height * width / (config.latent_channels * cells)


def reconstruct_stream(
    model: CausalAutoencoder,
    pictures: Iterable[Picture],
    megapixels: float = MEGAPIXELS_AT_ONCE,
    precision: str = "fp32",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Encode and decode a video as its pictures arrive.

    A number of frames that is not 1 + f_t k is filled up with the last one, and the surplus cut off again.

    Args:
        pictures: (H, W, 3) uint8 RGB each, sides divisible by f_s.
        megapixels: of all frames that are computed at once, in millions; f_t frames at least, 16 at most.
        precision: of the autoencoder's arithmetic: ``fp32`` or ``bf16`` (autocast).

    Yields:
        The original and its reconstruction, both (1, 3, T, H, W) in [-1, 1] on the model's device, T as it comes; each
        frame once and in order.
    """
    device = next(model.parameters()).device
    waiting: deque[Picture] = deque()  # frames whose reconstruction is not there yet: about a chunk
    chunks = (chunk.to(device) for chunk in _chunks(iter(pictures), model.config, waiting, megapixels))
    stream = decode_stream(model, encode_stream(model, chunks))
    while True:
        # not around the yield, where the caller's own work would be in that precision too
        with arithmetic(device.type, precision):
            decoded = next(stream, None)
        if decoded is None:
            break
        count = min(len(waiting), decoded.shape[2])
        if count:
            original = pixels([np.stack([waiting.popleft() for _ in range(count)])]).to(device)
            yield original, decoded[:, :, :count].float().clamp(-1.0, 1.0)
    assert not waiting


def _chunks(
    pictures: Iterator[Picture], config: AutoencoderConfig, waiting: deque[Picture], megapixels: float
) -> Iterator[Tensor]:
    """Batches of one (1, 3, T, H, W) in [-1, 1]; T is 1 + f_t k, then f_t k. Real frames are put into ``waiting``."""
    ahead = next(pictures, None)
    if ahead is None:
        return
    rest = chunk_frames(config, (ahead.shape[0], ahead.shape[1]), megapixels)
    chunk = [ahead, *islice(pictures, rest)]
    alone = 1  # the frame before the multiples of f_t
    while chunk:
        waiting.extend(chunk)
        chunk += [chunk[-1]] * (-(len(chunk) - alone) % config.temporal_factor)
        yield pixels([np.stack(chunk)])
        chunk, alone = list(islice(pictures, rest)), 0


@dataclass(frozen=True)
class Quality:
    """How good a reconstruction is."""

    num_frames: int
    psnr: float
    """dB; infinite where nothing is lost."""
    ssim: float
    perceptual: float | None
    """None where no network was given."""


class QualityMeter:
    """Collects a video's ``Quality``, chunk by chunk."""

    def __init__(self, perceptual: PerceptualNetwork | None, device: str = "cpu") -> None:
        self._perceptual = perceptual
        self._psnr = PeakSignalNoiseRatio(data_range=1.0).to(device)
        self._ssim, self._distance = MeanMetric().to(device), MeanMetric().to(device)
        for metric in (self._psnr, self._ssim, self._distance):
            metric.set_dtype(torch.float64)  # of the sums: those of a long video must not lose its last chunks
        self._num_frames = 0

    @torch.no_grad()
    def update(self, original: Tensor, reconstruction: Tensor) -> None:
        """Add a chunk: both (1, 3, T, H, W) in [-1, 1]."""
        count = original.shape[2]
        for frame in range(count):  # one by one: SSIM holds some twenty copies
            # float64: in float32 the variances of flat areas, differences of squares, are off by a part of SSIM's c2
            real, made = (0.5 * (video[:, :, frame].double() + 1.0) for video in (original, reconstruction))
            self._psnr.update(made, real)
            self._ssim.update(_similarity(made, real))
        if self._perceptual is not None:
            distance = perceptual_loss(self._perceptual(reconstruction), self._perceptual(original))
            self._distance.update(distance, weight=count)
        self._num_frames += count

    def result(self) -> Quality:
        """The quality of all that was added; there must be a frame."""
        assert self._num_frames
        distance = None if self._perceptual is None else float(self._distance.compute())
        return Quality(self._num_frames, float(self._psnr.compute()), float(self._ssim.compute()), distance)


def _similarity(made: Tensor, real: Tensor) -> Tensor:
    """SSIM of two pictures (1, 3, H, W) in [0, 1], over the places at which the window lies within them."""
    _, places = structural_similarity_index_measure(
        made, real, data_range=1.0, kernel_size=SSIM_WINDOW, return_full_image=True
    )
    border = SSIM_WINDOW // 2
    similarity: Tensor = places[..., border:-border, border:-border].mean()
    return similarity


class FrechetWindows:
    """Cuts a video and its reconstruction into consecutive clips of ``FRECHET_FRAMES`` and gives them to a distance."""

    def __init__(self, distance: RunningFrechetDistance) -> None:
        self.distance = distance
        self._left: tuple[Tensor, Tensor] | None = None

    def update(self, original: Tensor, reconstruction: Tensor) -> None:
        """Add a chunk: both (1, 3, T, H, W) in [-1, 1]."""
        pair = (original, reconstruction)
        if self._left is not None:
            pair = (torch.cat([self._left[0], original], dim=2), torch.cat([self._left[1], reconstruction], dim=2))
        whole = pair[0].shape[2] // FRECHET_FRAMES * FRECHET_FRAMES
        for start in range(0, whole, FRECHET_FRAMES):
            for video, real in zip(pair, (True, False), strict=True):
                self.distance.update(video[:, :, start : start + FRECHET_FRAMES], real)
        self._left = (pair[0][:, :, whole:].clone(), pair[1][:, :, whole:].clone())
