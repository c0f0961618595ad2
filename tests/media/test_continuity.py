"""Time that begins again inside a file, and damage that decoders conceal."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.media import LIMITS, counter, ffmpeg, moving, read_counter, write_video
from walt.media import video
from walt.media.images import Limits, SourceError
from walt.media.mp4 import REPRODUCIBLE
from walt.media.video import SourceClip, iterate_frames, read_clips

SIZE = (32, 32)
KEYS = {"crf": "10", "x264-params": f"{REPRODUCIBLE}:keyint=24:min-keyint=24:scenecut=0:bframes=0"}


def read(path: Path, max_clips: int = 9) -> list[SourceClip]:
    return read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=max_clips, limits=LIMITS)


def transport(folder: Path, name: str, first: int, begin: float) -> bytes:
    """A transport stream of 25 frames of ``counter`` from ``first`` on, 24 a second; its clock begins at ``begin``."""
    path = write_video(folder / f"{name}.mp4", counter(50)[first : first + 25], pixel_format="yuv420p")
    ffmpeg("-i", path, "-c", "copy", "-output_ts_offset", str(begin), folder / f"{name}.ts")
    return (folder / f"{name}.ts").read_bytes()


@pytest.mark.parametrize("begins", [(0, 0), (5000, 0), (0, 5000), (0, 0.5)])
def test_a_joined_transport_stream_lasts_as_long_as_its_parts(tmp_path: Path, begins: tuple[float, float]) -> None:
    parts = [transport(tmp_path, f"{number}", 25 * number, begin) for number, begin in enumerate(begins)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    clips = read(path)
    assert [read_counter(clip.frames[SIZE]) for clip in clips] == [[0, 3, 6, 9, 12], [25, 28, 31, 34, 37]]
    assert [clip.start_seconds for clip in clips] == pytest.approx([0, 25 / 24], abs=0.002)
    assert [clip.part for clip in clips] == [0, 1]
    assert clips[0].facts.seconds == pytest.approx(50 / 24, abs=0.1)
    assert len(read(path, max_clips=1)) == 1
    assert len([*iterate_frames(path, fps=24, fit=lambda size: size, limits=LIMITS)]) == 50


def recording(folder: Path, name: str, first: int, options: dict[str, str]) -> bytes:
    """An FLV file of 25 frames of ``counter`` from ``first`` on, 25 a second, without its header."""
    frames = counter(50)[first : first + 25]
    path = write_video(folder / f"{name}.flv", frames, fps=25, pixel_format="yuv420p", options=options)
    return path.read_bytes()[9 + 4 :]  # the header, and the size of the tag before the first


@pytest.mark.parametrize("bframes", [0, 2])
def test_an_flv_whose_recorder_began_again_lasts_as_long_as_its_parts(tmp_path: Path, bframes: int) -> None:
    """Its times begin at 0 again; it has one header."""
    options = {"crf": "1", "x264-params": f"{REPRODUCIBLE}:bframes={bframes}"}
    parts = [recording(tmp_path, f"{number}", 25 * number, options) for number in range(2)]
    path = tmp_path / "joined.flv"
    path.write_bytes((tmp_path / "0.flv").read_bytes() + parts[1])
    clips = read(path)
    assert [read_counter(clip.frames[SIZE]) for clip in clips] == [[0, 3, 6, 9, 12], [25, 28, 31, 34, 37]]
    assert [clip.part for clip in clips] == [0, 1]
    assert [clip.start_seconds for clip in clips] == pytest.approx([0, 1], abs=0.002)


def test_a_pause_in_an_flv_is_on_its_clock(tmp_path: Path) -> None:
    """A step ahead is not a join: the recorder waited."""
    times = [Fraction(number, 25) + 30 * (number >= 25) for number in range(50)]
    options = {"crf": "1", "x264-params": f"{REPRODUCIBLE}:keyint=25:bframes=0"}
    path = write_video(
        tmp_path / "a.flv", counter(50), fps=25, times=times, pixel_format="yuv420p", options=options,
    )  # fmt: skip
    clips = read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, starts=[31.0])
    assert [read_counter(clip.frames[SIZE]) for clip in clips] == [[25, 28, 31, 34, 37]]


def lossy(folder: Path, suffix: str) -> Path:
    """Four seconds, a key frame in each, from which some of the second one's packets are missing."""
    frames = np.tile(moving(64, 24), (4, 1, 1, 1))
    whole = write_video(folder / "whole.mp4", frames, pixel_format="yuv420p", options=KEYS)
    path = folder / f"lossy.{suffix}"
    if suffix == "ts":
        ffmpeg("-i", whole, "-c", "copy", folder / "whole.ts")
        data, place = (folder / "whole.ts").read_bytes(), 0
        with av.open(str(folder / "whole.ts")) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            place = (packets[30].pos or 0) // 188 + 1
        path.write_bytes(data[: place * 188] + data[(place + 4) * 188 :])
        return path
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if not 30 <= number <= 33:
                packet.stream = stream
                target.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_clips_that_damage_touches_are_left_out(tmp_path: Path, suffix: str) -> None:
    path = lossy(tmp_path, suffix)
    clips = read(path)
    assert [clip.start_seconds for clip in clips] == [0.0, 0.625, 2.5, 3.125]  # from 1.25 s to the key frame at 2 s
    whole = {clip.start_seconds: clip.frames[SIZE] for clip in read(tmp_path / "whole.mp4")}
    assert all(np.array_equal(clip.frames[SIZE], whole[clip.start_seconds]) for clip in clips)
    with pytest.raises(SourceError) as caught:
        read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, starts=[1.3])
    assert caught.value.code == "damaged"


def test_gaps_in_a_variable_rate_are_not_damage(tmp_path: Path) -> None:
    times = [Fraction(number + 3 * (number // 5), 24) for number in range(48)]
    write_video(tmp_path / "a.mkv", counter(48), times=times)
    assert len(read(tmp_path / "a.mkv")) == 5


def test_a_gap_before_a_variable_rate_keeps_the_same_clips_however_the_file_is_read(tmp_path: Path) -> None:
    """Over the whole file its rate is not constant, so the gap is not damage; up to the last wanted frame it is."""
    constant = [40 * number for number in range(100)]
    times = constant[:30] + [at + 80 for at in constant[30:]]
    for number in range(60):
        times.append(times[-1] + (90 if number % 2 else 60))
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"g": "25"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 250, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            for packet in stream.encode(frame):
                packet.duration = 40
                target.mux(packet)
        for packet in stream.encode(None):
            packet.duration = 40
            target.mux(packet)

    def from_the_start(path: str | Path, moments: video.Moments, fit: video.Fit, limits: Limits) -> video.Reading:
        with open(path, "rb") as whole:
            return video._read_all(whole, moments, fit, limits)

    starts = [
        [clip.start_seconds for clip in read_clips(
            path, num_frames=8, fps=8.0, sizes=[SIZE], max_clips=3, limits=LIMITS, read=reader
        )]
        for reader in (None, from_the_start)
    ]  # fmt: skip
    assert starts[0] == starts[1] == [0.0, 2.0]
