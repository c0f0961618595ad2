"""Measures and verdicts: what just passes and what just does not, and that order means nothing."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.media import Frames, counter
from tests.support.screening import SCREEN_OFF as OFF
from walt.data.shapes import draw, scenes
from walt.ingest.clip_cache import ClipEntry, SourceEntry
from walt.ingest.clip_filters import taken_of_stored
from walt.ingest.config import ScreenConfig
from walt.ingest.measures import Measures, measure
from walt.ingest.screen_clips import ClipRefusal, Refusals, Screening, check_clip, clip_reject_rows, screened
from walt.media.shots import content_values, thumbnails
from walt.media.video import SourceFacts
from walt.project.recipes import recipe_data

FACTS = SourceFacts(90, 160, 25.0, 4.0)


def measured(frames: Frames) -> Measures:
    thumbs = thumbnails(frames)
    return measure(thumbs, content_values(thumbs))


def clip(measures: Measures, key: str = "00") -> ClipEntry:
    stored = dict.fromkeys(taken_of_stored())  # None: they mean nothing for a clip that is not stored
    return ClipEntry(key, "video", 0.0, len(measures.brightness), (), measures, stored)


def greys(*levels: int) -> Frames:
    """Flat frames of these grey levels."""
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 64, 64, 3)).copy()


@pytest.mark.parametrize(
    ("levels", "setting", "code"),
    [
        ((100, 104, 108, 112, 116), {"min_motion": 4.0}, None),
        ((100, 104, 108, 112, 115), {"min_motion": 4.0}, "no_motion"),
        ((100, 104, 108, 112, 115), {"min_motion": 3.7}, None),
        ((24, 60, 90, 60, 23), {"max_black": 0.2}, None),  # one frame of five is below 24
        ((23, 60, 90, 60, 23), {"max_black": 0.2}, "black"),
        ((23, 60, 90, 60, 23), {"max_black": 0.2, "black_level": 23.0}, None),
        ((50, 50, 90, 90, 60), {"max_frozen": 0.5}, None),  # two pairs of four
        ((50, 50, 90, 90, 90), {"max_frozen": 0.5}, "frozen"),
        ((50, 51, 90, 90, 91), {"max_frozen": 0.5}, None),
        ((50, 51, 90, 90, 91), {"max_frozen": 0.5, "frozen_level": 1.0}, "frozen"),
        ((20, 20, 20, 46, 46), {"cuts": "refuse"}, None),  # 26 is below 27
        ((20, 20, 20, 47, 47), {"cuts": "refuse"}, "shot_cut"),
        ((20, 20, 20, 47, 47), {"cuts": "split"}, "shot_cut"),
        ((20, 20, 20, 47, 47), {"cuts": "ignore"}, None),
        ((20, 20, 20, 47, 47), {"cuts": "refuse", "cut_score": 28.0}, None),
        ((0, 90, 180, 90, 0), {"cuts": "refuse"}, None),  # everything changes all the time: motion
        ((0, 90, 180, 90, 0), {"cuts": "refuse", "cut_ratio": 1.0}, "shot_cut"),
    ],
)
def test_each_rule_has_its_threshold(levels: tuple[int, ...], setting: dict[str, Any], code: str | None) -> None:
    refusal = check_clip(clip(measured(greys(*levels))), ScreenConfig(**{**OFF, **setting}))
    assert (refusal.code if refusal else None) == code


def test_an_image_is_only_checked_for_black() -> None:
    strict = ScreenConfig(**{**OFF, "cuts": "refuse", "min_motion": 9.0, "max_black": 0.0, "max_frozen": 0.0})
    assert check_clip(clip(measured(greys(90))), strict) is None
    black = check_clip(clip(measured(greys(5))), strict)
    assert black is not None
    assert black.code == "black"
    measures = measured(greys(5))
    assert (measures.cut_score, measures.motion, measures.frozen(0.0), len(measures.phash)) == (None, None, None, 16)


def test_a_logo_does_not_make_a_black_frame_bright_but_a_lamp_does() -> None:
    frame = greys(0)
    frame[0, :8, :8] = 255  # 1.6 % of the pixels
    assert measured(frame).black(24) == 1.0
    frame[0, :10, :10] = 255  # 2.4 %
    assert measured(frame).black(24) == 0.0


def test_thumbnails_are_small_and_average() -> None:
    stripes = np.zeros((2, 64, 96, 3), np.uint8)
    stripes[:, ::2] = 200
    assert thumbnails(stripes).shape == (2, 32, 48, 3)
    assert (thumbnails(stripes) == 100).all()
    assert thumbnails(counter(3, 40, 60)).shape == (3, 40, 60, 3)
    assert thumbnails(counter(3, 256, 448)).shape == (3, 32, 56, 3)


def test_measures_survive_the_cache() -> None:
    measures = measured(np.random.default_rng(0).integers(0, 255, (5, 40, 40, 3)).astype(np.uint8))
    assert Measures.from_json(json.loads(json.dumps(asdict(measures)))) == measures
    assert len(measures.phash) == 48


@pytest.mark.slow
def test_the_demo_refuses_none_of_its_shapes() -> None:
    """Each colour, shape, direction and background, checked with the demo's thresholds."""
    config = recipe_data("demo")["ingest"]["screen"]
    rng = np.random.default_rng(0)
    sources = [
        SourceEntry(f"{number:064x}", (clip(measured(draw(scene, 64, 17, rng)), key=f"{number:02x}"),), FACTS)
        for number, scene in enumerate(islice(scenes(seed=0), 72))
    ]
    assert refusals(sources, **config) == {}


