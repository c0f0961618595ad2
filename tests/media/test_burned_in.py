"""Real clips whose frames say which they are: the numbers are read off the pixels, so that the choice of frames is
checked only by what the pictures show, not by code of this project."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.support.media import LIMITS, Frames, shared_data
from walt.media.video import iterate_frames, read_clips

Ink = NDArray[np.float64]
"""(H, W), 0 paper to 1 ink."""


OPENINGS = np.ones((24, 16))
OPENINGS[13:17, :4] = OPENINGS[4:8, :4] = OPENINGS[4:8, 12:] = 6
"""Where digits of all typefaces differ: the openings of 2, 3, 5, 6 and 9 at their sides."""


def trim(ink: Ink) -> tuple[Ink, float]:
    """A glyph without its margins at 24x16, and its width / height."""
    rows, columns = np.flatnonzero((ink > 0.5).any(1)), np.flatnonzero((ink > 0.5).any(0))
    glyph = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = Image.fromarray((glyph * 255).astype(np.uint8)).resize((16, 24), Image.Resampling.BILINEAR)
    return np.asarray(small) / 255, glyph.shape[1] / glyph.shape[0]


@cache
def digits() -> list[Ink]:
    """The ten digits as matplotlib's DejaVu Sans draws them."""
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 48)
    glyphs = []
    for digit in range(10):
        paper = Image.new("L", (80, 80))
        ImageDraw.Draw(paper).text((10, 5), str(digit), fill=255, font=font)
        glyphs.append(trim(np.asarray(paper) / 255)[0])
    return glyphs


def read_glyph(ink: Ink) -> str:
    """A digit, or a colon, which is in two parts."""
    rows = (ink > 0.5).any(1).astype(int)
    if (np.diff(rows, prepend=0) > 0).sum() > 1:
        return ":"
    glyph, shape = trim(ink)
    if shape < 0.5:  # a 1 without a foot, which DejaVu's has
        return "1"
    return str(np.argmin([float((OPENINGS * (glyph - digit) ** 2).mean()) for digit in digits()]))


def read_line(ink: Ink) -> str:
    """The glyphs of a line of text, parted by columns without ink."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (ink > 0.5).any(0).astype(int), [0]])))
    return "".join(read_glyph(ink[:, start:end]) for start, end in zip(edges[::2], edges[1::2], strict=True))


def timecode(picture: Frames) -> str:
    """Of example.mp4 at its own size, 640x480: hours:minutes:seconds:frames, white on black."""
    return read_line(picture[218:264, 194:446].mean(-1) / 255)


def frame_number(picture: Frames) -> str:
    """Of h265_video.mp4 at its own size, 128x128: white on blue; the last glyph."""
    return read_line(picture[45:85, 100:, 0] / 255)[-1]


def expected(frame: int) -> str:
    """The clip begins at five seconds."""
    return f"00:00:{5 + frame // 25:02d}:{frame % 25:02d}"


@pytest.mark.slow
def test_the_timecode_of_every_frame() -> None:
    path = shared_data() / "clips/misc/example.mp4"
    pictures = list(iterate_frames(path, fps=25, fit=lambda size: size, limits=LIMITS))
    assert [timecode(picture) for picture in pictures] == [expected(frame) for frame in range(50)]


def test_the_timecode_of_chosen_frames() -> None:
    """8 a second out of 25: the frame on the screen k/8 s after the first is number floor(25 k / 8)."""
    path = shared_data() / "clips/misc/example.mp4"
    for fps, starts in ((8.0, [0.0, 0.5, 1.3]), (5.0, [0.04, 1.0]), (25.0, [1.6])):
        clips = read_clips(path, num_frames=5, fps=fps, sizes=[(480, 640)], max_clips=9, limits=LIMITS, starts=starts)
        assert [clip.start_seconds for clip in clips] == starts
        for clip in clips:
            shown = [int((clip.start_seconds + k / fps) * 25 + 0.026) for k in range(5)]
            assert [timecode(picture) for picture in clip.frames[480, 640]] == [expected(frame) for frame in shown]


def test_the_number_of_chosen_frames() -> None:
    """HEVC at 10 frames a second."""
    path = shared_data() / "clips/misc/h265_video.mp4"
    for fps, numbers in ((10, "0123456789"), (5, "02468"), (4, "0257"), (20, "00112233445566778899")):
        clips = read_clips(path, num_frames=len(numbers), fps=fps, sizes=[(128, 128)], max_clips=1, limits=LIMITS)
        assert "".join(frame_number(picture) for picture in clips[0].frames[128, 128]) == numbers
    (clip,) = read_clips(path, num_frames=2, fps=10, sizes=[(128, 128)], max_clips=1, limits=LIMITS, starts=[0.7])
    assert [frame_number(picture) for picture in clip.frames[128, 128]] == ["7", "8"]
