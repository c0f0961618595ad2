"""H.264 whose pictures are coded as two fields, a packet for each."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.field_pictures import field_pictures
from tests.support.media import LIMITS, ffmpeg
from walt.media.h264_fields import FieldPairs
from walt.media.video import read_clips

LEVELS = [16 + 7 * number for number in range(30)]


def muxed(folder: Path, stream: bytes, suffix: str) -> Path:
    raw, path = folder / "raw.264", folder / f"a.{suffix}"
    raw.write_bytes(stream)
    ffmpeg("-r", "50", "-i", raw, "-c", "copy", path)
    return path


def levels(path: Path) -> list[float]:
    """Luma of each picture, 25 a second."""
    clips = read_clips(path, num_frames=3, fps=25, sizes=[(32, 32)], max_clips=10, limits=LIMITS)
    return [16 + float(picture.mean()) * 219 / 255 for clip in clips for picture in clip.frames[32, 32]]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_a_packet_for_each_field_is_no_loss(tmp_path: Path, suffix: str) -> None:
    path = muxed(tmp_path, field_pictures(LEVELS), suffix)
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 2 * len(LEVELS)
    assert levels(path) == pytest.approx(LEVELS, abs=1)


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_second_fields_are_told_from_first_ones_and_frames(tmp_path: Path, suffix: str, high: bool) -> None:
    frames = frozenset({0, 3, 4, 9})
    path = muxed(tmp_path, field_pictures(LEVELS, frames, high=high), suffix)
    expected = [second for number in range(len(LEVELS)) for second in ((False,) if number in frames else (False, True))]
    with av.open(str(path)) as container:
        pairs = FieldPairs(container.streams.video[0].codec_context.extradata or b"")
        assert [pairs.is_second(bytes(packet)) for packet in container.demux(video=0) if packet.size] == expected


def test_fields_whose_partners_are_lost_are_no_pairs(tmp_path: Path) -> None:
    path = muxed(tmp_path, field_pictures(LEVELS[:5]), "mkv")
    with av.open(str(path)) as container:
        pairs = FieldPairs(container.streams.video[0].codec_context.extradata or b"")
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    left = [0, 1, 2, 4, 5, 7, 8, 9]
    assert [number for number in left if pairs.is_second(packets[number])] == [1, 5, 9]


@pytest.mark.parametrize("data", [b"", b"\0\0\1", b"\0\0\1\x65", b"\0\0\0\1\x67\x4d\0", bytes(range(64))])
def test_damaged_packets_are_no_second_fields(data: bytes) -> None:
    for extradata in (b"", b"\1\x4d\0\x1e\xff\xe1\0\x09\x67", data):
        assert not FieldPairs(extradata).is_second(data)
