"""Cutting a file, or spans of it, into clips by the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.ingest_project import SETTINGS
from tests.support.media import counter, moving, read_counter, write_video
from tests.support.settings import changed, recipe
from walt.ingest.clip_rule import ClipRule, CutClip, cut, readers
from walt.ingest.sources.items import Span
from walt.media import together as together_module
from walt.media import video
from walt.media.containers import open_video
from walt.media.images import SourceError
from walt.media.skipping import Unfit
from walt.media.video import Reader, read_pictures


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
    ("codec", "suffix"),
    [("libvpx-vp9", "webm"), ("libx264", "mp4"), ("libx264", "mkv"), ("libsvtav1", "mp4"), ("mpeg4", "avi")],
)
def test_a_span_gives_the_same_clips_as_decoding_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, suffix: str, cuts: str
) -> None:
    options = {
        "libvpx-vp9": {"g": "16", "crf": "30", "b": "0", "cpu-used": "8"}, "libx264": {"g": "16"},
        "libsvtav1": {"g": "16", "crf": "40", "preset": "10", "svtav1-params": "lp=1"}, "mpeg4": {"g": "16", "q": "4"},
    }  # fmt: skip
    frames = np.concatenate([moving(64, 40), moving(64, 40)[:, ::-1]])
    path = write_video(tmp_path / f"a.{suffix}", frames, codec=codec, pixel_format="yuv420p", options=options[codec])
    spans = ((0.0, 0.7), (1.25, 3.1), (2.4, 3.32))
    screen = SETTINGS["screen"] | {"cuts": cuts}

    def all_clips(*read: Reader) -> list[CutClip]:
        return [clip for span in spans for clip in cut(rule(screen=screen), path, "video", span, *read)[1]]

    found = all_clips()
    ((count, together),) = readers(rule(screen=screen), path, spans)
    assert count == len(spans)
    assert len(found) >= 4

    def refuse(*_: Any) -> Any:
        raise Unfit("decode all")

    monkeypatch.setattr(video, "_read_few", refuse)
    plain = all_clips()
    same(found, plain)
    monkeypatch.setattr(together_module, "read_pictures", refuse)
    same(all_clips(together), plain)


def same(found: list[CutClip], plain: list[CutClip]) -> None:
    assert [clip.start_seconds for clip in found] == [clip.start_seconds for clip in plain]
    for clip, other in zip(found, plain, strict=True):
        assert clip.measures == other.measures
        assert all(np.array_equal(clip.frames[size], other.frames[size]) for size in other.frames)


def test_inputs_share_a_decoding_as_far_as_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", counter(48))
    monkeypatch.setattr("walt.ingest.clip_rule._MOST_BYTES", 3 * (32 * 32 + 16 * 24) * 17)
    spans = [(0.0, 1.3), (0.2, 0.9), (1.0, 1.7), None, (0.0, 0.7), (0.0, 0.1)]
    found = list(readers(rule(), path, spans))
    assert [count for count, _ in found] == [2, 1, 1, 2], "20 frames would be too many"
    assert [reader is read_pictures for _, reader in found] == [False, True, True, False]


def test_an_error_that_only_one_span_meets_refuses_only_that_one(tmp_path: Path) -> None:
    """Spans that are too short, too long or after the end, and damage in the middle."""
    options = {"g": "16", "crf": "20", "b": "0", "cpu-used": "8"}
    path = write_video(tmp_path / "a.webm", moving(64, 48), codec="libvpx-vp9", pixel_format="yuv420p", options=options)
    with open_video(open(path, "rb")) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    damaged = packets[20][:1] + bytes(len(packets[20]) - 1)
    (tmp_path / "b.webm").write_bytes(path.read_bytes().replace(packets[20], damaged))
    spans = [(0.0, 0.7), (0.0, 0.5), (7.0, 8.0), (0.0, 70.0), (0.5, 1.2), (1.34, 2.0)]
    for video_path, refused in ((path, None), (tmp_path / "b.webm", "damaged")):
        found = []
        for reader in (read_pictures, *(reader for _, reader in readers(rule(), video_path, spans))):
            outcomes: list[str | list[float]] = []
            for span in spans:
                try:
                    outcomes.append([clip.start_seconds for clip in cut(rule(), video_path, "video", span, reader)[1]])
                except SourceError as error:
                    outcomes.append(str(error))
            found.append(outcomes)
        assert found[0] == found[1]
        kinds = [outcome.split(":")[0] if isinstance(outcome, str) else outcome for outcome in found[0]]
        assert kinds == [[0.0], "too_short", "too_short", "too_long", refused or [0.5], [1.34]]


@pytest.mark.parametrize("span", [None, (0.0, 1.0)])
def test_a_picture_listed_as_a_video_is_a_video_of_one_frame_where_stills_do_not_belong(
    tmp_path: Path, span: Span | None
) -> None:
    path = tmp_path / "a.mp4"
    Image.new("RGB", (40, 40), (90, 90, 90)).save(path, "PNG")
    without = ClipRule.from_config(changed(recipe().ingest, **SETTINGS), stills=False)
    for settings in (without, rule()) if span else (without,):
        with pytest.raises(SourceError, match="1 frames at 8 per second, a clip has 5") as caught:
            cut(settings, path, "video", span)
        assert caught.value.code == "too_short"
    (clip,) = cut(rule(), path, "video")[1]
    assert clip.frames[32, 32].shape == (1, 32, 32, 3)
