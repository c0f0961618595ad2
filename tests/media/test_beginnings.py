"""Files whose first pictures need others from before the file: recordings that begin anywhere, cuts at open groups."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.media import LIMITS, counter, ffmpeg, read_counter, write_video
from walt.media.continuity import Continuity
from walt.media.images import SourceError
from walt.media.video import read_clips

SIZE = (32, 32)
PACKET = 188
GROUPS = {
    "libx264": ("-x264-params", "keyint=15:min-keyint=15:scenecut=0:open-gop=1:bframes=2:threads=1:repeat-headers=1"),
    "mpeg2video": ("-g", "15", "-bf", "2", "-q:v", "1"),
    "libx265": (
        "-x265-params",
        "keyint=15:min-keyint=15:scenecut=0:open-gop=1:bframes=4:b-adapt=0:pools=1:log-level=none",
    ),
}


def numbers(path: Path) -> tuple[float, list[int]]:
    """When its first clip starts, and the numbers of the frames of that clip, at the file's own rate."""
    clip = read_clips(path, num_frames=9, fps=24, sizes=[SIZE], max_clips=9, limits=LIMITS)[0]
    return clip.start_seconds, read_counter(clip.frames[SIZE])


def recorded(folder: Path, codec: str) -> Path:
    """40 frames of ``counter``, groups of 15, as a transport stream."""
    raw = write_video(folder / "raw.mkv", counter(40), codec="ffv1", pixel_format="bgr0")
    path = folder / "whole.ts"
    ffmpeg("-i", raw, "-c:v", codec, *GROUPS[codec], "-pix_fmt", "yuv420p", path)
    return path


@pytest.mark.parametrize("codec", [*GROUPS])
def test_a_recording_may_begin_inside_a_group(tmp_path: Path, codec: str) -> None:
    """Eleven of its packets come before what a decoder can begin with."""
    whole = recorded(tmp_path, codec)
    with av.open(str(whole)) as container:
        fifth = [packet.pos for packet in container.demux(video=0)][4]
    path = tmp_path / "cut.ts"
    path.write_bytes(whole.read_bytes()[fifth:])
    start, shown = numbers(path)
    assert shown == list(range(15, 24))
    assert 0.2 < start < 0.6


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_hevc_cut_at_an_open_group_begins_at_its_key_frame(tmp_path: Path, suffix: str) -> None:
    """The pictures that are coded after the key frame and shown before it are not decodable; in Matroska they have no
    times."""
    path = tmp_path / f"cut.{suffix}"
    ffmpeg("-ss", "0.7", "-i", recorded(tmp_path, "libx265"), "-c", "copy", path)
    assert numbers(path)[1] == list(range(30, 39))


def test_pictures_that_are_lost_later_still_count() -> None:
    """Frames that were shown before the first key frame, and packets after it, are not pictures that were left out."""

    class Packet:
        is_discard = is_corrupt = False
        duration = 1

        def __init__(self, pts: int | None, key: bool = False) -> None:
            self.pts = self.dts = pts
            self.is_keyframe = key

    class Frame:
        is_corrupt = key_frame = False
        duration = 1

        def __init__(self, pts: int) -> None:
            self.pts = pts

    followed = Continuity("mpegts", Fraction(1, 24))
    for packet in (Packet(1), Packet(2), Packet(5, key=True), Packet(3), Packet(4), Packet(6), Packet(7)):
        followed.follow(packet)  # type: ignore[arg-type]
    assert followed.before == 4
    for frame in (Frame(4), Frame(5), Frame(7)):
        followed.show(frame)  # type: ignore[arg-type]
    assert followed.before == 3


def test_a_file_without_a_key_frame_is_refused(tmp_path: Path) -> None:
    whole = recorded(tmp_path, "mpeg2video").read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(whole[-3 * PACKET :])
    with pytest.raises(SourceError):
        numbers(path)