# ---------------------------------------------------------------------------------------- all clips of all sources


def entry(number: int, prints: list[tuple[int, int]], height: int) -> SourceEntry:
    """A source whose clips have these hashes and grey levels."""
    clips = tuple(
        clip(
            Measures((0.0,), (5.0,), (99.0,) * 2, (f"{value:016x}",) * 3, ((grey, grey, grey),) * 3),
            key=f"{number:02x}{place:02x}",
        )
        for place, (value, grey) in enumerate(prints)
    )
    return SourceEntry(f"{number:064x}", clips, SourceFacts(height, height, 8.0, 1.0))


entries = st.lists(
    st.tuples(st.lists(st.tuples(st.sampled_from([0, 1, 3, 7, 255]), st.sampled_from([10, 90])), max_size=4),
              st.sampled_from([90, 180])),
    min_size=1, max_size=8,
).map(lambda sources: [entry(number, *source) for number, source in enumerate(sources)])  # fmt: skip


def refusals(sources: list[SourceEntry], **setting: Any) -> Refusals:
    screening = Screening(ScreenConfig(**{**OFF, "duplicate_bits": 1, **setting}))
    for source in sources:
        screening.add(source)
    return screening.refusals()


@pytest.mark.slow
@given(entries, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_order_does_not_matter_and_a_second_look_finds_nothing(sources: list[SourceEntry], seed: int) -> None:
    found = refusals(sources)
    shuffled = random.Random(seed).sample(sources, len(sources))
    assert refusals(shuffled) == found
    left = [screened(source, found) for source in sources]
    assert refusals(left) == {}, "no two that stay are near"
    kept = {clip.key: source.num_pixels for source in left for clip in source.clips}
    for source in sources:
        for key, refusal in found.get(source.sha256, {}).items():
            assert key not in kept
            assert (-kept[str(refusal.duplicate_of)], str(refusal.duplicate_of)) < (-source.num_pixels, key)
    assert len(kept) + sum(map(len, found.values())) == sum(len(source.clips) for source in sources)


def test_the_larger_picture_is_kept_then_the_smaller_key() -> None:
    small, large, same = entry(1, [(7, 90)], 90), entry(3, [(7, 90)], 180), entry(2, [(7, 90)], 180)
    found = refusals([small, large, same])
    assert {key: refusal.duplicate_of for of in found.values() for key, refusal in of.items()} == {
        "0100": "0200", "0300": "0200",
    }  # fmt: skip


def test_colours_separate_pictures_with_equal_hashes() -> None:
    sources = [entry(1, [(7, 90)], 90), entry(2, [(7, 107)], 90)]
    assert refusals(sources, duplicate_colour=16.9) == {}
    assert set(refusals(sources, duplicate_colour=17.0)) == {sources[1].sha256}


def test_a_source_without_clips_has_the_code_of_most() -> None:
    source = entry(1, [(0, 9), (1, 9), (2, 9)], 90)
    refused = {
        source.sha256: {
            "0100": ClipRefusal("black", "dark"), "0101": ClipRefusal("frozen", "still"),
            "0102": ClipRefusal("frozen", "too"),
        }
    }  # fmt: skip
    left = screened(source, refused)
    assert (left.clips, left.code) == ((), "frozen")
    assert left.cause == "all of its 3 clips were refused: 1 black, 2 frozen"
    rows = clip_reject_rows(source, refused, "a\udcff.mp4", ScreenConfig(**OFF))
    assert [(row.key, row.source, row.code) for row in rows] == [
        ("0100", "a\\xff.mp4", "black"), ("0101", "a\\xff.mp4", "frozen"), ("0102", "a\\xff.mp4", "frozen"),
    ]  # fmt: skip
    del refused[source.sha256]["0101"]
    assert [clip.key for clip in screened(source, refused).clips] == ["0101"]
    assert screened(source, {}) is source
