"""Cutting a file, or spans of it, into clips by the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ingest_project import SETTINGS
from tests.support.media import counter, moving, read_counter, write_video
from tests.support.settings import changed, recipe
from walt.ingest.clip_rule import ClipRule, CutClip, cut
from walt.media import video
from walt.media.images import SourceError
from walt.media.skipping import Unfit


def rule(**changes: Any) -> ClipRule:
    return ClipRule.from_config(changed(recipe().ingest, **{**SETTINGS, **changes}), stills=True)


def test_the_limit_on_seconds_is_for_the_span_and_not_for_the_film_around_it(tmp_path: Path) -> None:
    path, short = write_video(tmp_path / "a.mkv", counter(48)), rule(max_seconds=1.0)
    (clip,) = cut(short, path, "video", (1.0, 1.8))[1]
    assert read_counter(clip.frames[32, 32]) == [24, 27, 30, 33, 36]
    for span, cause in ((None, "2 seconds, more than 1"), ((0.5, 1.7), "a span of 1.2 seconds, more than 1")):
        with pytest.raises(SourceError, match=cause) as caught:
            cut(short, path, "video", span)
        assert caught.value.code == "too_long"


@pytest.mark.parametrize("cuts", ["ignore", "split"])
@pytest.mark.parametrize(
    ("codec", "suffix"), [("libvpx-vp9", "webm"), ("libx264", "mp4"), ("libx264", "mkv"), ("libsvtav1", "mp4")]
)
def test_a_span_gives_the_same_clips_as_decoding_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, suffix: str, cuts: str
) -> None:
    options = {"libvpx-vp9": {"g": "16", "b": "0", "cpu-used": "8"}, "libx264": {"g": "16"}}
    options["libsvtav1"] = {"g": "16", "preset": "10", "svtav1-params": "lp=1"}
    frames = np.concatenate([moving(64, 40), moving(64, 40)[:, ::-1]])
    path = write_video(
        tmp_path / f"a.{suffix}", frames, codec=codec, pixel_format="yuv420p", options=options[codec] | {"crf": "30"}
    )
    spans = ((0.0, 0.7), (1.25, 3.1), (2.4, 3.32))
    screen = SETTINGS["screen"] | {"cuts": cuts}

    def all_clips() -> list[CutClip]:
        return [clip for span in spans for clip in cut(rule(screen=screen), path, "video", span)[1]]

    found = all_clips()
    assert len(found) >= 4

    def refuse(*_: Any) -> Any:
        raise Unfit("decode all")

    monkeypatch.setattr(video, "_read_few", refuse)
    plain = all_clips()
    assert [clip.start_seconds for clip in found] == [clip.start_seconds for clip in plain]
    for clip, other in zip(found, plain, strict=True):
        assert clip.measures == other.measures
        assert all(np.array_equal(clip.frames[size], other.frames[size]) for size in other.frames)
