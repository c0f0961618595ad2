"""Which frames are chosen, how they are turned and cropped, and which files are refused with which code."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.media import LIMITS, Frames, counter, ffmpeg, read_counter, shared_data, write_video
from walt.media.images import Limits, SourceError
from walt.media.video import SourceClip, _sample, iterate_frames, probe, read_clips

SIZE = (32, 32)


def read(
    path: Path, *, num_frames: int = 5, fps: float = 8, max_clips: int = 4, limits: Limits = LIMITS, still: bool = False
) -> list[SourceClip]:
    return read_clips(
        path, num_frames=num_frames, fps=fps, sizes=[SIZE], max_clips=max_clips, limits=limits, accept_still=still
    )


def numbers(clips: list[SourceClip]) -> list[list[int]]:
    return [read_counter(clip.frames[SIZE]) for clip in clips]


def code_of(path: Path, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        read(path, **options)  # type: ignore[arg-type]
    assert "\n" not in caught.value.cause
    return caught.value.code


# ------------------------------------------------------------------------------------------------ which frames


def test_a_constant_rate_is_sampled_at_the_exact_frames(tmp_path: Path) -> None:
    clips = read(write_video(tmp_path / "a.mp4", counter(36), fps=24))
    assert numbers(clips) == [[0, 3, 6, 9, 12], [15, 18, 21, 24, 27]]  # 36 frames last 1.5 s: 12 samples, 2 left over
    assert [clip.start_seconds for clip in clips] == [0.0, 0.625]


def test_a_slower_source_repeats_frames(tmp_path: Path) -> None:
    clips = read(write_video(tmp_path / "a.mp4", counter(5), fps=4), max_clips=2)
    assert numbers(clips) == [[0, 0, 1, 1, 2], [2, 3, 3, 4, 4]]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_containers_agree(tmp_path: Path, suffix: str) -> None:
    write_video(tmp_path / "a.mp4", counter(30), fps=30, options={"crf": "1", "bf": "0"})
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / f"b.{suffix}")
    assert numbers(read(tmp_path / f"b.{suffix}", max_clips=1)) == [[0, 3, 7, 11, 15]]


@pytest.mark.parametrize("coder", [("libx264", "-crf", "1"), ("libxvid", "-q:v", "1")])
def test_b_frames_in_an_avi_are_shown_in_order(tmp_path: Path, coder: tuple[str, ...]) -> None:
    """An AVI has no times of display, and what FFmpeg guesses for its packets is out of order."""
    write_video(tmp_path / "a.mp4", counter(30), fps=24)
    ffmpeg("-i", tmp_path / "a.mp4", "-c:v", *coder, "-bf", "2", "-threads", "1", tmp_path / "b.avi")
    clips = read(tmp_path / "b.avi", num_frames=24, fps=24, max_clips=1)
    assert numbers(clips) == [list(range(24))]


def test_a_variable_rate_shows_what_is_on_the_screen(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 16), Fraction(1, 8), Fraction(9, 16), Fraction(19, 32), Fraction(3, 4)]
    clips = read(write_video(tmp_path / "a.mp4", counter(6), times=times), max_clips=1)
    assert numbers(clips) == [[0, 2, 2, 2, 2]]  # at 0, 1/8, 2/8, 3/8, 4/8
    clips = read(tmp_path / "a.mp4", num_frames=7, max_clips=1)
    assert numbers(clips) == [[0, 2, 2, 2, 2, 4, 5]]


def test_an_odd_start_changes_nothing(tmp_path: Path) -> None:
    late = [Fraction(7, 3) + Fraction(i, 24) for i in range(24)]
    write_video(tmp_path / "a.mkv", counter(24), times=late)
    assert numbers(read(tmp_path / "a.mkv", max_clips=1)) == [[0, 3, 6, 9, 12]]


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "libopus"), ("ts", "mp2")])
def test_seconds_count_from_the_start_of_the_sound(tmp_path: Path, suffix: str, codec: str) -> None:
    write_video(tmp_path / "a.mp4", counter(48), fps=24, pixel_format="yuv420p")
    path = tmp_path / f"late.{suffix}"
    ffmpeg(
        "-f", "lavfi", "-i", "sine=d=5", "-itsoffset", "2", "-i", tmp_path / "a.mp4", "-map", "0:a", "-map", "1:v",
        "-c:v", "copy", "-c:a", codec, path,
    )  # fmt: skip
    clips = read(path)
    assert [clip.start_seconds for clip in clips] == pytest.approx([2.0, 2.625, 3.25], abs=0.1)
    assert numbers(clips)[0] == [0, 3, 6, 9, 12]
    (clip,) = read_clips(path, num_frames=3, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, starts=[3.0])
    (first,) = numbers([clip])
    assert clip.start_seconds == 3.0
    assert abs(first[0] - 24) <= (2 if suffix == "ts" else 0)
    assert read_counter(np.stack([*iterate_frames(path, fps=8, fit=lambda size: size, limits=LIMITS)]))[:3] == [0, 3, 6]


def test_a_delay_of_the_coder_is_not_a_late_start(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counter(24), fps=24)
    ffmpeg(
        "-f", "lavfi", "-i", "sine=d=1", "-itsoffset", "0.02", "-i", tmp_path / "a.mp4", "-map", "0:a", "-map", "1:v",
        "-c:v", "copy", "-c:a", "libopus", tmp_path / "b.mkv",
    )  # fmt: skip
    assert [clip.start_seconds for clip in read(tmp_path / "b.mkv", max_clips=1)] == [0.0]


@settings(deadline=None)
@given(
    steps=st.lists(st.integers(min_value=-3, max_value=9), min_size=1, max_size=40),
    fps=st.sampled_from([Fraction(8), Fraction(25), Fraction(30000, 1001)]),
)
def test_sampling_follows_its_definition_for_any_timestamps(steps: list[int], fps: Fraction) -> None:
    times, now = [], Fraction(5)
    for step in steps:
        now += Fraction(step, 50)
        times.append(max([now, *times[-1:]]))  # what the reader makes of timestamps that go backwards
    frames = [(time - times[0], Fraction(1, 25), number) for number, time in enumerate(times)]
    moments = (number / fps for number in range(1000))
    chosen = list(_sample(iter(frames), moments, lambda number: number))
    end = times[-1] - times[0] + Fraction(1, 25)
    expected = []
    while len(expected) / fps < end:
        moment = times[0] + len(expected) / fps + Fraction(1, 1000)
        expected.append(max(number for number, time in enumerate(times) if time <= moment))
    assert chosen == expected


def test_clips_may_have_gaps_or_overlap(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(48), fps=24)
    cut = partial(read_clips, path, num_frames=3, fps=8, sizes=[SIZE], limits=LIMITS)
    apart = cut(max_clips=9, stride_seconds=0.75)
    assert [clip.start_seconds for clip in apart] == [0.0, 0.75, 1.5]
    assert numbers(apart) == [[0, 3, 6], [18, 21, 24], [36, 39, 42]]
    overlapping = cut(max_clips=3, stride_seconds=0.1)
    assert numbers(overlapping) == [[0, 3, 6], [2, 5, 8], [4, 7, 10]]  # 0.1 s is frame 2.4, 0.225 s is 5.4
    assert np.array_equal(apart[0].frames[SIZE], overlapping[0].frames[SIZE])
    assert [clip.start_seconds for clip in cut(max_clips=99)] == [0.0, 0.375, 0.75, 1.125, 1.5]


def test_clips_may_start_where_the_caller_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(48), fps=24)
    cut = partial(read_clips, path, num_frames=3, fps=8, sizes=[SIZE], limits=LIMITS)
    clips = cut(max_clips=9, starts=[0.25, 1.0, 1.74, 1.76])
    assert [clip.start_seconds for clip in clips] == [0.25, 1.0, 1.74]  # 1.76 + 0.25 is past the end
    assert numbers(clips) == [[6, 9, 12], [24, 27, 30], [41, 44, 47]]
    assert len(cut(max_clips=2, starts=[0.25, 1.0, 1.74])) == 2
    with pytest.raises(SourceError, match="too_short"):
        cut(max_clips=9, starts=[1.9])


def test_one_frame_is_a_still_only_if_wanted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(1), fps=1)  # it lasts a second: long enough for a clip of 5 at 8 fps
    (clip,) = read(path, still=True)
    assert clip.frames[SIZE].shape == (1, 32, 32, 3)
    assert code_of(path, num_frames=17) == "too_short"
    assert code_of(write_video(tmp_path / "b.mp4", counter(2), fps=24), still=True) == "too_short"


# ----------------------------------------------------------------------------------------------- geometry, colour


def quarters() -> Frames:
    """Red above left, green above right, blue below left, white below right; (24, 64, 48, 3)."""
    frames = np.zeros((24, 64, 48, 3), np.uint8)
    frames[:, :32, :24], frames[:, :32, 24:], frames[:, 32:, :24], frames[:, 32:, 24:] = (
        (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255),
    )  # fmt: skip
    return frames


def names(picture: Frames) -> list[str]:
    """The colours of the quarters, row by row."""
    palette = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    height, width, _ = picture.shape
    corners = [picture[y, x].astype(int) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return [min(palette, key=lambda name: int(np.abs(corner - palette[name]).sum())) for corner in corners]


@pytest.mark.parametrize(
    ("angle", "expected"),
    [
        (0, ["red", "green", "blue", "white"]),
        (90, ["green", "white", "red", "blue"]),  # display rotation is counter-clockwise
        (180, ["white", "blue", "green", "red"]),
        (-90, ["blue", "red", "white", "green"]),
    ],
)
def test_rotation_metadata_is_applied_once(tmp_path: Path, angle: int, expected: list[str]) -> None:
    write_video(tmp_path / "a.mp4", quarters())
    ffmpeg("-display_rotation", str(angle), "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    clips = read_clips(tmp_path / "b.mp4", num_frames=5, fps=8, sizes=[(32, 24), (16, 32)], max_clips=1, limits=LIMITS)
    assert names(clips[0].frames[(32, 24)][0]) == expected
    assert names(clips[0].frames[(16, 32)][0]) == expected
    assert clips[0].frames[(16, 32)].shape == (5, 16, 32, 3)


def test_pictures_with_exif_in_a_video_are_read_and_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright
    for number in range(8):
        Image.fromarray(quarters()[0]).save(tmp_path / f"{number}.jpg", exif=exif, quality=95)
    ffmpeg("-framerate", "8", "-i", tmp_path / "%d.jpg", "-c", "copy", tmp_path / "a.mov")
    assert names(read(tmp_path / "a.mov", max_clips=1)[0].frames[SIZE][0]) == ["blue", "red", "white", "green"]


@pytest.mark.parametrize("aspect", [Fraction(2, 1), Fraction(1, 2), Fraction(64, 51)])
def test_a_circle_of_non_square_pixels_comes_out_round(tmp_path: Path, aspect: Fraction) -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    disc = np.hypot(y, x * float(aspect)) < 40  # round on the screen
    frames = np.repeat((disc[..., None] * np.uint8(255))[None], 24, 0).repeat(3, -1)
    path = write_video(tmp_path / "a.mp4", frames, aspect=aspect)
    assert probe(path).pixel_aspect == aspect
    picture = read(path, max_clips=1)[0].frames[SIZE][0, ..., 0] > 127
    height, width = picture.any(1).sum(), picture.any(0).sum()
    assert abs(int(height) - int(width)) <= 1


def test_the_centre_is_cropped(tmp_path: Path) -> None:
    frames = np.zeros((24, 32, 96, 3), np.uint8)
    frames[:, :, 32:64] = (0, 255, 0)
    picture = read(write_video(tmp_path / "a.mp4", frames), max_clips=1)[0].frames[SIZE]
    assert picture[..., 1].min() > 240
    assert picture[..., 0].max() < 15


def test_odd_sizes_are_accepted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", counter(24, 95, 127), codec="ffv1")
    assert numbers(read(path, max_clips=1)) == [[0, 3, 6, 9, 12]]


@pytest.mark.parametrize(
    ("codec", "pixel_format"), [("libx264", "yuv420p10le"), ("libx264", "yuv422p"), ("mpeg4", "yuv420p")]
)
def test_pixel_formats_keep_their_colours(tmp_path: Path, codec: str, pixel_format: str) -> None:
    path = write_video(tmp_path / "a.mkv", quarters(), codec=codec, pixel_format=pixel_format)
    assert probe(path).pixel_format == pixel_format
    assert names(read(path, max_clips=1)[0].frames[SIZE][0]) == ["red", "green", "blue", "white"]


def test_transparent_pixels_are_composited_on_black(tmp_path: Path) -> None:
    frames = np.full((24, 32, 32, 4), 255, np.uint8)
    frames[:, :, :16, 3], frames[:, :, 16:, 3] = 0, 128
    path = write_video(tmp_path / "a.mov", frames, codec="png", pixel_format="rgba")
    picture = read(path, max_clips=1)[0].frames[SIZE][0]
    assert picture[:, :14].max() < 5
    assert np.abs(picture[:, 18:].astype(int) - 128).max() < 5


def test_interlaced_frames_are_deinterlaced(tmp_path: Path) -> None:
    fields = np.zeros((24, 64, 64, 3), np.uint8)
    for number in range(24):  # a bar that moves between the two fields of a frame: a comb, unless deinterlaced
        fields[number, 0::2, 2 * number : 2 * number + 12] = 255
        fields[number, 1::2, 2 * number + 5 : 2 * number + 17] = 255
    options = {"crf": "1", "flags": "+ilme+ildct", "x264-params": "tff=1"}
    write_video(tmp_path / "comb.mp4", fields, pixel_format="yuv420p", options=options)
    write_video(tmp_path / "progressive.mp4", fields, pixel_format="yuv420p")

    def combing(name: str) -> float:
        clip = read_clips(tmp_path / name, num_frames=5, fps=8, sizes=[(64, 64)], max_clips=1, limits=LIMITS)[0]
        picture = clip.frames[(64, 64)][2, ..., 1].astype(int)
        return float(np.abs(2 * picture[1:-1] - picture[:-2] - picture[2:]).mean())

    assert combing("comb.mp4") < 0.7 * combing("progressive.mp4")


# ------------------------------------------------------------------------------------------------ which stream


def test_cover_art_is_not_the_picture(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counter(24))
    Image.new("RGB", (64, 64), "white").save(tmp_path / "cover.png")
    ffmpeg(
        "-i", tmp_path / "cover.png", "-i", tmp_path / "a.mp4", "-map", "0", "-map", "1", "-c", "copy",
        "-disposition:v:0", "attached_pic", tmp_path / "b.mp4",
    )  # fmt: skip
    assert numbers(read(tmp_path / "b.mp4", max_clips=1)) == [[0, 3, 6, 9, 12]]


@pytest.mark.parametrize(("suffix", "default"), [("mkv", 1), ("mp4", 1), ("mp4", 0)])
def test_a_picture_before_the_video_is_not_the_video(tmp_path: Path, suffix: str, default: int) -> None:
    write_video(tmp_path / "a.mp4", counter(24))
    Image.new("RGB", (64, 64), "white").save(tmp_path / "cover.jpg")
    ffmpeg(
        "-i", tmp_path / "cover.jpg", "-i", tmp_path / "a.mp4", "-map", "0", "-map", "1", "-c", "copy",
        f"-disposition:v:{default}", "default", f"-disposition:v:{1 - default}", "0", tmp_path / f"b.{suffix}",
    )  # fmt: skip
    assert numbers(read(tmp_path / f"b.{suffix}", max_clips=1)) == [[0, 3, 6, 9, 12]]


@pytest.mark.parametrize("default", [0, 1])
def test_of_several_videos_the_one_that_players_show_is_taken(tmp_path: Path, default: int) -> None:
    write_video(tmp_path / "a.mp4", counter(24))
    write_video(tmp_path / "b.mp4", counter(24)[::-1].copy())
    ffmpeg(
        "-i", tmp_path / "a.mp4", "-i", tmp_path / "b.mp4", "-map", "0", "-map", "1", "-c", "copy",
        f"-disposition:v:{1 - default}", "0", f"-disposition:v:{default}", "default", tmp_path / "c.mp4",
    )  # fmt: skip
    expected = [[0, 3, 6, 9, 12], [23, 20, 17, 14, 11]][default]
    assert numbers(read(tmp_path / "c.mp4", max_clips=1)) == [expected]


# ------------------------------------------------------------------------------------------------ refusals


def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path) -> None:
    contents = {
        "zero.mp4": b"",
        "text.mp4": b"this is not a video\n" * 100,
        "noise.mp4": np.random.default_rng(0).bytes(5000),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    Image.new("RGB", (64, 64)).save(tmp_path / "jpeg.mp4", "JPEG")
    codes = {name: code_of(tmp_path / name) for name in [*contents, "jpeg.mp4"]}
    assert codes == {"zero.mp4": "empty", "text.mp4": "format", "noise.mp4": "format", "jpeg.mp4": "format"}


def test_playlists_under_a_videos_name_are_not_followed(tmp_path: Path) -> None:
    target = write_video(tmp_path / "target.ts", counter(48), pixel_format="yuv420p")
    assert numbers(read(target, max_clips=1)) == [[0, 3, 6, 9, 12]]  # so following a list to it would succeed
    lists = {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
        "hls.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{target}\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{target}'\n",
        "dash.mp4": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f'<AdaptationSet mimeType="video/mp2t"><Representation id="1"><BaseURL>{target}</BaseURL></Representation>'
        f"</AdaptationSet></Period></MPD>",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        assert code_of(tmp_path / name) == "format", name


@pytest.mark.parametrize("max_clips", [1, 4])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_file_cut_short_is_refused_although_its_header_is_complete(
    tmp_path: Path, suffix: str, max_clips: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (72, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "whole.mp4", noise, container={"movflags": "+faststart"}, options={"crf": "20", "bf": "0"})
    whole = tmp_path / f"whole.{suffix}"
    if suffix != "mp4":
        ffmpeg("-i", tmp_path / "whole.mp4", "-c", "copy", whole)
    assert len(read(whole, max_clips=max_clips)) == max_clips
    (tmp_path / f"cut.{suffix}").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    assert code_of(tmp_path / f"cut.{suffix}", max_clips=max_clips) == "truncated"


@pytest.mark.parametrize(
    "name", ["ucf101/BaseballPitch/v_BaseballPitch_g01_c01.avi", "misc/bikes.mp4", "misc/av1_video.mkv"]
)
def test_a_real_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    data = (shared_data() / "clips" / name).read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(len(data) * 0.6)])
    assert code_of(tmp_path / "cut", max_clips=1) in ("truncated", "format")  # format: the index was at the end


def test_a_file_without_its_index_is_refused(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", counter(24)).read_bytes()  # its index is at the end
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert code_of(tmp_path / "cut.mp4") == "format"


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", tmp_path / "a.mp4")
    assert code_of(tmp_path / "a.mp4") == "no_video"


def test_limits_are_checked(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(24, 64, 48))
    assert code_of(path, limits=Limits(50, 10**6, 100)) == "too_small"
    assert code_of(path, limits=Limits(8, 1000, 100)) == "too_large"
    assert code_of(path, limits=Limits(8, 10**6, 0.5)) == "too_long"
    assert code_of(path, num_frames=9) == "too_short"
    ffmpeg("-i", path, "-c", "copy", "-f", "mpegts", tmp_path / "a.ts")  # no duration in the header
    assert code_of(tmp_path / "a.ts", limits=Limits(8, 10**6, 0.5)) == "too_long"


@pytest.mark.parametrize(("seconds", "ticks"), [(30, 600), (60, 600), (30, 1000), (30, 90000)])
def test_a_video_may_be_as_long_as_the_limit(seconds: int, ticks: int, tmp_path: Path) -> None:
    """To the last tick: 18 000 times 1/600, as floats, is more than 30."""
    path = write_video(tmp_path / "a.mov", counter(seconds), fps=1, container={"video_track_timescale": str(ticks)})
    assert probe(path).seconds == seconds
    assert len(read_clips(path, num_frames=1, fps=1, sizes=[SIZE], max_clips=99, limits=Limits(8, 10**6, seconds)))
    assert code_of(path, limits=Limits(8, 10**6, seconds - 0.01)) == "too_long"


def test_a_picture_that_changes_its_size_is_refused(tmp_path: Path) -> None:
    for number, side in enumerate((32, 64)):
        write_video(tmp_path / f"{number}.ts", counter(24, side, side), pixel_format="yuv420p")
    joined = tmp_path / "a.ts"
    joined.write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    assert code_of(joined, num_frames=13) == "size_changed"


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "-y.mp4", "new\nline.mp4", "quo'te\".mp4", "$(x);rm.mp4", "b\udcff.mp4", "ü.mp4"]
)
def test_any_name_opens(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "a.mp4", counter(24)).rename(tmp_path / name)
    assert numbers(read(tmp_path / name, max_clips=1)) == [[0, 3, 6, 9, 12]]


# ------------------------------------------------------------------------------------------------ frame by frame


def stream(path: Path, *, fps: float | Fraction = 8, size: tuple[int, int] = SIZE, **options: float) -> Frames:
    return np.stack(list(iterate_frames(path, fps=fps, fit=lambda _: size, limits=LIMITS, **options)))


def test_frame_by_frame_is_the_same_as_clips(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(36), fps=24)
    assert read_counter(stream(path)) == list(range(0, 36, 3))
    assert np.array_equal(stream(path)[:10].reshape(2, 5, 32, 32, 3), [clip.frames[SIZE] for clip in read(path)])
    assert read_counter(stream(path, fps=24)) == list(range(36))


@pytest.mark.parametrize(("seconds", "count"), [(0.01, 1), (0.125, 1), (0.126, 2), (0.5, 4), (1.4, 12), (9.0, 12)])
def test_the_moments_before_a_limit_are_read(tmp_path: Path, seconds: float, count: int) -> None:
    path = write_video(tmp_path / "a.mp4", counter(36), fps=24)
    assert read_counter(stream(path, max_seconds=seconds)) == list(range(0, 3 * count, 3))


@pytest.mark.parametrize(("angle", "expected"), [(0, (64, 96)), (90, (96, 64)), (180, (64, 96)), (-90, (96, 64))])
def test_the_upright_size_is_passed_to_fit(tmp_path: Path, angle: int, expected: tuple[int, int]) -> None:
    write_video(tmp_path / "a.mp4", counter(3, 64, 48), aspect=Fraction(2, 1))
    ffmpeg("-display_rotation", str(angle), "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    sizes = []

    def fit(size: tuple[int, int]) -> tuple[int, int]:
        sizes.append(size)
        return size

    pictures = list(iterate_frames(tmp_path / "b.mp4", fps=24, fit=fit, limits=LIMITS))
    assert sizes == [expected]
    assert [picture.shape for picture in pictures] == [(*expected, 3)] * 3


def test_at_its_own_size_a_picture_is_not_resampled(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 95, 127, 3), dtype=np.uint8)
    path = write_video(tmp_path / "a.mkv", noise, codec="ffv1", pixel_format="bgr0")
    assert np.array_equal(list(iterate_frames(path, fps=24, fit=lambda size: size, limits=LIMITS)), noise)


def test_a_cut_file_is_refused_after_its_last_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (72, 32, 32, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "a.mp4", noise, container={"movflags": "+faststart"}, options={"bf": "0"})
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    pictures = iterate_frames(tmp_path / "cut.mp4", fps=24, fit=lambda size: size, limits=LIMITS)
    seen = []
    with pytest.raises(SourceError) as caught:
        seen.extend(pictures)
    assert caught.value.code == "truncated"
    assert 30 < len(seen) < 60


# ------------------------------------------------------------------------------------------------ real clips

CLIPS_OF_17_AT_8_FPS = {
    "clips/ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi": 3,  # timestamps that go backwards
    "clips/ucf101/Basketball/v_Basketball_g01_c01.avi": 2,
    "clips/kinetics/abseiling/abseiling_k400.mp4": 4,
    "clips/misc/flipping_a_pancake.mkv": 4,
    "clips/misc/transparent.webm": 2,
    "clips/misc/av1_video.mkv": 2,
    "clips/misc/var_fps_video.mp4": 4,
    "clips/misc/nasa_13013.mp4": 4,
    "clips/misc/v_GGSY1Qvo990.mp4": 4,
    "clips/captioned/videos/hiker.mp4": 2,
    "clips/misc/example.mp4": "too_short",  # ends at 2.0 s, when the seventeenth frame would begin
    "clips/misc/h265_video.mp4": "too_short",
    "clips/misc/ios9.mov": "too_short",
    "clips/misc/big_buck_bunny_432_433.webm": "too_short",
    "broken/broken.mp4": "format",
    "broken/empty.flv": "format",
}


@pytest.mark.parametrize("name", CLIPS_OF_17_AT_8_FPS)
def test_real_clips(name: str) -> None:
    path, expected = shared_data() / name, CLIPS_OF_17_AT_8_FPS[name]
    if isinstance(expected, str):
        assert code_of(path, num_frames=17) == expected
    else:
        assert len(read(path, num_frames=17)) == expected


def test_a_real_phone_clip_is_turned_upright() -> None:
    path = shared_data() / "clips/misc/ios9.mov"  # stored 1280x720, shown 720x1280
    tall = read_clips(path, num_frames=1, fps=8, sizes=[(128, 72)], max_clips=1, limits=LIMITS)[0].frames[(128, 72)][0]
    with_ffmpeg = _ffmpeg_frame(path, 72, 128)
    assert np.abs(tall.astype(int) - with_ffmpeg).mean() < 6
    assert np.abs(tall[::-1, ::-1].astype(int) - with_ffmpeg).mean() > 20


def _ffmpeg_frame(path: Path, width: int, height: int) -> Frames:
    """The first frame as the ffmpeg binary shows it, turned by itself."""
    import subprocess

    import imageio_ffmpeg

    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-frames:v", "1",
        "-vf", f"scale={width}:{height}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-",
    ]  # fmt: skip
    raw = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3)


def test_the_better_of_two_real_streams_is_used() -> None:
    info = probe(shared_data() / "clips/misc/nasa_13013.mp4")  # two programmes, both with the flag "default"
    assert (info.width, info.height, info.stream_index) == (480, 270, 3)


def test_a_real_timecode_shows_the_right_frames() -> None:
    """The burned-in counter of a real clip: our frames equal those ffmpeg picks at the same moments."""
    path = shared_data() / "clips/misc/example.mp4"
    ours = read_clips(path, num_frames=9, fps=5, sizes=[(96, 128)], max_clips=1, limits=LIMITS)[0].frames[(96, 128)]
    every = read_clips(path, num_frames=45, fps=25, sizes=[(96, 128)], max_clips=1, limits=LIMITS)[0].frames[(96, 128)]
    assert np.array_equal(ours, every[::5])
    assert len({frame.tobytes() for frame in every}) == 45  # so each frame is itself


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "misc/ios9.mov",  # turned
        "kinetics/abseiling/abseiling_k400.mp4",  # pixels that are not square
        "misc/var_fps_video.mp4",
        "misc/transparent.webm",
        "ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",  # timestamps that go backwards
    ],
)
def test_real_files_frame_by_frame(name: str) -> None:
    path = shared_data() / "clips" / name
    clips = read_clips(path, num_frames=3, fps=7, sizes=[(40, 64)], max_clips=2, limits=LIMITS)
    together = np.concatenate([clip.frames[(40, 64)] for clip in clips])
    assert np.array_equal(stream(path, fps=7, size=(40, 64))[: len(together)], together)


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("clips/misc/ios9.mov", (1280, 720), 14),
        ("clips/kinetics/abseiling/abseiling_k400.mp4", (256, 455), 250),
        ("clips/misc/var_fps_video.mp4", (128, 128), 449),  # 300 frames, some of which stay longer than 1/30 s
        ("clips/ucf101/Basketball/v_Basketball_g01_c01.avi", (240, 320), 141),
    ],
)
def test_real_files_at_their_own_rate_and_size(name: str, size: tuple[int, int], count: int) -> None:
    path, sizes = shared_data() / name, []

    def fit(upright: tuple[int, int]) -> tuple[int, int]:
        sizes.append(upright)
        return (16, 16)

    rate = probe(path).constant_fps
    assert rate is not None
    assert len(list(iterate_frames(path, fps=rate, fit=fit, limits=LIMITS))) == count
    assert sizes == [size]
