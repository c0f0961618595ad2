"""Files whose clock stands still, which FFmpeg shows as one picture; and AVI files whose last frame stays."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support.media import LIMITS, counter, ffmpeg, read_counter, write_video
from walt.media.images import SourceError
from walt.media.video import iterate_frames, read_clips

SIZE = (32, 32)


def clips(path: Path) -> list[list[int]]:
    found = read_clips(path, num_frames=4, fps=8, sizes=[SIZE], max_clips=9, limits=LIMITS, accept_still=True)
    return [read_counter(clip.frames[SIZE]) for clip in found]


def with_steps(path: Path, source: Path, ticks: int) -> Path:
    """An MP4 in which each frame is decoded so many ticks after the one before (its ``stts``)."""
    data = bytearray(source.read_bytes())
    at = data.index(b"stts") + 8
    for number in range(struct.unpack_from(">I", data, at)[0]):
        struct.pack_into(">I", data, at + 8 + 8 * number, ticks)
    path.write_bytes(data)
    return path


def without_times(path: Path, source: Path) -> Path:
    """An FLV whose tags of pictures all have the time 0."""
    data, at = bytearray(source.read_bytes()), 13
    while at < len(data):
        if data[at] == 9:
            data[at + 4 : at + 8] = bytes(4)
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("ticks", [0, 1])
def test_an_mp4_in_which_no_time_passes_is_refused(tmp_path: Path, ticks: int, b_frames: int) -> None:
    options = {"crf": "1", "x264-params": f"threads=1:keyint=8:scenecut=0:bframes={b_frames}"}
    good = write_video(tmp_path / "good.mp4", counter(16), fps=8, options=options)
    still = with_steps(tmp_path / "still.mp4", good, ticks)
    assert clips(good) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    with pytest.raises(SourceError, match=r"its 16 frames.*the rate that is meant") as refused:
        clips(still)
    assert refused.value.code == "no_timestamps"
    with pytest.raises(SourceError, match="its 16 frames"):
        list(iterate_frames(still, fps=8, fit=lambda size: size, limits=LIMITS))


def test_an_flv_without_times_is_refused(tmp_path: Path) -> None:
    options = {"crf": "1", "x264-params": "threads=1:keyint=8:scenecut=0:bframes=0"}
    good = write_video(tmp_path / "good.mp4", counter(16), fps=8, options=options)
    ffmpeg("-i", good, "-c", "copy", tmp_path / "good.flv")
    assert len(clips(tmp_path / "good.flv")) == 4
    with pytest.raises(SourceError, match="all of its 16 frames"):
        clips(without_times(tmp_path / "still.flv", tmp_path / "good.flv"))


def test_an_flv_at_a_low_rate_is_whole(tmp_path: Path) -> None:
    """Its last packet does not say how long it lasts."""
    good = write_video(tmp_path / "good.mp4", counter(6), fps=3)
    ffmpeg("-i", good, "-c:v", "flv1", "-q:v", "1", "-bf", "0", tmp_path / "good.flv")
    assert clips(tmp_path / "good.flv")[0] == clips(good)[0] == [0, 0, 0, 1]


def test_a_single_picture_has_no_clock(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.mp4", counter(1))
    assert clips(with_steps(tmp_path / "still.mp4", one, 0)) == [[0]]


def test_an_avi_whose_last_frame_stays_is_whole(tmp_path: Path) -> None:
    """A stream that was copied from an MP4 has many empty chunks between its frames and behind the last one."""
    options = {"crf": "1", "x264-params": "threads=1:keyint=8:scenecut=0:bframes=0"}
    good = write_video(tmp_path / "good.mp4", counter(24), fps=8, options=options)
    ffmpeg("-i", good, "-c", "copy", tmp_path / "good.avi")
    assert clips(tmp_path / "good.avi") == clips(good)
    data = (tmp_path / "good.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: (data.index(b"movi") + data.index(b"idx1")) // 2])
    with pytest.raises(SourceError) as refused:
        clips(tmp_path / "cut.avi")
    assert refused.value.code == "truncated"
