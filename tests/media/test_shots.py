"""Cuts between shots, on real clips and at the ends of short ones."""

from __future__ import annotations

import numpy as np
import pytest
from scenedetect.detectors import AdaptiveDetector

from tests.support.media import LIMITS, Frames, shared_data
from walt.media.shots import WINDOW, content_values, cuts
from walt.media.video import read_clips

SCORE, RATIO = 27.0, 1.8


def frames_of(name: str, side: int = 32) -> Frames:
    """All frames of a real clip at 8 a second."""
    path = shared_data() / "clips" / name
    clips = read_clips(path, num_frames=1, fps=8, sizes=[(side, side)], max_clips=1000, limits=LIMITS)
    return np.concatenate([clip.frames[(side, side)] for clip in clips])


@pytest.mark.parametrize(
    ("name", "really"),
    [
        ("misc/bikes.mp4", {10, 25, 44, 60, 78}),  # found by looking at every frame
        ("misc/nasa_13013.mp4", {65}),  # and a dissolve from 41 to 47
        ("misc/example.mp4", set()),
        ("kinetics/cleaning pool/test.mp4", set()),  # a hand-held camera
        ("kinetics/abseiling/abseiling_k400.mp4", set()),
        ("captioned/videos/hiker.mp4", set()),
        ("ucf101/Basketball/v_Basketball_g01_c01.avi", set()),
        ("ucf101/Biking/v_Biking_g05_c02.avi", set()),  # the camera rides along: values up to 34
    ],
)
def test_every_cut_of_real_clips_is_found_and_little_else(name: str, really: set[int]) -> None:
    found = set(cuts(content_values(frames_of(name)), SCORE, RATIO))
    assert really <= found
    assert len(found - really) <= 1


@pytest.mark.parametrize("name", ["misc/bikes.mp4", "misc/nasa_13013.mp4"])
@pytest.mark.parametrize("ratio", [1.8, 3.0])
def test_away_from_the_ends_it_is_the_adaptive_detector(name: str, ratio: float) -> None:
    frames = frames_of(name)
    detector = AdaptiveDetector(adaptive_threshold=ratio, min_content_val=15.0, window_width=WINDOW, min_scene_len=0)
    theirs = {
        cut
        for index, frame in enumerate(frames)
        for cut in detector.process_frame(index, np.ascontiguousarray(frame[..., ::-1]))
    }
    middle = range(WINDOW + 1, len(frames) - WINDOW)
    assert theirs & {*middle} == {cut for cut in cuts(content_values(frames), 15.0, ratio) if cut in middle}
    assert theirs & {*middle}


def test_a_value_of_grey_pictures_is_what_the_brightness_changes_by() -> None:
    """Hue and saturation, which are 0, do not make a third of it; nor does what coding leaves of colour."""
    greys = np.array([10, 40, 40, 130], dtype=np.uint8)
    frames = np.broadcast_to(greys[:, None, None, None], (4, 8, 8, 3))
    assert content_values(frames) == pytest.approx([30.0, 0.0, 90.0])
    assert content_values(frames + np.array([0, 2, 1], np.uint8)) == pytest.approx([30.0, 0.0, 90.0])
    assert content_values(frames[:1]) == []


def test_a_pair_of_which_one_is_in_colour_has_pyscenedetects_value() -> None:
    grey, blue = np.full((8, 8, 3), 60, np.uint8), np.full((8, 8, 3), (60, 60, 110), np.uint8)
    saturation, hue = 255 * 50 / 110, 120  # OpenCV's: of 255, and half a degree
    assert content_values(np.stack([grey, blue])) == pytest.approx([(hue + saturation + 50) / 3], abs=0.5)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([40, 1, 1, 1, 1], [1]),  # the second frame already
        ([1, 1, 1, 1, 40], [5]),  # the last frame
        ([40], [1]),  # two frames, two shots
        ([26.9, 0, 0], []),
        ([27, 0, 0], [1]),
        ([40, 40, 40, 40], []),  # motion
        ([20, 20, 36, 20, 20], [3]),  # 1.8 times
        ([20, 20, 35, 20, 20], []),
        ([1, 1, 50, 50, 1, 1], [3, 4]),  # a flash: both its ends are not a place for a clip
        ([], []),
    ],
)
def test_a_cut_stands_out_from_its_neighbours(values: list[float], found: list[int]) -> None:
    assert cuts(values, SCORE, RATIO) == found
