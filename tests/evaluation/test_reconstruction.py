"""Videos through the autoencoder as they come, and what is measured on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.media import Frames
from tests.support.settings import recipe
from tests.support.tiny_models import AUTOENCODER
from walt.autoencoder.model import CausalAutoencoder
from walt.data.clip_pixels import pixels
from walt.evaluation.extractors import Extractor
from walt.evaluation.reconstruction import (
    MEGAPIXELS_AT_ONCE,
    FrechetWindows,
    QualityMeter,
    chunk_frames,
    compression,
    reconstruct_stream,
)
from walt.evaluation.running_frechet import RunningFrechetDistance

PAPER = recipe("t2v").autoencoder


def model(seed: int = 0) -> CausalAutoencoder:
    torch.manual_seed(seed)
    return CausalAutoencoder(AUTOENCODER).eval()


def noise(num_frames: int, height: int = 16, width: int = 24, seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


# ------------------------------------------------------------------------------------------------ the stream


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 18, 33, 34, 40])
def test_the_stream_is_the_whole_clip(count: int) -> None:
    autoencoder, frames = model(), noise(count)
    whole = pixels([np.concatenate([frames, frames[-1:].repeat(-(count - 1) % 4, 0)])])
    with torch.no_grad():
        expected = autoencoder.decode(autoencoder.encode(whole)[0])[:, :, :count].clamp(-1, 1)
    pairs = list(reconstruct_stream(autoencoder, iter(frames)))
    assert all(original.shape == made.shape for original, made in pairs)
    assert torch.equal(torch.cat([original for original, _ in pairs], 2), pixels([frames]))
    made = torch.cat([made for _, made in pairs], 2)
    assert made.shape == expected.shape
    assert torch.allclose(made, expected, atol=1e-5)
    assert len(pairs) == 1 + max(0, math.ceil((count - 17) / 16))


@pytest.mark.slow
def test_the_stream_reads_no_further_than_it_must() -> None:
    read = 0

    def frames() -> Any:
        nonlocal read
        for frame in noise(200):
            read += 1
            yield frame

    shown = 0
    for original, _ in reconstruct_stream(model(), frames()):
        shown += original.shape[2]
        assert read - shown <= 16
    assert shown == 200


def test_large_pictures_come_in_small_chunks() -> None:
    sizes = [(64, 64), (128, 128), (128, 256), (256, 256), (512, 512)]
    assert [chunk_frames(PAPER, size, MEGAPIXELS_AT_ONCE) for size in sizes] == [16, 16, 8, 4, 4]


@pytest.mark.parametrize(
    ("frames", "size", "expected"),
    [
        (17, (128, 128), 17 * 128 * 128 * 3 / (5 * 16 * 16 * 8)),
        (18, (128, 96), 18 * 128 * 96 * 3 / (6 * 16 * 12 * 8)),  # the sixth latent frame pays for one frame
        (1, (64, 64), 24.0),
    ],
)
def test_compression(frames: int, size: tuple[int, int], expected: float) -> None:
    assert compression(PAPER, frames, size) == pytest.approx(expected)


def test_compression_counts_the_latents_that_are_made() -> None:
    latents, _ = model().encode(pixels([noise(9)]))
    assert compression(AUTOENCODER, 9, (16, 24)) == pytest.approx(9 * 16 * 24 * 3 / latents.numel())


# ------------------------------------------------------------------------------------------------ quality


def meter(*chunks: tuple[Tensor, Tensor], perceptual: Any = None) -> Any:
    collected = QualityMeter(perceptual)
    for original, reconstruction in chunks:
        collected.update(original, reconstruction)
    return collected.result()


@pytest.mark.parametrize("offset", [0.02, 0.5])
def test_psnr_of_a_constant_offset(offset: float) -> None:
    video = torch.zeros(1, 3, 5, 16, 16)
    quality = meter((video, video + offset))
    assert quality.psnr == pytest.approx(-20 * math.log10(offset / 2), abs=1e-4)  # pixels in [0, 1] differ by half
    assert quality.num_frames == 5


def test_psnr_is_of_all_frames_together() -> None:
    video = torch.zeros(1, 3, 17, 16, 16)
    quality = meter((video[:, :, :5], video[:, :, :5] + 0.1), (video[:, :, 5:], video[:, :, 5:] + 0.3))
    error = (5 * 0.05**2 + 12 * 0.15**2) / 17
    assert quality.psnr == pytest.approx(-10 * math.log10(error), abs=1e-4)


def test_nothing_lost() -> None:
    video = pixels([noise(5)])
    quality = meter((video, video))
    assert quality.psnr == math.inf
    assert quality.ssim == pytest.approx(1.0, abs=1e-6)
    assert quality.perceptual is None


def test_ssim_against_its_formula_and_over_chunks() -> None:
    """Of two flat pictures a and b the structure is equal: (2 a b + c1) / (a a + b b + c1), c1 = 0.01^2."""
    flat = torch.full((1, 3, 4, 16, 16), -0.2)  # 0.4 in [0, 1]
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert meter((flat, -flat)).ssim == pytest.approx(expected, abs=1e-4)
    assert meter((flat, -flat), (flat[:, :, :1], flat[:, :, :1])).ssim == pytest.approx(
        (4 * expected + 1) / 5, abs=1e-4
    )


def test_ssim_of_whole_windows_written_out() -> None:
    """As its authors' code, scikit-image and TensorFlow have it: no window reaches beyond the picture."""
    weights = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    window = torch.outer(weights, weights) / weights.sum() ** 2
    real, made = (
        torch.from_numpy(noise(2, seed=seed)).double().movedim(-1, 1) / 255 for seed in (0, 1)
    )  # (T, 3, H, W)
    made = 0.7 * real + 0.3 * made

    def mean(values: Tensor) -> Tensor:
        return nn.functional.conv2d(values.flatten(0, 1)[:, None], window[None, None])

    a, b = mean(real), mean(made)
    covariance, spread = mean(real * made) - a * b, mean(real**2) - a**2 + mean(made**2) - b**2
    c1, c2 = 0.01**2, 0.03**2
    expected = ((2 * a * b + c1) * (2 * covariance + c2) / ((a**2 + b**2 + c1) * (spread + c2))).mean()
    video, other = (2 * frames.movedim(0, 1)[None] - 1 for frames in (real, made))
    assert meter((video, other)).ssim == pytest.approx(float(expected), abs=1e-9)


