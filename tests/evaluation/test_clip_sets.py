"""The two sets that are compared: in one form, in one order, and known by a digest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_clips import SIZES, write_clips
from walt.core.errors import CorruptArtifactError
from walt.data.clip_pixels import decode_members
from walt.data.shards import Sample
from walt.evaluation.clip_sets import kept_videos, measure_clips, real_clips
from walt.evaluation.frechet import frechet_distance
from walt.evaluation.motion import Motion
from walt.evaluation.random_network import RandomNetwork
from walt.media.images import Clip
from walt.media.lossless import encode_lossless
from walt.media.mp4 import decode_clip
from walt.media.playable import write_playable

EXTRACTOR = RandomNetwork()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = tmp_path_factory.mktemp("clips")
    write_clips(clips)
    return clips


def read(path: Path) -> Clip:
    return decode_clip(path.read_bytes())


@pytest.mark.slow
def test_a_set_is_at_no_distance_from_itself_through_the_writer(folder: Path, tmp_path: Path) -> None:
    """Real clips, written as samples are: what is measured of them is the same to the bit."""
    real = list(real_clips(folder, SIZES[1], 5))
    assert len(real) > 2
    made = []
    for number, clip in enumerate(real):
        (tmp_path / f"{number}.mp4").write_bytes(encode_lossless(clip(), 8.0))
        made.append(partial(read, tmp_path / f"{number}.mp4"))
    of_real, of_made = measure_clips(real, EXTRACTOR), measure_clips(made, EXTRACTOR)
    assert np.array_equal(of_real[0], of_made[0])
    assert of_real[1] == of_made[1]
    assert frechet_distance(of_real[0], of_made[0]) == 0.0
    # through the form for players it is not
    for number, clip in enumerate(real):
        write_playable(tmp_path / f"{number}.mp4", clip(), 8.0, {})
    assert frechet_distance(of_real[0], measure_clips(made, EXTRACTOR)[0]) > 0.0


def test_a_clip_that_several_networks_see_is_decoded_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Sample] = []

    def noted(members: Sample) -> Clip:
        decoded.append(members)
        return decode_members(members)

    monkeypatch.setattr("walt.data.clip_dataset.decode_members", noted)
    real = list(real_clips(folder, SIZES[1], 5))
    for extractor in (EXTRACTOR, Motion()):
        measure_clips(real, extractor)
    assert len(decoded) == len(real) > 2
    (tmp_path / "0.mp4").write_bytes(encode_lossless(real[0](), 8.0))
    kept = kept_videos()
    assert np.array_equal(kept(tmp_path / "0.mp4"), read(tmp_path / "0.mp4"))
    assert kept(tmp_path / "0.mp4") is kept(tmp_path / "0.mp4")


def test_held_out_clips_come_first(folder: Path) -> None:
    splits = [clip.split for clip in real_clips(folder, SIZES[0], 5)]
    assert splits == sorted(splits)
    assert splits[0] == "held_out"
    assert splits[-1] == "train"


def test_an_order_is_that_of_each_split(folder: Path) -> None:
    as_stored = [clip.key for clip in real_clips(folder, SIZES[0], 5)]
    turned = [clip.key for clip in real_clips(folder, SIZES[0], 5, order=lambda keys: keys[::-1])]
    assert as_stored == ["v3", "v0", "v1", "v2", "v4"]
    assert turned == ["v3", "v4", "v2", "v1", "v0"]


def test_another_pixel_is_another_digest(folder: Path) -> None:
    clips = [clip() for clip in real_clips(folder, SIZES[0], 5)]

    def digest(of: list[Clip]) -> str:
        return measure_clips([partial(np.copy, clip) for clip in of], EXTRACTOR)[1]

    other = clips[0].copy()
    other[0, 0, 0, 0] ^= 1
    assert digest(clips) == digest(list(clips))
    assert len({digest(clips), digest([other, *clips[1:]]), digest(clips[1:]), digest(clips[::-1])}) == 4


def test_a_clip_of_another_length_is_damage(folder: Path) -> None:
    first = next(real_clips(folder, SIZES[0], 5))
    for expected in (4, 9):
        with pytest.raises(CorruptArtifactError, match=f"5 frames, expected {expected}"):
            type(first)(first.clips, first.key, expected)()


def test_given_frames_are_not_seen_but_are_in_the_digest(folder: Path) -> None:
    clips = list(real_clips(folder, SIZES[0], 5))

    def rest(clip: Clip) -> Clip:
        return clip[2:]

    features, digest = measure_clips(clips, EXTRACTOR, given_frames=2)
    assert np.array_equal(features, measure_clips([partial(rest, clip()) for clip in clips], EXTRACTOR)[0])
    assert digest == measure_clips(clips, EXTRACTOR)[1]
