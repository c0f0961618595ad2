"""Frames to pictures: as sharp and as free of aliasing as Pillow's bicubic, upright, HDR in range, alpha on black."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tests.support.media import LIMITS, Frames, ffmpeg, shared_data, write_video
from walt.media.images import SourceError, crop_and_resize, to_pixels
from walt.media.scaling import Scaler, matrix, tone_map
from walt.media.video import probe, read_clips


def psnr(one: Frames, other: Frames) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def first_frame(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


REAL = [
    "kinetics/abseiling/abseiling_k400.mp4", "kinetics/cleaning pool/test.mp4", "misc/bikes.mp4", "misc/nasa_13013.mp4",
    "misc/av1_video.mkv", "misc/big_buck_bunny_432_433.webm", "misc/h265_video.mp4", "misc/v_GGSY1Qvo990.mp4",
    "misc/var_fps_video.mp4", "captioned/videos/hiker.mp4", "ucf101/Biking/v_Biking_g05_c02.avi",
]  # fmt: skip


PATTERNS = {"misc/av1_video.mkv", "misc/h265_video.mp4", "misc/var_fps_video.mp4"}


@pytest.mark.parametrize("name", REAL)
def test_real_pictures_are_as_pillow_would_make_them(name: str) -> None:
    frame = first_frame(shared_data() / "clips" / name)
    full = to_pixels(frame, "rgb24", matrix(frame))
    for divisor in (2, 4):
        size = (frame.height // divisor, frame.width // divisor)
        pillow = np.asarray(Image.fromarray(full).resize(size[::-1], Image.Resampling.BICUBIC))
        ours = Scaler([size], size[1] * frame.height / size[0] / frame.width)(frame)[size]
        # the edges of saturated test patterns leave RGB's range: Pillow's way clips them before it shrinks, ours after
        assert psnr(ours, pillow) > (25 if name in PATTERNS else 40)


def test_the_centre_is_cropped_as_pillow_would() -> None:
    frame = first_frame(shared_data() / "clips/ucf101/Biking/v_Biking_g05_c02.avi")  # 320x240: 40 off each side
    expected = crop_and_resize(to_pixels(frame, "rgb24", matrix(frame)), [(128, 128)])[(128, 128)]
    assert psnr(Scaler([(128, 128)], 1.0)(frame)[(128, 128)], expected) > 40


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "rgb24", "yuv420p10le", "nv12"])
def test_a_zone_plate_does_not_alias(pixel_format: str) -> None:
    """Rings whose frequency grows with the radius, up to the source's limit; beyond the small picture's limit, which
    is reached at a quarter of the radius, grey is right, and rings would be aliases."""
    side, small = 512, (128, 128)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(y, x)
    rings = np.rint(127.5 + 110 * np.cos(np.pi * radius**2 / side)).astype(np.uint8)
    rgb = rings[..., None].repeat(3, -1)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)
    ours = Scaler([small], 1.0)(frame)[small]
    pillow = np.asarray(Image.fromarray(rgb).resize(small, Image.Resampling.BICUBIC))
    assert psnr(ours, pillow) > 40
    outer = (radius > 0.45 * side / 2)[2::4, 2::4]
    inner = (radius < 0.15 * side / 2)[2::4, 2::4]
    assert ours[outer].astype(float).std() < 8
    assert ours[inner].astype(float).std() > 60
    assert rings[2::4, 2::4][outer].astype(float).std() > 60  # what taking every fourth pixel would give


def test_large_pictures_become_tiny_ones_and_tiny_ones_large(tmp_path: Path) -> None:
    for (height, width), size in product([(2160, 4096), (1, 1), (95, 127), (16, 2048)], [(16, 16), (64, 48)]):
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 77, np.uint8), format="rgb24")
        for pixel_format in ("rgb24", "yuv444p"):
            picture = Scaler([size], 1.0)(frame.reformat(format=pixel_format))[size]
            assert picture.shape == (*size, 3)
            assert np.abs(picture.astype(int) - 77).max() <= 2


def corners() -> Frames:
    """Four different quarters, one of them textured; (3, 64, 48, 3)."""
    picture = np.zeros((64, 48, 3), np.uint8)
    picture[:32, :24], picture[:32, 24:], picture[32:, :24] = (230, 30, 30), (30, 200, 60), (40, 60, 220)
    return np.repeat(picture[None], 3, 0)


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
@pytest.mark.parametrize("flips", [(), ("-display_hflip",), ("-display_vflip",)])
def test_turned_and_mirrored_pictures_are_upright(tmp_path: Path, angle: int, flips: tuple[str, ...]) -> None:
    write_video(tmp_path / "a.mp4", corners())
    ffmpeg("-display_rotation", str(angle), *flips, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    height, width = (48, 64) if angle % 180 else (64, 48)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(tmp_path / "b.mp4"), "-frames:v", "1"]
    shown = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, capture_output=True)
    expected = np.frombuffer(shown.stdout, np.uint8).reshape(height, width, 3)
    clips = read_clips(tmp_path / "b.mp4", num_frames=1, fps=8, sizes=[(height, width)], max_clips=1, limits=LIMITS)
    assert np.abs(clips[0].frames[height, width][0].astype(int) - expected).mean() < 3


# ----------------------------------------------------------------------------------------------- HDR, alpha, matrices


def pq(light: float) -> float:
    """cd/m2 -> coded value, 0 to 1 (SMPTE ST 2084)."""
    y = (light / 10000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375)


def hlg(scene: float) -> float:
    """Scene light, 0 to 1 -> coded value (ARIB STD-B67)."""
    if scene <= 1 / 12:
        return float(np.sqrt(3 * scene))
    return float(0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


def bt709(linear: float) -> float:
    return 255 * (1.099 * linear**0.45 - 0.099)


def hdr_video(path: Path, codes: list[float], transfer: str) -> list[float]:
    """Ten-bit HEVC of grey pictures with these coded values; the greys that we read."""
    frames = np.stack([np.full((64, 64, 3), round(255 * code), np.uint8) for code in codes])
    tags = f"log-level=none:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited"
    write_video(path, frames, codec="libx265", pixel_format="yuv420p10le", options={"crf": "1", "x265-params": tags})
    assert probe(path).pixel_format == "yuv420p10le"
    (clip,) = read_clips(path, num_frames=len(codes), fps=24, sizes=[(32, 32)], max_clips=1, limits=LIMITS)
    pictures = clip.frames[32, 32].astype(float)
    assert pictures.std(axis=(1, 2, 3)).max() < 1.5  # grey stays grey
    return [float(picture.mean()) for picture in pictures]


def test_hdr10_is_kept_below_white_and_rolled_off_above(tmp_path: Path) -> None:
    found = hdr_video(tmp_path / "a.mp4", [pq(light) for light in (20, 50, 100, 203, 400, 1000, 4000)], "smpte2084")
    for light, grey in zip((20, 50, 100), found, strict=False):
        assert abs(grey - bt709(light / 203)) < 5
    assert all(one + 1 < other for one, other in pairwise(found[:6]))
    assert found[5] < found[6] <= 255  # no two brightnesses are the same white
    assert 225 < found[3] < 245


def test_hlg_is_kept_below_white_and_rolled_off_above(tmp_path: Path) -> None:
    scenes = [0.02, 0.05, 0.1, 0.265, 0.6, 1.0]
    found = hdr_video(tmp_path / "a.mp4", [hlg(scene) for scene in scenes], "arib-std-b67")
    for scene, grey in zip(scenes[:3], found, strict=False):
        assert abs(grey - bt709(1000 * scene**1.2 / 203)) < 5
    assert all(one + 1 < other for one, other in pairwise(found))
    assert 225 < found[3] < 245  # 75 % HLG is the reference white


@pytest.mark.parametrize(("tag", "transfer"), [("smpte2084", 16), ("arib-std-b67", 18)])
def test_limited_range_of_hdr_is_stretched_to_the_whole_of_16_bits(tmp_path: Path, tag: str, transfer: int) -> None:
    """Each grey of lossless ten-bit video is that of its coded value, from black to white."""
    lumas = range(64, 941, 73)
    tags = f"log-level=none:lossless=1:colorprim=bt2020:transfer={tag}:colormatrix=bt2020nc:range=limited"
    with av.open(str(tmp_path / "a.mp4"), "w") as target:
        stream = target.add_stream("libx265", rate=24)
        stream.height = stream.width = 64
        stream.pix_fmt, stream.options = "yuv420p10le", {"bf": "0", "x265-params": tags}
        for luma in lumas:
            planes = np.full((96, 64), 512, np.uint16)
            planes[:64] = luma
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p10le")
            frame.colorspace, frame.color_range = 9, 1
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    (clip,) = read_clips(
        tmp_path / "a.mp4", num_frames=len(lumas), fps=24, sizes=[(32, 32)], max_clips=1, limits=LIMITS
    )
    for luma, picture in zip(lumas, clip.frames[32, 32], strict=True):
        exact = tone_map(np.full((1, 1, 3), round(65535 * (luma - 64) / 876), np.uint16), transfer)
        assert (picture == exact).all(), luma


def test_bt2020_colours_are_those_of_bt709(tmp_path: Path) -> None:
    """BT.709's red, as BT.2020 says it in PQ at 60 cd/m2."""
    light = 60 * np.array([0.6274, 0.0691, 0.0164])
    codes = [round(255 * pq(float(part))) for part in light]
    frames = np.broadcast_to(np.array(codes, np.uint8), (3, 64, 64, 3))
    tags = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited"
    # the encoder's input is converted by BT.601 unless options say otherwise
    av_frames = [av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24") for frame in frames]
    with av.open(str(tmp_path / "a.mp4"), "w") as target:
        stream = target.add_stream("libx265", rate=24)
        stream.height = stream.width = 64
        stream.pix_fmt, stream.options = "yuv420p10le", {"crf": "1", "x265-params": tags}
        for frame in av_frames:
            target.mux(stream.encode(frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)))
        target.mux(stream.encode(None))
    (clip,) = read_clips(tmp_path / "a.mp4", num_frames=1, fps=24, sizes=[(32, 32)], max_clips=1, limits=LIMITS)
    red, green, blue = clip.frames[32, 32][0].reshape(-1, 3).mean(0)
    assert abs(red - bt709(60 / 203)) < 6
    assert max(green, blue) < 40


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_vp8_and_vp9_keep_their_alpha(tmp_path: Path, codec: str) -> None:
    frames = np.full((12, 64, 64, 4), 255, np.uint8)
    frames[:, :, :32, 3], frames[:, :, 32:, 3] = 0, 128
    write_video(tmp_path / "a.mov", frames, codec="png", pixel_format="rgba")
    ffmpeg("-i", tmp_path / "a.mov", "-c:v", codec, "-pix_fmt", "yuva420p", "-crf", "4", "-b:v", "1M",
           "-auto-alt-ref", "0", tmp_path / "a.webm")  # fmt: skip
    (clip,) = read_clips(tmp_path / "a.webm", num_frames=3, fps=8, sizes=[(32, 32)], max_clips=1, limits=LIMITS)
    picture = clip.frames[32, 32][1]
    assert picture[:, :14].max() < 12
    assert np.abs(picture[:, 18:].astype(int) - 128).max() < 12


