"""Contact sheets: every picture whole and in its place, captions within theirs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from walt.pages.contact_sheet import Tile, _font, _wrap, contact_sheet, first_middle_last, strip_jpeg

Picture = NDArray[np.uint8]


def plain(colour: tuple[int, int, int], height: int = 32, width: int = 32) -> Picture:
    return np.broadcast_to(np.array(colour, dtype=np.uint8), (height, width, 3)).copy()


def count(sheet: Picture, colour: tuple[int, int, int]) -> int:
    return int((sheet == np.array(colour)).all(axis=-1).sum())


@pytest.mark.slow
def test_every_picture_is_whole_and_enlarged_by_a_whole_number() -> None:
    colours = [(200, number, frame) for number in range(7) for frame in range(3)]
    tiles = [Tile([plain(colour) for colour in colours[3 * n : 3 * n + 3]], "word " * 40, "note") for n in range(7)]
    sheet = contact_sheet("title", "subtitle", tiles)
    assert [count(sheet, colour) for colour in colours] == [(4 * 32) ** 2] * 21, "nothing covers a picture"
    places = {colour: np.argwhere((sheet == np.array(colour)).all(axis=-1)).min(axis=0) for colour in colours}
    first, middle, last, other = (places[colour] for colour in colours[:4])
    assert first[0] == middle[0] == last[0] == other[0], "aligned"
    assert middle[1] - first[1] == last[1] - middle[1] == 4 * 32 + 3


@pytest.mark.parametrize(("height", "width"), [(512, 512), (16, 2000), (900, 100)])
def test_large_pictures_are_made_smaller(height: int, width: int) -> None:
    sheet = contact_sheet("title", "subtitle", [Tile([plain((250, 0, 0), height, width)], "caption", "note")])
    assert 0 < count(sheet, (250, 0, 0)) <= 320 * 128
    assert sheet.shape[0] < 400


def test_a_row_is_as_high_as_its_longest_caption() -> None:
    def height(*captions: str) -> int:
        return int(contact_sheet("t", "s", [Tile([plain((0, 0, 0))], text, "n") for text in captions]).shape[0])

    assert height("short", "short") < height("short", "long " * 12) < height("short", "long " * 20)
    assert height("long " * 40) == height("long " * 400), "a caption has so many lines at most"


def test_no_tile_at_all() -> None:
    assert contact_sheet("title", "subtitle", []).shape[1] == 640


def test_lines_fit_and_lose_only_what_an_ellipsis_replaces() -> None:
    font = _font(15)
    text = "A dark-haired woman in a green patterned top brushes eye shadow onto her eyelid."
    lines = _wrap(text, font, 200, 9)
    assert " ".join(lines) == text
    assert all(font.getlength(line) <= 200 for line in lines)
    cut = _wrap(text, font, 200, 2)
    assert cut[0] == lines[0]
    assert cut[1].endswith("…")
    assert text.startswith(f"{cut[0]} {cut[1][:-1]}")
    assert font.getlength(cut[1]) <= 200
    assert "".join(_wrap("x" * 100, font, 200, 9)) == "x" * 100, "a word that is too long is split"
    assert _wrap("", font, 200, 3) == [""]


def test_first_middle_last() -> None:
    clip = np.arange(17, dtype=np.uint8)[:, None, None, None]
    assert [int(frame[0, 0, 0]) for frame in first_middle_last(clip)] == [0, 8, 16]
    assert [len(first_middle_last(clip[:frames])) for frames in (1, 2, 3)] == [1, 2, 3]


def test_a_strip_for_a_page() -> None:
    data = strip_jpeg([plain((200, 0, 0)), plain((0, 200, 0))])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (66, 32)
        pixels = np.asarray(image).astype(int)
    assert abs(pixels[16, 10] - (200, 0, 0)).max() < 10
    assert abs(pixels[16, 60] - (0, 200, 0)).max() < 10
