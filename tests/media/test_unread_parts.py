"""Valid files of which FFmpeg shows something else than they hold: refused by name, never taken for what it shows."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from tests.support.media import LIMITS, counter, ffmpeg, read_counter, write_video
from walt.media.boxes import boxes
from walt.media.images import SourceError
from walt.media.video import probe, read_clips

SIZE = (32, 32)
GOP = "threads=1:keyint=12:min-keyint=12:scenecut=0:bframes=0"


def numbers(path: Path) -> list[list[int]]:
    """The frames of all clips of four frames, half a second each."""
    clips = read_clips(path, num_frames=4, fps=8, sizes=[SIZE], max_clips=9, limits=LIMITS)
    return [read_counter(clip.frames[SIZE]) for clip in clips]


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as refused:
        numbers(path)
    with pytest.raises(SourceError) as probed:
        probe(path)
    assert probed.value.code == refused.value.code
    return refused.value.code


def video(path: Path, first: int = 0, num: int = 24) -> Path:
    return write_video(path, counter(first + num)[first:], options={"crf": "1", "x264-params": GOP})


def parts(path: Path) -> list[tuple[bytes, bytes]]:
    """The boxes of a file with their headers."""
    with path.open("rb") as stream:
        found = [(kind, begin - 8, end) for kind, begin, end in boxes(stream, 0, path.stat().st_size)]
    data = path.read_bytes()
    return [(kind, data[begin:end]) for kind, begin, end in found]


def fragments(path: Path, flag: str = "frag_keyframe", num: int = 48, gop: str = GOP) -> list[tuple[bytes, bytes]]:
    """The boxes of a fragmented MP4, without the index at its end."""
    whole = write_video(path.with_suffix(".whole.mp4"), counter(num), options={"crf": "1", "x264-params": gop})
    ffmpeg("-i", whole, "-c", "copy", "-movflags", f"+empty_moov+default_base_moof+{flag}", path)
    return [part for part in parts(path) if part[0] != b"mfra"]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_edits(source: Path, target: Path, edits: list[tuple[Fraction, Fraction | None]], rate: float = 1.0) -> Path:
    """The same video with another edit list: pairs of a length and where it begins in the media, None: nowhere.

    Args:
        rate: of the last one.
    """
    data = source.read_bytes()
    first = data.index(b"elst") + 12
    (start,) = struct.unpack_from(">i", data, first + 4)
    media = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    entries = b"".join(
        struct.pack(">IiI", int(length * movie), -1 if at is None else start + int(at * media), 1 << 16)
        for length, at in edits
    )
    entries = entries[:-4] + struct.pack(">I", int(rate * 65536))
    table = box(b"elst", struct.pack(">II", 0, len(edits)) + entries)
    old = data.index(b"edts") - 4
    (size,) = struct.unpack_from(">I", data, old)
    new = box(b"edts", table)
    changed = bytearray(data[:old] + new + data[old + size :])
    for kind in (b"moov", b"trak"):  # the boxes around it have grown; the moov is the last box
        at = data.index(kind) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", data, at)[0] + len(new) - size)
    target.write_bytes(changed)
    return target


HALF = Fraction(1, 2)


def test_pieces_of_an_edit_list_follow_each_other_and_one_with_a_pause_is_refused(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", counter(48), options={"crf": "1", "x264-params": f"{GOP}:bframes=2"})
    pieces = with_edits(whole, tmp_path / "b.mp4", [(HALF, Fraction(0)), (HALF, Fraction(1))])
    assert numbers(pieces) == [[0, 3, 6, 9], [24, 27, 30, 33]]
    late = with_edits(whole, tmp_path / "c.mp4", [(HALF, None), (Fraction(1), Fraction(0))])
    assert numbers(late) == [[0, 3, 6, 9], [12, 15, 18, 21]]
    trimmed = with_edits(whole, tmp_path / "e.mp4", [(Fraction(1), Fraction(1, 4))])
    assert numbers(trimmed) == [[6, 9, 12, 15], [18, 21, 24, 27]]
    pause = with_edits(whole, tmp_path / "d.mp4", [(HALF, Fraction(0)), (Fraction(1), None), (HALF, Fraction(1))])
    assert refusal(pause) == "edits"


@pytest.mark.parametrize("rate", [0, 0.5, 2])
def test_edits_at_another_rate_are_refused(tmp_path: Path, rate: float) -> None:
    whole = video(tmp_path / "a.mp4", num=48)
    pieces = [(HALF, Fraction(0)), (HALF, HALF)]
    assert numbers(with_edits(whole, tmp_path / "b.mp4", pieces)) == [[0, 3, 6, 9], [12, 15, 18, 21]]
    assert refusal(with_edits(whole, tmp_path / "c.mp4", pieces, rate)) == "edits"


def test_a_single_edit_of_the_rate_0_is_the_mistake_of_a_writer(tmp_path: Path) -> None:
    whole = video(tmp_path / "a.mp4")
    assert numbers(with_edits(whole, tmp_path / "b.mp4", [(Fraction(1), Fraction(0))], rate=0)) == numbers(whole)
    assert refusal(with_edits(whole, tmp_path / "c.mp4", [(Fraction(1), Fraction(0))], rate=0.25)) == "edits"


def test_a_second_mp4_behind_the_first_is_not_lost_in_silence(tmp_path: Path) -> None:
    first, second = video(tmp_path / "a.mp4"), video(tmp_path / "b.mp4", first=24)
    joined = tmp_path / "c.mp4"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    assert refusal(joined) == "joined"


def test_fragments_whose_time_begins_again_are_not_lost_in_silence(tmp_path: Path) -> None:
    found = fragments(tmp_path / "a.mp4")
    header, rest = found[:2], found[2:]
    joined = tmp_path / "b.mp4"
    joined.write_bytes(b"".join(data for _, data in header + rest + rest))
    assert refusal(joined) == "joined"
    again = tmp_path / "c.mp4"  # the header once more, as between the parts of a stream
    again.write_bytes(b"".join(data for _, data in header + rest[:2] + header + rest[2:]))
    assert numbers(again) == [[0, 3, 6, 9], [12, 15, 18, 21], [24, 27, 30, 33], [36, 39, 42, 45]]


def test_a_fragmented_mp4_that_was_recorded_from_some_moment_on_is_whole(tmp_path: Path) -> None:
    """Its clock is that of the stream: what lies before it is neither missing nor part of its length."""
    found = fragments(tmp_path / "a.mp4")
    path = tmp_path / "b.mp4"
    path.write_bytes(b"".join(data for _, data in found[:2] + found[6:]))
    assert probe(path).seconds == pytest.approx(1, abs=0.01)
    short = replace(LIMITS, max_seconds=1.5)
    clips = read_clips(path, num_frames=4, fps=8, sizes=[SIZE], max_clips=9, limits=short)
    assert [read_counter(clip.frames[SIZE]) for clip in clips] == [[24, 27, 30, 33], [36, 39, 42, 45]]
    assert [clip.start_seconds for clip in clips] == [0.0, 0.5]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match=r"truncated: the header promises some frames in 1\.00 s"):
        numbers(path)


def test_what_follows_a_lost_fragment_is_damage_up_to_the_next_key_frame(tmp_path: Path) -> None:
    found = fragments(tmp_path / "a.mp4", "frag_every_frame")
    moofs = [number for number, (kind, _) in enumerate(found) if kind == b"moof"]
    lost = {number + part for number in moofs[14:16] for part in (0, 1)}
    path = tmp_path / "b.mp4"
    path.write_bytes(b"".join(data for number, (_, data) in enumerate(found) if number not in lost))
    assert numbers(path) == [[0, 3, 6, 9], [24, 27, 30, 33], [36, 39, 42, 45]]
    path.write_bytes(b"".join(data for _, data in found))
    assert len(numbers(path)) == 4


def test_a_matroska_file_behind_another_goes_on_with_a_cut_at_the_join(tmp_path: Path) -> None:
    for suffix in ("mkv", "webm"):
        codec, options = ("libx264", {"crf": "1"}) if suffix == "mkv" else ("libvpx-vp9", {"lossless": "1"})
        files = [
            write_video(tmp_path / f"{first}.{suffix}", counter(first + 20)[first:], codec=codec, options=options)
            for first in (0, 20)
        ]
        joined = tmp_path / f"joined.{suffix}"
        joined.write_bytes(b"".join(path.read_bytes() for path in files))
        assert numbers(joined) == [[0, 3, 6, 9], [20, 23, 26, 29]]


def test_a_heif_picture_of_tiles_is_not_one_of_its_tiles(tmp_path: Path) -> None:
    """The description is as phones write it; it is refused before any tile is decoded."""
    entries = [box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind + b"\0")
               for number, kind in ((1, b"av01"), (2, b"av01"), (3, b"grid"))]  # fmt: skip
    items = box(b"iinf", bytes(4) + struct.pack(">H", len(entries)) + b"".join(entries))
    path = tmp_path / "photo"
    path.write_bytes(box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + items))
    with pytest.raises(SourceError, match="of several tiles"):
        probe(path)


def test_a_heif_picture_with_transparency_is_not_its_colours_alone(tmp_path: Path) -> None:
    """What Pillow does not read: an animated AVIF, a picture in HDR."""
    shown = [Image.new("RGBA", SIZE, (200, 40, 40, 60 * number)) for number in range(4)]
    shown[0].save(path := tmp_path / "a.avif", save_all=True, append_images=shown[1:], duration=125)
    assert refusal(path) == "colours"
    shown[0].convert("RGB").save(path, save_all=True, append_images=shown[1:], duration=125)
    assert probe(path).width == SIZE[0]


def test_hevc_coded_as_fields_is_refused(tmp_path: Path) -> None:
    """FFmpeg gives each field as a picture of half the height."""
    whole, path = video(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    coder = ["-c:v", "libx265", "-x265-params", "log-level=none:pools=1:interlace=tff"]
    ffmpeg("-i", whole, "-vf", "scale=64:128,format=yuv420p,separatefields", *coder, path)
    with pytest.raises(SourceError, match="codec: HEVC of which each picture is one field"):
        numbers(path)


def test_flv_files_one_after_the_other_are_refused(tmp_path: Path) -> None:
    """FFmpeg takes the second header for a tag of 5 MB, and reads nothing of a shorter recording behind it."""
    paths = [write_video(tmp_path / f"{n}.flv", counter(24), pixel_format="yuv420p") for n in range(2)]
    assert numbers(paths[0]) == [[0, 3, 6, 9], [12, 15, 18, 21]]
    both = tmp_path / "both.flv"
    both.write_bytes(b"".join(path.read_bytes() for path in paths))
    with pytest.raises(SourceError, match=f"joined.* near byte {paths[0].stat().st_size}"):
        numbers(both)


@pytest.mark.parametrize("behind", [b"", bytes(1000) + b"FLV" + bytes(1000)])
def test_an_flv_that_was_cut_is_not_taken_for_two(tmp_path: Path, behind: bytes) -> None:
    data = write_video(tmp_path / "a.flv", counter(24), pixel_format="yuv420p").read_bytes()
    (path := tmp_path / "cut.flv").write_bytes(data[: len(data) // 2] + behind)
    with pytest.raises(SourceError, match="truncated"):
        numbers(path)


def test_an_mp4_whose_recording_did_not_end_is_named(tmp_path: Path) -> None:
    """A camera without power, a download that was cut: the index is written at the end."""
    whole = parts(video(tmp_path / "whole.mp4"))
    assert [kind for kind, _ in whole][-1] == b"moov"
    without = tmp_path / "without.mp4"
    without.write_bytes(b"".join(content for kind, content in whole if kind != b"moov"))
    with pytest.raises(SourceError, match=r"format: its index \(moov\) is missing.* was not finished") as refused:
        probe(without)
    assert refused.value.code == "format"


def test_a_piece_of_a_stream_without_its_header_is_named(tmp_path: Path) -> None:
    """A segment of DASH or HLS that was saved alone."""
    pieces = fragments(tmp_path / "a.mp4")
    segment = tmp_path / "1.m4s"
    segment.write_bytes(b"".join(content for kind, content in pieces if kind in (b"moof", b"mdat")))
    with pytest.raises(SourceError, match=r"format: a piece of a stream without its header \(moov\)"):
        probe(segment)


def test_what_is_no_mp4_is_not_said_to_lack_an_index(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("this is a text and no video at all")
    with pytest.raises(SourceError, match="not one of the video formats"):
        probe(text)
