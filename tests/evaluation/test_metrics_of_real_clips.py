"""The more of a set is spoiled, the farther it is from real clips, by every distance between sets."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.support.perturbations import PERTURBATIONS
from tests.support.real_clips import real_clips
from walt.data.clip_pixels import pixels
from walt.evaluation.coverage import covered
from walt.evaluation.extractors import RandomNetworkFeatures, features_of
from walt.evaluation.frechet import Features
from walt.evaluation.kernels import KID, MMD
from walt.evaluation.resampling import frechet_figure, kernel_figure
from walt.media.images import Clip

FRAMES = 9
NETWORK = RandomNetworkFeatures()


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noisy", "shuffled_pixels"])
def test_spoiled_clips_are_not_among_real_ones(name: str) -> None:
    clips, rng = real_clips(FRAMES), np.random.default_rng(0)
    half = len(clips) // 2
    real, others = plain()[:half], plain()[half:]
    spoiled = features([PERTURBATIONS[name](clip, rng) for clip in clips[half:]])
    assert covered(spoiled, real).mean() < covered(others, real).mean()