def test_a_long_videos_sums_do_not_swallow_its_end() -> None:
    """In float32 a sum stops growing when what is added is 2^-24 of it."""
    collected = QualityMeter(None)
    chunk = torch.zeros(1, 3, 1, 16, 16)
    collected.update(chunk, chunk + 2.0)
    collected._psnr.sum_squared_error += 2.0**36
    before = float(collected._psnr.sum_squared_error)
    collected.update(chunk, chunk + 2.0)
    assert float(collected._psnr.sum_squared_error) - before == pytest.approx(3 * 16 * 16)


class MeanColours(nn.Module):
    """Logits of a frame: the means of its three channels."""

    def forward(self, video: Tensor) -> Tensor:
        return video.mean((3, 4)).transpose(1, 2).flatten(0, 1)


def test_the_perceptual_distance_is_a_mean_over_frames() -> None:
    video = pixels([noise(17)])
    chunks = [(video[:, :, :5], video[:, :, :5] + 0.1), (video[:, :, 5:], video[:, :, 5:] - 0.3)]
    quality = meter(*chunks, perceptual=MeanColours())
    assert quality.perceptual == pytest.approx((5 * 0.1**2 + 12 * 0.3**2) / 17, rel=1e-4)


# ------------------------------------------------------------------------------------------------ Frechet distance


class Pixels(Extractor):
    """The first three values of the first frame as features; remembers the clips."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.seen.append(clips)
        return clips.flatten(1)[:, :3]


@pytest.mark.parametrize("plan", [(40,), (17, 16, 7), (1, 39), (5, 30, 5)])
def test_windows_are_consecutive_and_whole(plan: tuple[int, ...]) -> None:
    extractor = Pixels()
    windows = FrechetWindows(RunningFrechetDistance(extractor))
    real, made = pixels([noise(40)]), pixels([noise(40, seed=1)])
    start = 0
    for length in plan:
        windows.update(real[:, :, start : start + length], made[:, :, start : start + length])
        start += length
    assert windows.distance.num_clips == 2
    expected = [video[:, :, 17 * k : 17 * k + 17] for k in range(2) for video in (real, made)]
    assert all(torch.equal(seen, clip) for seen, clip in zip(extractor.seen, expected, strict=True))
