"""A file's kind comes from its bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.media import LIMITS, counter, ffmpeg, read_counter, write_video
from walt.media.images import SourceError
from walt.media.kinds import is_media, kind_in_file, kind_of
from walt.media.stills import read_picture
from walt.media.video import iterate_frames, probe, read_clips

SIZE = (32, 32)


def animation(path: Path) -> Path:
    pictures = [Image.fromarray(frame) for frame in counter(12)]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=125, **options)
    return path


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("name", ["a.mp4", "a", "a.gif"])
def test_a_still_is_a_picture_whatever_its_name_is(tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / name
    Image.new("RGB", (32, 24), (10, 200, 30)).save(path, form)
    assert kind_in_file(path, "video") == "image"
    assert read_picture(path, LIMITS).shape == (24, 32, 3)


def test_an_avif_in_hdr_is_read_as_a_video_of_one_frame(tmp_path: Path) -> None:
    """FFmpeg says what its levels mean; it is tone-mapped, as other HDR is."""
    tags = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    source = ["-f", "lavfi", "-i", f"color=white:s=64x48:d=1,{tags}", "-frames:v", "1"]
    ffmpeg(*source, "-c:v", "libaom-av1", "-still-picture", "1", "-cpu-used", "8", path := tmp_path / "a.avif")
    assert kind_of(path.name) == "image"
    assert kind_in_file(path, "image") == kind_in_file(path, "video") == "video"
    clips = read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=9, limits=LIMITS, accept_still=True)
    assert [len(clip.frames[SIZE]) for clip in clips] == [1]
    with pytest.raises(SourceError, match="colours: AVIF in HDR"):
        read_picture(path, LIMITS)


def test_pages_of_a_tiff_are_no_animation(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (32, 24), (level, 0, 0)) for level in (10, 200)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    assert kind_in_file(tmp_path / "a.tiff", "image") == "image"
    assert read_picture(tmp_path / "a.tiff", LIMITS)[0, 0].tolist() == [10, 0, 0]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv", "ts", "mpg", "asf"])
def test_a_video_is_a_video_whatever_its_name_is(tmp_path: Path, suffix: str) -> None:
    codec = {"mpg": "mpeg2video", "flv": "flv", "asf": "mpeg4", "avi": "mpeg4"}.get(suffix, "copy")
    path = write_video(tmp_path / "v.mp4", counter(8))
    if suffix != "mp4":
        ffmpeg("-i", path, "-c:v", codec, tmp_path / f"v.{suffix}")
    assert kind_in_file((tmp_path / f"v.{suffix}").rename(tmp_path / "a.png"), "image") == "video"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.VOB", "video"), ("a.qt", "video"), ("a.f4v", "video"), ("a.jfif", "image"), ("a.avif", "image")],
)
def test_rarer_suffixes_are_media(name: str, kind: str) -> None:
    assert is_media(name)
    assert kind_of(name) == kind


@pytest.mark.parametrize("suffix", ["png", "gif", "avif"])
def test_an_animation_that_ffmpeg_reads_is_a_video(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"a.{suffix}").rename(tmp_path / "a.png")
    assert kind_in_file(path, "image") == "video"
    clips = read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=9, limits=LIMITS)
    assert [read_counter(clip.frames[SIZE]) for clip in clips] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert probe(path).width == 32
    assert len(list(iterate_frames(path, fps=8, fit=lambda size: size, limits=LIMITS))) == 12


@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_an_animation_is_not_read_as_a_still(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"a.{suffix}")
    with pytest.raises(SourceError, match="not a still; convert it to a video or GIF") as caught:
        read_picture(path, LIMITS)
    assert caught.value.code == "animated"


def test_an_animated_webp_counts_as_a_picture_so_that_its_refusal_names_the_cause(tmp_path: Path) -> None:
    assert kind_in_file(animation(tmp_path / "a.webp"), "video") == "image"


@pytest.mark.parametrize("listed", ["video", "image"])
def test_what_nobody_knows_stays_what_it_is_listed_as(tmp_path: Path, listed: str) -> None:
    (tmp_path / "text").write_text("hello, world\n" * 9)
    (tmp_path / "empty").touch()
    for name in ("text", "empty", "gone", "."):
        assert kind_in_file(tmp_path / name, listed) == listed  # type: ignore[arg-type]