def test_a_real_file_with_alpha_is_composited_on_black() -> None:
    path = shared_data() / "clips/misc/transparent.webm"
    (clip,) = read_clips(path, num_frames=9, fps=8, sizes=[(100, 100)], max_clips=1, limits=LIMITS)
    frames = clip.frames[100, 100]
    assert frames[:, :4, :4].max() < 10  # its corners are transparent
    assert frames.max() > 100


@pytest.mark.parametrize(("height", "expected"), [(480, "bt601"), (720, "bt709")])
def test_the_colours_of_untagged_pictures_depend_on_their_size(height: int, expected: str) -> None:
    colour = np.broadcast_to(np.array((200, 40, 60), np.uint8), (height, height, 3))
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="rgb24")
    coded = rgb.reformat(format="yuv420p", dst_colorspace={"bt601": 5, "bt709": 1}[expected], dst_color_range=1)
    coded.colorspace, coded.color_range = 2, 0
    assert matrix(coded) == expected
    picture = Scaler([(32, 32)], 1.0)(coded)[(32, 32)]
    assert np.abs(picture.astype(int) - (200, 40, 60)).max() <= 3


@pytest.mark.parametrize("coding", ["YCgCo", "ICtCp"])
def test_codings_of_colour_that_are_not_converted_are_refused(tmp_path: Path, coding: str) -> None:
    options = {"x264-params": f"colormatrix={coding}"}
    write_video(tmp_path / "a.mp4", np.full((3, 32, 32, 3), 40, np.uint8), options=options)
    with pytest.raises(SourceError, match=f"colours: .*{coding}"):
        read_clips(tmp_path / "a.mp4", num_frames=1, fps=8, sizes=[(32, 32)], max_clips=1, limits=LIMITS)


def test_full_range_is_not_stretched(tmp_path: Path) -> None:
    frames = np.full((3, 64, 64, 3), 40, np.uint8)
    write_video(tmp_path / "a.mkv", frames, codec="mjpeg", pixel_format="yuvj420p", options={"qmin": "1"})
    (clip,) = read_clips(tmp_path / "a.mkv", num_frames=1, fps=8, sizes=[(32, 32)], max_clips=1, limits=LIMITS)
    assert np.abs(clip.frames[32, 32].astype(int) - 40).max() <= 2
    assert probe(tmp_path / "a.mkv").average_fps == Fraction(24)
