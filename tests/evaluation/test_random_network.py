"""The offline distance sees pictures: whatever spoils a video moves it by more than its own spread."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch

from tests.support.drawn_waves import waves
from tests.support.perturbations import PERTURBATIONS, noisy
from tests.support.real_clips import real_clips
from tests.support.shape_clips import FRAMES, SIZE, shapes
from walt.data.clip_pixels import pixels
from walt.data.shapes import draw, scenes
from walt.evaluation.extractors import features_of
from walt.evaluation.frechet import Features, frechet_distance
from walt.evaluation.random_network import RandomNetwork
from walt.media.images import Clip

NETWORK = RandomNetwork()


def features(clips: list[Clip]) -> Features:
    return np.stack([features_of(NETWORK, pixels([clip])[0]).numpy() for clip in clips]).astype(np.float64)


@cache
def distances() -> tuple[Features, tuple[tuple[Clip, ...], ...], np.ndarray]:
    """Features of real clips, four sets of other clips of the same kind, and the distances of those."""
    real, others = features(list(shapes(96, 0))), tuple(shapes(48, seed) for seed in (1, 2, 3, 4))
    return real, others, np.array([frechet_distance(real, features(list(clips))) for clips in others])


@pytest.mark.slow
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_each_fault_moves_the_distance_of_made_clips(name: str) -> None:
    real, others, before = distances()
    rng = np.random.default_rng(0)
    after = frechet_distance(real, features([PERTURBATIONS[name](clip, rng) for clip in others[0]]))
    assert after - before[0] > 5 * before.std(ddof=1)
    assert after > 2 * before.max()


@pytest.mark.slow
def test_more_noise_is_farther_away() -> None:
    real, others, before = distances()
    found = [before[0]]
    for deviation in (5, 10, 20, 40):
        rng = np.random.default_rng(0)
        found.append(frechet_distance(real, features([noisy(clip, rng, deviation) for clip in others[0]])))
    assert found == sorted(found)


@pytest.mark.slow
def test_the_direction_of_motion_is_seen() -> None:
    rng = np.random.default_rng(0)
    moving = [draw(replace(scene, direction="right"), SIZE, FRAMES, rng) for scene in islice(scenes(0), 96)]
    real, made = features(moving[:48]), moving[48:]
    assert frechet_distance(real, features([clip[::-1] for clip in made])) > 2 * frechet_distance(real, features(made))


@pytest.mark.slow
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_each_fault_moves_the_distance_of_real_clips(name: str) -> None:
    clips, rng = real_clips(FRAMES), np.random.default_rng(0)
    assert len(clips) > 60
    plain = features(list(clips))
    spoiled = features([PERTURBATIONS[name](clip, rng) for clip in clips])
    before, after = [], []
    for seed in range(8):
        order = np.random.default_rng(seed).permutation(len(clips))
        real, others = order[: len(clips) // 2], order[len(clips) // 2 :]
        before.append(frechet_distance(plain[real], plain[others]))
        after.append(frechet_distance(plain[real], spoiled[others]))
    assert np.mean(after) - np.mean(before) > (5 if name == "shuffled_pixels" else 1) * np.std(before, ddof=1)


def test_its_weights_are_always_the_same() -> None:
    """Another digest is another measure: it needs another name."""
    assert NETWORK.digest == "10e05d9710014e460533cf67cc02eeea6e7a973c15a633675b0073005e39b09e"


def test_its_features_are_always_the_same() -> None:
    """Those of a clip in closed form, every fourth of the convolutions' and every fifth colour: another measure needs
    another name."""
    found = NETWORK(waves())[0]
    colours = [0.00444, -0.00418, 0.00075, -0.00247, -0.01034]
    strengths = [-0.49047, -0.59035, -0.15336, -0.18859, -1.49924, -1.74224]
    strengths += [-0.80315, -1.46567, -2.41497, -2.733, -2.04152, -2.31256]
    assert found[:24:5].tolist() == pytest.approx(colours, abs=2e-5)
    assert found[24::4].tolist() == pytest.approx(strengths, abs=2e-5)


def test_a_picture_stands_still_and_plain_areas_are_finite() -> None:
    network = RandomNetwork()
    picture = torch.rand(2, 3, 1, 16, 16) * 2 - 1
    still = network(picture.expand(-1, -1, 5, -1, -1))
    assert network(picture).shape == (2, network.num_features)
    torch.testing.assert_close(network(picture), still)
    for shape in ((1, 3, 5, 16, 16), (1, 3, 1, 4, 4), (1, 3, 2, 4, 7)):
        assert network(torch.zeros(shape)).isfinite().all()


def test_colour_and_place_are_the_first_features() -> None:
    video = torch.zeros(1, 3, 6, 8, 8)
    video[0, 0, :3, :4, :4] = 1.0  # red, upper left, in the first half
    found = RandomNetwork()(video)[0]
    assert found[0] == 1.0
    assert not found[1:24].any()


def test_features_are_those_of_float64_to_six_digits() -> None:
    clip = pixels([next(iter(shapes(1, 0)))])
    with torch.inference_mode():
        exact = deepcopy(NETWORK).double()(clip.double())
    torch.testing.assert_close(features_of(NETWORK, clip[0])[None].double(), exact, rtol=0.0, atol=2e-6)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN makes the convolutions, where it is")
def test_no_convolution_is_torchs_slow_one() -> None:
    """Of a single small clip torch takes another kernel, three times as slow, where it is left the choice."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        features_of(NETWORK, torch.zeros(3, 17, 64, 64))
    names = [event.name for event in found.events()]
    assert names.count("aten::mkldnn_convolution") == 3
    assert not [name for name in names if "slow_conv" in name]


def test_the_number_of_threads_changes_no_bit() -> None:
    clip, threads, found = pixels([next(iter(shapes(1, 0)))])[0], torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(features_of(NETWORK, clip))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
