"""Leaving packets out of the decoding changes no wanted frame, and is tried only where that can be proved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.media import LIMITS, Frames, counter, ffmpeg, shared_data, write_video
from walt.media import video
from walt.media.containers import open_video
from walt.media.decoding import VideoReader
from walt.media.images import SourceError
from walt.media.skipping import Packet, Plan, Unfit, check, classifier, make_plan
from walt.media.video import SourceClip, _read_all, _read_few, read_clips

SIZE = (48, 64)
DENSE = [Fraction(number, 8) for number in range(68)]
SPARSE = [1 + Fraction(number, 8) for number in range(5)]
ENDS = [Fraction(0), Fraction(1, 8), Fraction(19, 10)]


def moving(num_frames: int = 72) -> Frames:
    """Texture in motion, with three cuts: what makes x264 and x265 use all kinds of frames; (T, 96, 128, 3)."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (24, 80, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    shots = [np.roll(texture, 50 * number, 1) for number in range(4)]
    frames = [shots[4 * t // num_frames][:, (3 * t) % 150 : (3 * t) % 150 + 128] for t in range(num_frames)]
    return np.stack(frames)


def check_equal(stream: IO[bytes], moments: Sequence[Fraction]) -> None:
    """The same facts and frames whether a file is read with packets left out or the plain way."""
    few = _read_few(stream, lambda first: [first + moment for moment in moments], lambda _: [SIZE], LIMITS)
    stream.seek(0)
    plain = _read_all(stream, lambda first: [first + moment for moment in moments], lambda _: [SIZE], LIMITS)
    assert replace(few, pictures={}) == replace(plain, pictures={})
    assert few.pictures.keys() == plain.pictures.keys()
    assert all(np.array_equal(few.pictures[moment][SIZE], plain.pictures[moment][SIZE]) for moment in plain.pictures)


def compare(path: Path, moments: Sequence[Fraction]) -> tuple[int, int]:
    """Read both ways, check that all is the same; (packets, frames that were decoded to some end)."""
    with open(path, "rb") as stream:
        check_equal(stream, moments)
        stream.seek(0)
        with open_video(stream) as container:
            reader = VideoReader(container, LIMITS)
            reader.scan()
            plan = make_plan(reader._facts, frozenset(_pts(reader, moments)))
            return reader.packets, len(plan.feed)


def _pts(reader: VideoReader, moments: Sequence[Fraction]) -> list[int]:
    """By the definition: the last frame that began by then."""
    tick = reader.stream.time_base
    assert tick is not None
    times = sorted(fact.pts for fact in reader._facts)
    shown = [(at, (at - times[0]) * tick) for at in times]
    return [max(at for at, time in shown if time <= moment + Fraction(1, 1000)) for moment in moments]


def unfit(path: Path) -> str:
    """Why a file is decoded the plain way; and that it can be read, by the same function."""
    with open(path, "rb") as stream, pytest.raises(Unfit) as caught:
        _read_few(stream, lambda _: DENSE, lambda _: [SIZE], LIMITS)
    return str(caught.value)


X264 = {
    "default": "", "pyramid": "bframes=6:b-pyramid=normal", "strict": "bframes=5:b-pyramid=strict",
    "no B-frames": "bframes=0", "open GOP": "open-gop=1:keyint=20", "short GOP": "keyint=8:min-keyint=8",
    "many references": "ref=8:bframes=8", "slices": "slices=4:bframes=3",
}  # fmt: skip


@pytest.mark.parametrize("params", X264.values(), ids=X264)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_h264_comes_out_the_same(tmp_path: Path, params: str, suffix: str) -> None:
    options = {"crf": "23", "x264-params": ":".join(filter(None, ["keyint=30", params]))}
    path = write_video(tmp_path / f"a.{suffix}", moving(), pixel_format="yuv420p", options=options)
    for moments in (DENSE, SPARSE, ENDS):
        packets, fed = compare(path, moments)
        assert packets == 72
        assert fed < packets or "bframes=0" in params
    if "bframes=0" not in params and "open" not in params:
        assert compare(path, SPARSE)[1] < packets * 0.6


X265 = {"default": "", "closed GOP": "open-gop=0:keyint=16", "open GOP": "open-gop=1:keyint=16",
        "pyramid": "bframes=8:b-pyramid=1", "layers": "temporal-layers=3"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("params", X265.values(), ids=X265)
def test_hevc_comes_out_the_same(tmp_path: Path, params: str) -> None:
    options = {"crf": "28", "preset": "fast", "x265-params": ":".join(filter(None, ["log-level=none", params]))}
    path = write_video(tmp_path / "a.mp4", moving(), codec="libx265", pixel_format="yuv420p", options=options)
    counts = {moments[0]: compare(path, moments) for moments in (DENSE, SPARSE, ENDS)}
    assert counts[DENSE[0]][1] < 72
    if "GOP" in params:
        assert counts[SPARSE[0]][1] < 40


def test_sound_between_the_pictures_and_an_odd_start(tmp_path: Path) -> None:
    times = [Fraction(7, 3) + Fraction(t, 24) for t in range(72)]
    write_video(tmp_path / "a.mp4", moving(), pixel_format="yuv420p", options={"crf": "23"}, times=times)
    ffmpeg("-i", tmp_path / "a.mp4", "-f", "lavfi", "-i", "sine=duration=3", "-c:v", "copy", tmp_path / "b.mkv")
    for moments in (DENSE, SPARSE):
        assert compare(tmp_path / "b.mkv", moments)[1] < 72


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(steps=st.lists(st.integers(min_value=1, max_value=400), min_size=72, max_size=72))
def test_any_frame_times(steps: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    times = [Fraction(sum(steps[:t]), 1280) for t in range(72)]
    path = tmp_path_factory.getbasetemp() / "times.mp4"
    small = moving()[:, :48, :64]
    write_video(path, small, pixel_format="yuv420p", options={"crf": "30", "preset": "superfast"}, times=times)
    compare(path, DENSE)


REAL = [
    "captioned/videos/hiker.mp4", "kinetics/abseiling/abseiling_k400.mp4", "kinetics/arm wrestling/demo.mp4",
    "kinetics/cleaning pool/test.mp4", "misc/bikes.mp4", "misc/example.mp4", "misc/flipping_a_pancake.mkv",
    "misc/h265_video.mp4", "misc/ios9.mov", "misc/nasa_13013.mp4", "misc/v_GGSY1Qvo990.mp4", "misc/var_fps_video.mp4",
    "misc/video_90.mov",
]  # fmt: skip
"""All real files but those whose codec or container is read the plain way."""


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_files_come_out_the_same(name: str) -> None:
    path = shared_data() / "clips" / name
    for moments in (DENSE, SPARSE, [Fraction(0), Fraction(5)]):
        with open(path, "rb") as stream:
            check_equal(stream, moments)


@pytest.mark.slow
def test_larger_files_are_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.media.decoding._HELD_BYTES", 1000)
    for suffix in ("mp4", "mkv"):
        path = write_video(tmp_path / f"a.{suffix}", moving(), pixel_format="yuv420p", options={"crf": "23"})
        for moments in (DENSE, SPARSE):
            compare(path, moments)


# ---------------------------------------------------------------------------------------- what goes the plain way


def test_in_other_codecs_containers_and_formats_everything_is_decoded(tmp_path: Path) -> None:
    frames = moving(24)
    options = {"crf": "23"}
    h264 = write_video(tmp_path / "a.mp4", frames, pixel_format="yuv420p", options=options)
    for suffix in ("ts", "avi"):
        ffmpeg("-i", h264, "-c", "copy", tmp_path / f"a.{suffix}")
        assert "container" in unfit(tmp_path / f"a.{suffix}")
    assert "avcC" in unfit(write_video(tmp_path / "b.mp4", frames, codec="mpeg4", pixel_format="yuv420p"))
    fields = {"crf": "23", "flags": "+ilme+ildct", "x264-params": "tff=1"}
    assert "interlaced" in unfit(write_video(tmp_path / "c.mp4", frames, pixel_format="yuv420p", options=fields))
    for path in (tmp_path / "a.ts", tmp_path / "b.mp4", tmp_path / "c.mp4"):
        clips = read_clips(path, num_frames=3, fps=8, sizes=[SIZE], max_clips=2, limits=LIMITS)
        assert len(clips) == 2


def test_with_an_edit_list_that_discards_frames_everything_is_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(), pixel_format="yuv420p", options={"crf": "23"})
    ffmpeg("-ss", "0.3", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")  # begins between key frames
    assert "discarded" in unfit(tmp_path / "b.mp4")


def test_a_damaged_packet_that_is_wanted_is_noticed(tmp_path: Path) -> None:
    """Bits of a reference frame are overwritten: both ways agree on what is then shown, or refuse the file."""
    path = write_video(tmp_path / "a.mp4", moving(), pixel_format="yuv420p", options={"crf": "23"})
    data = bytearray(path.read_bytes())
    with open(path, "rb") as stream, open_video(stream) as container:
        coded = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        places = [(packet.pos, packet.size) for packet in coded]
    outcomes = []
    for number in (0, 5, 20, 40, 60):
        at, size = places[number]
        assert at is not None
        broken = tmp_path / f"{number}.mp4"
        broken.write_bytes(data[: at + size // 3] + bytes(size // 3) + data[at + 2 * (size // 3) :])
        found = []
        for how in (read_clips, _plain):
            try:
                found.append([clip.tobytes() for clip in _frames(how, broken)])
            except SourceError as error:
                found.append([error.code.encode()])
        assert found[0] == found[1]
        outcomes.append(found[0])
    intact = [clip.tobytes() for clip in _frames(read_clips, path)]
    assert all(outcome != intact for outcome in outcomes)


def _frames(how: Callable[..., list[SourceClip]], path: Path) -> list[Frames]:
    return [clip.frames[SIZE] for clip in how(path, num_frames=17, fps=24, sizes=[SIZE], max_clips=4, limits=LIMITS)]


def _plain(path: Path, **options: Any) -> list[SourceClip]:
    def refuse(*_: object) -> None:
        raise Unfit("for the test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "_read_few", refuse)
        return read_clips(path, **options)


def test_a_file_that_was_cut_is_still_refused(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", moving(), pixel_format="yuv420p", options={"crf": "23"},
        container={"movflags": "+faststart"},
    )  # fmt: skip
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    for starts in ([0.0], [0.5], None):
        with pytest.raises(SourceError, match="truncated"):
            read_clips(
                tmp_path / "cut.mp4", num_frames=2, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, starts=starts
            )


# ---------------------------------------------------------------------------------------------- the rules themselves


def packets(*kinds: str) -> list[Packet]:
    """One a word: pts and letters r(eference), e(ntry), l(eading)."""
    return [Packet(int(word.rstrip("rel")), 1, "r" in word or "e" in word, "e" in word, "l" in word) for word in kinds]


def test_only_what_is_needed_is_fed() -> None:
    some = packets("0e", "4r", "2r", "1", "3", "5e", "8r", "6", "7")
    assert make_plan(some, frozenset({3})) == Plan(0, frozenset({3}), (0, 1, 2, 4), frozenset())
    assert make_plan(some, frozenset({0, 5, 6})) == Plan(0, frozenset({0, 5, 6}), (0, 5, 6, 7), frozenset({5}))
    assert make_plan(some, frozenset({7})).feed == (5, 6, 8)
    assert make_plan(some, frozenset()).feed == ()


def test_leading_pictures_need_what_was_before() -> None:
    some = packets("0e", "2r", "1", "6e", "4rl", "3l", "5l", "8r", "7")
    assert make_plan(some, frozenset({7})).feed == (3, 7, 8)  # the leading reference is of no use to 7
    assert make_plan(some, frozenset({3})) == Plan(0, frozenset({3}), (0, 1, 3, 4, 5), frozenset())
    assert make_plan(some, frozenset({1, 7})).feed == (0, 1, 2, 3, 7, 8)


@pytest.mark.parametrize(
    ("kinds", "depth"),
    [("0r 1r", 0), ("1e 0r", 9), ("0e", 0), ("0e 4r 2r 1 3", 1), ("0e 1r 1r", 9), ("2e 0l 1l", 9)],
)
def test_irregular_packets_are_unfit(kinds: str, depth: int) -> None:
    with pytest.raises(Unfit):
        check(packets(*kinds.split()), depth)


def test_a_valid_order_of_packets_is_accepted() -> None:
    check(packets("0e", "4r", "2r", "1", "3"), 2)


AVCC = bytes([1, 100, 0, 31, 255, 225, 0, 4, 0x67, 1, 2, 3, 1, 0, 2, 0x68, 9]) + bytes(10)


def unit(*content: int) -> bytes:
    return len(content).to_bytes(4, "big") + bytes(content)


def test_h264_packets_are_classified() -> None:
    look = classifier("h264", AVCC)
    assert look(memoryview(unit(0x65, 1, 2))) == (True, True, False)
    assert look(memoryview(unit(0x06, 5) + unit(0x41, 1))) == (True, False, False)
    assert look(memoryview(unit(0x01, 1) + unit(0x01, 2))) == (False, False, False)
    assert look(memoryview(unit(0x67, 1, 2, 3) + unit(0x65, 1))) == (True, True, False)
    for bad in (
        unit(0x67, 1, 2, 4) + unit(0x65, 1), unit(0x65, 1) + unit(0x41, 1), unit(0x06, 1), unit(0x0A, 1),
        unit(0x65, 1)[:-1], unit(0x02, 1), b"\0\0\0\1",
    ):  # fmt: skip
        with pytest.raises(Unfit):
            look(memoryview(bad))
    for extradata in (b"", b"\0\0\0\1\x67" + bytes(30)):
        with pytest.raises(Unfit):
            classifier("h264", extradata)
    with pytest.raises(Unfit):
        classifier("vp9", AVCC)


def test_counters_are_read_through_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(48), fps=24, options={"crf": "1", "x264-params": "bframes=5"})
    (clip,) = read_clips(path, num_frames=5, fps=8, sizes=[(32, 32)], max_clips=1, limits=LIMITS, starts=[1.0])
    assert [round((float(frame.mean()) - 20) / 4) for frame in clip.frames[(32, 32)]] == [24, 27, 30, 33, 36]
