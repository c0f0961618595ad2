"""VP9 and AV1 are decoded from key frames on, and come out as if they had been decoded from the start."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.support.media import LIMITS, ffmpeg, moving, write_video
from walt.media.containers import open_video
from walt.media.decoding import VideoReader
from walt.media.images import SourceError
from walt.media.key_frames import classifier_by_key_frames
from walt.media.skipping import Unfit, make_plan
from walt.media.video import _read_all, _read_few, read_clips

SIZE = (48, 64)
LATE = [Fraction(5, 2) + Fraction(number, 8) for number in range(5)]
APART = [*LATE, *(1 + Fraction(number, 8) for number in range(3))]
CODECS = {
    "vp9": ("libvpx-vp9", {"crf": "30", "b": "0", "g": "16", "deadline": "realtime", "cpu-used": "8"}),
    "vp9 hidden frames": ("libvpx-vp9", {"crf": "30", "b": "0", "g": "16", "cpu-used": "5", "lag-in-frames": "12"}),
    "av1": ("libsvtav1", {"crf": "40", "preset": "10", "g": "16", "svtav1-params": "lp=1"}),
}  # fmt: skip


def make(path: Path, codec: str, start: Fraction = Fraction(0), side: int = 64) -> Path:
    name, options = CODECS[codec]
    times = [start + Fraction(number, 24) for number in range(96)]
    return write_video(path, moving(side, 96), codec=name, pixel_format="yuv420p", options=options, times=times)


def fed(path: Path, moments: Sequence[Fraction]) -> tuple[int, int]:
    """How many packets are decoded for these moments, and the number of jumps; the frames are compared."""
    with open(path, "rb") as stream:
        few = _read_few(stream, lambda _: [*moments], lambda _: [SIZE], LIMITS)
        stream.seek(0)
        plain = _read_all(stream, lambda _: [*moments], lambda _: [SIZE], LIMITS)
        assert (few.facts, few.late, few.pictures.keys()) == (plain.facts, plain.late, plain.pictures.keys())
        assert all(np.array_equal(few.pictures[at][SIZE], plain.pictures[at][SIZE]) for at in plain.pictures)
        stream.seek(0)
        with open_video(stream) as container:
            reader = VideoReader(container, LIMITS)
            packets = reader.scan()
            wanted = {max(pts for seconds, _, pts in packets if seconds <= at + Fraction(1, 1000)) for at in moments}
            plan = make_plan(reader._facts, frozenset(wanted))
            return len(plan.feed), len(plan.fresh)


@pytest.mark.parametrize("suffix", ["webm", "mp4"])
@pytest.mark.parametrize("codec", CODECS)
def test_decoding_starts_at_the_last_key_frame_before_each_moment(tmp_path: Path, codec: str, suffix: str) -> None:
    """A key frame comes every 16 frames, and 24 frames a second."""
    path = make(tmp_path / f"a.{suffix}", codec)
    assert fed(path, LATE) == (16 + 9, 1), "frames 60 to 72"
    assert fed(path, APART) == (15 + 16 + 9, 2), "and frames 24 to 30"
    assert fed(path, [Fraction(number, 8) for number in range(33)])[0] > 90


@pytest.mark.parametrize("suffix", ["webm", "mp4"])
def test_seconds_count_from_the_files_first_frame(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"a.{suffix}", "vp9", start=Fraction(7, 3))
    assert fed(path, LATE)[0] < 40


def test_a_damaged_packet_that_is_needed_leads_to_decoding_from_the_start(tmp_path: Path) -> None:
    path = make(tmp_path / "a.webm", "vp9")
    with open_video(open(path, "rb")) as container:
        packet = [bytes(packet) for packet in container.demux() if packet.size][57]
    data = bytearray(path.read_bytes())
    at = data.index(packet)
    data[at : at + len(packet)] = bytes([0x80 | packet[0]]) + bytes(len(packet) - 1)
    path.write_bytes(data)
    with open(path, "rb") as stream, pytest.raises(Unfit):
        _read_few(stream, lambda _: LATE, lambda _: [SIZE], LIMITS)
    assert fed(path, [Fraction(1)])[0] < 10, "what comes before it is not affected"


def test_a_size_that_changes_before_the_moments_is_refused(tmp_path: Path) -> None:
    """Where the change is in a stretch that is decoded; others are not looked at."""
    parts = []
    for number, side in enumerate((64, 48, 64)):
        parts.append(make(tmp_path / f"{number}.webm", "vp9", side=side))
    (tmp_path / "list").write_text("".join(f"file {part.name}\n" for part in parts))
    ffmpeg("-f", "concat", "-i", tmp_path / "list", "-c", "copy", tmp_path / "all.webm")
    for start, code in ((3.875, "size_changed"), (4.5, "size_changed"), (8.5, None)):
        try:
            read_clips(tmp_path / "all.webm", num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS,
                       starts=[start])  # fmt: skip
            found = None
        except SourceError as error:
            found = error.code
        assert found == code


def test_what_is_not_certain_is_not_tried() -> None:
    assert classifier_by_key_frames("h264") is None
    assert classifier_by_key_frames("vp8") is None
    vp9, av1 = classifier_by_key_frames("vp9"), classifier_by_key_frames("libdav1d")
    assert vp9 is not None
    assert av1 is not None
    kinds = {0x82: True, 0x86: False, 0x8A: False, 0xB0: True, 0xB2: False, 0xB4: False, 0xA2: True, 0x92: True}
    assert {first: vp9(memoryview(bytes([first])))[1] for first in kinds} == kinds
    header = b"\x0a\x01\0"
    for data, is_entry in (
        (header + b"\x32\x01\x10", True), (b"\x32\x01\x10", False), (header + b"\x32\x01\x30", False),
        (header + b"\x32\x01\x00", False), (header + b"\x1a\x01\x90", False), (b"\x12\0" + header + b"\x30\x10", True),
    ):  # fmt: skip
        assert av1(memoryview(data)) == (True, is_entry, False)
    for classify, data in ((vp9, b"\x42"), (av1, header), (av1, b"\x0a\x09\0"), (av1, b"\x0a\xff")):
        with pytest.raises(Unfit):
            classify(memoryview(data))
