"""Bytes inside of a file that are zeros, noise or encrypted: no clip holds what a decoder made up in their place."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.media import LIMITS, ffmpeg, moving, write_video
from walt.media.images import SourceError
from walt.media.video import SourceClip, read_clips

SIZE = (64, 64)
RATE, FRAMES = 24, 60
CODERS = {
    "h264.mp4": ("-c:v", "libx264", "-x264-params", "keyint=20:min-keyint=20:scenecut=0:bframes=2:threads=1"),
    "hevc.mkv": ("-c:v", "libx265", "-x265-params", "keyint=20:min-keyint=20:scenecut=0:pools=1:log-level=none"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "2"),
    "wmv2.wmv": ("-c:v", "wmv2", "-g", "20", "-q:v", "2"),
}
RECOGNISED = ("h264.mp4", "mjpeg.avi", "wmv2.wmv")


def coded(folder: Path, name: str) -> Path:
    """60 frames of a texture that moves, in three groups."""
    raw = write_video(folder / "raw.mkv", moving(64, FRAMES), codec="ffv1", pixel_format="bgr0")
    ffmpeg("-i", raw, *CODERS[name], "-pix_fmt", "yuvj420p" if "mjpeg" in name else "yuv420p", folder / name)
    return folder / name


def clips(path: Path) -> list[SourceClip]:
    return read_clips(path, num_frames=2, fps=RATE, sizes=[SIZE], max_clips=FRAMES, limits=LIMITS)


@pytest.mark.parametrize("name", CODERS)
def test_clips_that_zeroed_packets_touch_are_left_out(tmp_path: Path, name: str) -> None:
    whole = coded(tmp_path, name)
    expected = {round(clip.start_seconds * RATE): clip.frames[SIZE] for clip in clips(whole)}
    with av.open(str(whole)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(whole.read_bytes())
    at, size = packets[25]
    begin = size // 3 if name in RECOGNISED else 0  # zeros inside of a packet HEVC decodes to noise, and says nothing
    data[at + begin : at + size] = bytes(size - begin)
    whole.write_bytes(data)
    left = {round(clip.start_seconds * RATE): clip.frames[SIZE] for clip in clips(whole)}
    assert 0 in left
    assert len(left) < len(expected)
    off = {number: np.abs(frames.astype(int) - expected[number]).mean() for number, frames in left.items()}
    assert max(off.values()) == 0, off
    assert name == "mjpeg.avi" or not any(24 < number < 38 for number in left)


def test_zeros_inside_a_transport_stream_are_passed_over(tmp_path: Path) -> None:
    """Recorders leave them; FFmpeg says "try again" where there are many."""
    ffmpeg("-i", coded(tmp_path, "h264.mp4"), "-c", "copy", tmp_path / "a.ts")
    part = (tmp_path / "a.ts").read_bytes()
    number = len(clips(tmp_path / "a.ts"))
    (tmp_path / "b.ts").write_bytes(part + bytes(1 << 20) + part + bytes(1 << 20))
    assert len(clips(tmp_path / "b.ts")) == 2 * number


def test_encrypted_pictures_are_refused(tmp_path: Path) -> None:
    """Some of them come out of the decoder, as noise."""
    key, path = "00112233445566778899aabbccddeeff", tmp_path / "e.mp4"
    encryption = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key)
    ffmpeg("-i", coded(tmp_path, "h264.mp4"), "-c", "copy", *encryption, path)
    with pytest.raises(SourceError, match="key") as refused:
        clips(path)
    assert refused.value.code == "encrypted"


def test_the_only_picture_that_comes_out_of_a_damaged_video_is_no_still(tmp_path: Path) -> None:
    path = coded(tmp_path, "h264.mp4")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in packets[1:]:
        data[at + 4 : at + size] = bytes(size - 4)
    path.write_bytes(data)
    with pytest.raises(SourceError):
        read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, accept_still=True)
