"""The more of a set is spoiled, the farther it is from real clips, by every distance between sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from tests.support.perturbations import PERTURBATIONS, blurred, noisy
from tests.support.real_clips import real_clips
from walt.data.clip_pixels import pixels
from walt.evaluation.coverage import covered
from walt.evaluation.extractors import features_of
from walt.evaluation.frechet import Features, frechet_distance
from walt.evaluation.kernels import KID, MMD
from walt.evaluation.random_network import RandomNetwork
from walt.evaluation.resampling import frechet_figure, kernel_figure
from walt.media.images import Clip

FRAMES = 9
NETWORK = RandomNetwork()


def features(clips: list[Clip]) -> Features:
    return np.stack([features_of(NETWORK, pixels([clip])[0]).double().numpy() for clip in clips])


@cache
def plain() -> Features:
    return features(list(real_clips(FRAMES)))


@pytest.mark.slow
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_distances_grow_with_the_share_of_spoiled_clips(name: str) -> None:
    clips, rng = real_clips(FRAMES), np.random.default_rng(0)
    half = len(clips) // 2
    real, others = plain()[:half], plain()[half:]
    spoiled = features([PERTURBATIONS[name](clip, rng) for clip in clips[half:]])
    found: dict[str, list[float]] = {"frechet": [], "kid": [], "mmd": []}
    for share in (0.0, 0.5, 1.0):
        count = round(share * len(others))
        made = np.concatenate([spoiled[:count], others[count:]])
        found["frechet"].append(frechet_figure(real, made, {}).value)
        found["kid"].append(kernel_figure(KID, real, made, {}).value)
        found["mmd"].append(kernel_figure(MMD, real, made, {}).value)
    for values in found.values():
        assert values == sorted(values), found


def noise(clip: Clip, strength: int, rng: np.random.Generator) -> Clip:
    return noisy(clip, rng, 5.0 * 2**strength)


def blur(clip: Clip, strength: int, rng: np.random.Generator) -> Clip:
    for _ in range(strength + 1):
        clip = blurred(clip, rng)
    return clip


def frames_out_of_order(clip: Clip, strength: int, rng: np.random.Generator) -> Clip:
    """So many pairs of frames change places."""
    order = np.arange(len(clip))
    for _ in range(strength + 1):
        first, second = rng.choice(len(clip), 2, replace=False)
        order[[first, second]] = order[[second, first]]
    return clip[order]


def fewer_frames(clip: Clip, strength: int, rng: np.random.Generator) -> Clip:
    """Of so many frames that follow each other only the first is there, again and again."""
    return clip[np.arange(len(clip)) // (strength + 2) * (strength + 2)]


STRONGER: tuple[Callable[[Clip, int, np.random.Generator], Clip], ...] = (
    noise, blur, frames_out_of_order, fewer_frames,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("spoil", STRONGER)
def test_the_distance_grows_with_the_strength(spoil: Callable[[Clip, int, np.random.Generator], Clip]) -> None:
    clips, half = real_clips(FRAMES), len(real_clips(FRAMES)) // 2
    found = [frechet_distance(plain()[:half], plain()[half:])]
    for strength in range(3):
        rng = np.random.default_rng(0)
        made = features([spoil(clip, strength, rng) for clip in clips[half:]])
        found.append(frechet_distance(plain()[:half], made))
    assert found == sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noisy", "shuffled_pixels"])
def test_spoiled_clips_are_not_among_real_ones(name: str) -> None:
    clips, rng = real_clips(FRAMES), np.random.default_rng(0)
    half = len(clips) // 2
    real, others = plain()[:half], plain()[half:]
    spoiled = features([PERTURBATIONS[name](clip, rng) for clip in clips[half:]])
    assert covered(spoiled, real).mean() < covered(others, real).mean()
