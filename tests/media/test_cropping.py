"""What a container crops away is not in the pictures, and what it leaves has the shape that players show."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.support.media import ffmpeg, write_video
from walt.media.cropping import Cropping, croppings
from walt.media.images import Limits, SourceError
from walt.media.video import SourceFacts, read_clips

LIMITS = Limits(16, 1 << 24, 60.0)


def letterboxed() -> np.ndarray:
    """24 frames of 96x64: white bars of 16 rows above and below a grey picture of 96x32."""
    frames = np.full((24, 64, 96, 3), 255, np.uint8)
    frames[:, 16:48] = 90
    return frames


def matroska(tmp_path: Path) -> Path:
    """Its elements of the display's size are made those of the cropping, which have the same length."""
    plain, path = write_video(tmp_path / "plain.mkv", letterboxed(), fps=8), tmp_path / "a.mkv"
    ffmpeg("-i", str(plain), "-c", "copy", "-aspect", "4:1", str(path))
    data = path.read_bytes()
    for old, new in ((b"\x54\xb0", b"\x54\xbb"), (b"\x54\xba", b"\x54\xaa")):
        at = data.index(old, data.index(b"\x16\x54\xae\x6b"))
        length = data[at + 2] & 0x7F
        data = data[:at] + new + data[at + 2 : at + 3] + (16).to_bytes(length, "big") + data[at + 3 + length :]
    path.write_bytes(data)
    return path


def test_cropping_of_matroska_is_read_and_applied_once(tmp_path: Path) -> None:
    path = matroska(tmp_path)
    assert croppings(io.BytesIO(path.read_bytes())) == [Cropping(0, 16, 96, 32, Fraction(1))]
    shown: list[SourceFacts] = []

    def fit(facts: SourceFacts) -> list[tuple[int, int]]:
        shown.append(facts)
        return [(32, 96), (16, 16)]

    (clip,) = read_clips(path, num_frames=5, fps=8, sizes=fit, max_clips=1, limits=LIMITS)
    assert {(facts.height, facts.width) for facts in shown} == {(32, 96)}
    for pictures in clip.frames.values():
        assert int(pictures.max()) < 120, "no bar is in the pictures"


def dolby_vision(tmp_path: Path, suffix: str, base: int) -> Path:
    """A file that says it is Dolby Vision, profile 5; ``base``: which other players can show it (0: none)."""
    data = bytearray(write_video(tmp_path / "plain.mp4", letterboxed(), fps=8).read_bytes())
    record = bytes([1, 0, 5 << 1, 3 << 3 | 5, base << 4]) + bytes(19)
    box = struct.pack(">I4s", 8 + len(record), b"dvcC") + record
    at = data.index(b"avcC") - 4
    at += struct.unpack_from(">I", data, at)[0]
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):  # behind the pictures: nothing moves
        place = data.rindex(name, 0, at) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + len(box))
    data[at:at] = box
    (tmp_path / "a.mp4").write_bytes(data)
    if suffix == "mkv":
        ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-strict", "unofficial", tmp_path / "a.mkv")
    return tmp_path / f"a.{suffix}"


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("base", [0, 1, 4])
def test_colours_of_dolby_vision_alone_are_refused(tmp_path: Path, suffix: str, base: int) -> None:
    path = dolby_vision(tmp_path, suffix, base)
    if base:
        (clip,) = read_clips(path, num_frames=5, fps=8, sizes=[(64, 96)], max_clips=1, limits=LIMITS)
        assert clip.frames[64, 96].shape == (5, 64, 96, 3)
        return
    with pytest.raises(SourceError, match="colours: Dolby Vision profile 5"):
        read_clips(path, num_frames=5, fps=8, sizes=[(64, 96)], max_clips=1, limits=LIMITS)


def test_a_file_without_cropping_is_as_before(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.mp4"):
        path = write_video(tmp_path / name, letterboxed(), fps=8)
        assert croppings(io.BytesIO(path.read_bytes())) == [None]
        (clip,) = read_clips(path, num_frames=5, fps=8, sizes=[(64, 96)], max_clips=1, limits=LIMITS)
        assert int(clip.frames[64, 96].max()) > 250


@pytest.mark.parametrize("end", [0, 4, 11, 40, 200])
def test_a_damaged_header_has_no_cropping(tmp_path: Path, end: int) -> None:
    data = matroska(tmp_path).read_bytes()
    assert croppings(io.BytesIO(data[:end])) == []


def test_the_clean_aperture_of_mp4_is_read_and_applied(tmp_path: Path) -> None:
    """FFmpeg writes it for what Matroska crops."""
    path = tmp_path / "b.mp4"
    ffmpeg("-i", str(matroska(tmp_path)), "-c", "copy", str(path))
    assert b"clap" in path.read_bytes()
    assert croppings(io.BytesIO(path.read_bytes())) == [Cropping(0, 16, 96, 32, Fraction(1))]
    (clip,) = read_clips(path, num_frames=5, fps=8, sizes=[(32, 96)], max_clips=1, limits=LIMITS)
    assert int(clip.frames[32, 96].max()) < 120
