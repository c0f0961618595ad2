"""Ways to spoil a video of which each must be seen by what evaluates videos. Videos are (T, H, W, 3) uint8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from walt.media.images import Clip

Perturbation = Callable[[Clip, np.random.Generator], Clip]


def shuffled_pixels(clip: Clip, rng: np.random.Generator) -> Clip:
    """The pixels of each quarter of the picture change places, the same way in every frame: means stay."""
    frames, height, width = len(clip), clip.shape[1] // 2, clip.shape[2] // 2
    order, shuffled = rng.permutation(height * width), clip.copy()
    for y in (0, height):
        for x in (0, width):
            quarter = shuffled[:, y : y + height, x : x + width].reshape(frames, -1, 3)[:, order]
            shuffled[:, y : y + height, x : x + width] = quarter.reshape(frames, height, width, 3)
    return shuffled


def blurred(clip: Clip, rng: np.random.Generator) -> Clip:
    """Each pixel is the mean of the nine around it."""
    height, width = clip.shape[1:3]
    padded = np.pad(clip.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    total = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.round(np.asarray(total) / 9).astype(np.uint8)


def noisy(clip: Clip, rng: np.random.Generator, deviation: float = 10.0) -> Clip:
    return np.clip(clip + rng.normal(0, deviation, clip.shape), 0, 255).round().astype(np.uint8)


def shuffled_frames(clip: Clip, rng: np.random.Generator) -> Clip:
    return clip[rng.permutation(len(clip))]


def dropped_frames(clip: Clip, rng: np.random.Generator, every: int = 3) -> Clip:
    """Every third frame repeats the one before."""
    places = np.arange(len(clip))
    return clip[places - (places % every == every - 1)]


PERTURBATIONS: dict[str, Perturbation] = {
    function.__name__: function for function in (shuffled_pixels, blurred, noisy, shuffled_frames, dropped_frames)
}
