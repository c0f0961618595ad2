"""Motion by band: in closed form, whatever the picture is, and moved by what spoils motion."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
import torch

from tests.support.drawn_waves import waves
from tests.support.perturbations import noisy
from tests.support.shape_clips import shapes
from walt.data.clip_pixels import pixels
from walt.evaluation.extractors import features_of
from walt.evaluation.frechet import Features, frechet_distance
from walt.evaluation.motion import BANDS, FLOOR, Motion
from walt.media.images import Clip

MOTION = Motion()


def features(clips: tuple[Clip, ...]) -> Features:
    return np.stack([features_of(MOTION, pixels([clip])[0]).double().numpy() for clip in clips])


def flickering(pattern: torch.Tensor, frames: int = 6) -> torch.Tensor:
    """A clip (1, 3, frames, H, W) that shows a pattern (H, W) in every second frame, and grey between."""
    shown = (torch.arange(frames) % 2).float()
    return (shown[:, None, None] * pattern).expand(1, 3, -1, -1, -1)


@pytest.mark.parametrize("band", range(BANDS))
def test_a_pattern_that_flickers_is_in_its_band(band: int) -> None:
    """Stripes of 1, 2, 4 and 8 pixels, and of half a height: their root mean square is that of the difference."""
    rows = (torch.arange(32) // 2**band) % 2
    found = Motion()(flickering((rows - 0.5)[:, None].expand(32, 48)))[0]
    expected = torch.full((BANDS,), log(FLOOR))
    expected[band] = log(0.5 + FLOOR)
    torch.testing.assert_close(found, expected)


def test_the_bands_together_have_all_of_the_difference() -> None:
    """Each band is orthogonal to what is left."""
    clip = torch.rand(1, 3, 2, 24, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
    strengths = Motion()(clip)[0].exp() - FLOOR
    whole = clip.diff(dim=2).square().mean().sqrt()
    assert sqrt(float(strengths.square().sum())) == pytest.approx(float(whole), rel=1e-4)


def test_its_features_are_always_the_same() -> None:
    """Those of a clip in closed form, of odd sides: another measure needs another name."""
    assert Motion()(waves())[0].tolist() == pytest.approx([-0.09899, -0.47123, -1.03399, -1.58755], abs=2e-5)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 4, 7), (5, 33, 17), (3, 1, 1)])
def test_any_form_is_taken_and_what_stands_still_has_no_motion(shape: tuple[int, int, int]) -> None:
    frames, height, width = shape
    still = torch.rand(2, 3, 1, height, width).expand(-1, -1, frames, -1, -1)
    torch.testing.assert_close(Motion()(still), torch.full((2, BANDS), log(FLOOR)))
    assert Motion()(torch.rand(2, 3, *shape)).isfinite().all()


def test_at_odd_sides_a_plain_change_has_no_details() -> None:
    """It is all in the last band: the ends' averages are of the pixels that there are."""
    found = Motion()(flickering(torch.full((13, 7), 0.5)))[0]
    expected = torch.full((BANDS,), log(FLOOR))
    expected[-1] = log(0.5 + FLOOR)
    torch.testing.assert_close(found, expected)


SPOILED = {
    "still": lambda clip, rng: np.repeat(clip[:1], len(clip), axis=0),
    "twice as fast": lambda clip, rng: clip[np.arange(len(clip)) * 2 % len(clip)],
    "every frame twice": lambda clip, rng: clip[np.arange(len(clip)) // 2],
    "shuffled frames": lambda clip, rng: clip[rng.permutation(len(clip))],
    "noise in time": noisy,
    "flicker": lambda clip, rng: np.where(np.arange(len(clip))[:, None, None, None] % 2, clip, clip // 2 + 40),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILED)
def test_what_spoils_motion_is_seen(name: str) -> None:
    rng, real = np.random.default_rng(0), features(shapes(96, 0))
    before = np.array([frechet_distance(real, features(shapes(48, seed))) for seed in (1, 2, 3, 4)])
    spoiled = tuple(SPOILED[name](clip, rng).astype(np.uint8) for clip in shapes(48, 1))
    assert frechet_distance(real, features(spoiled)) - before[0] > 5 * before.std(ddof=1)


def test_other_pictures_with_the_same_motion_are_not_seen() -> None:
    """Colours that change places, mirrored pictures, and clips that run backwards move as much."""
    real = features(shapes(48, 0))
    for other in (
        (..., slice(None, None, -1)),
        (slice(None), slice(None), slice(None, None, -1)),
        slice(None, None, -1),
    ):
        made = features(tuple(np.ascontiguousarray(clip[other]) for clip in shapes(48, 0)))
        np.testing.assert_allclose(made, real, atol=1e-5)


def test_its_digest_is_always_the_same() -> None:
    """Another digest is another measure: it needs another name."""
    assert MOTION.digest == "87d1afac2d8939fb25d52a14d209fccf209ab447e4b645024840269b4b073407"
