"""Contact sheets: pictures of many clips on one, each with its caption beneath."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont

from walt.media.images import Clip, Picture

FRAMES = 3
"""Of a clip: first, middle, last."""

_PAGE, _CARD, _LINE, _INK, _MUTED = "#faf9f7", "#ffffff", "#e7e3dc", "#1d1c1a", "#6d6860"
_WIDTH, _MARGIN, _GAP, _PAD = 1560, 28, 16, 12
_HEIGHT = 128
"""Of a frame on the sheet in pixels; small frames are enlarged by a whole number, so that their pixels stay as they
are."""
_WIDEST = 320
_LINES = 4
"""Of a caption."""


@dataclass(frozen=True)
class Tile:
    """One tile of the sheet."""

    frames: Sequence[Picture]
    """(H, W, 3), one to ``FRAMES`` of one size."""
    caption: str
    note: str
    """One muted line."""


def first_middle_last(clip: Clip) -> list[Picture]:
    """Three frames of a clip (T, H, W, 3); of a shorter clip, all of its frames."""
    places = sorted({0, (len(clip) - 1) // 2, len(clip) - 1})
    return [clip[place] for place in places]


def strip_jpeg(frames: Sequence[Picture]) -> bytes:
    """Frames of one size, side by side, as a JPEG file's bytes; for pages, where size counts."""
    gap = np.full((frames[0].shape[0], 2, 3), 255, dtype=np.uint8)
    parts = [part for frame in frames for part in (gap, frame)][1:]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(parts, axis=1)).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def contact_sheet(title: str, subtitle: str, tiles: Sequence[Tile]) -> Picture:
    """All tiles in rows, (H, W, 3). The rows are as high as their longest caption."""
    strips = [_strip(tile.frames) for tile in tiles]
    widest = max((strip.width for strip in strips), default=0)
    card = max(widest, 260) + 2 * _PAD
    columns = max(1, min(len(tiles), (_WIDTH - 2 * _MARGIN + _GAP) // (card + _GAP)))
    regular, small, large = _font(15), _font(12), _font(26, "bold")
    captions = [_wrap(tile.caption, regular, card - 2 * _PAD, _LINES) for tile in tiles]
    notes = [_wrap(tile.note, small, card - 2 * _PAD, 1) for tile in tiles]

    rows = [range(start, min(start + columns, len(tiles))) for start in range(0, len(tiles), columns)]
    heights = [
        max(strips[index].height + 20 * len(captions[index]) for index in row) + 16 + 2 * _PAD + 10 for row in rows
    ]
    top = 100
    width = max(2 * _MARGIN + columns * (card + _GAP) - _GAP, 640)
    sheet = Image.new("RGB", (width, top + sum(heights) + _GAP * len(rows) + _MARGIN - _GAP), _PAGE)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, 24), _wrap(title, large, width - 2 * _MARGIN, 1)[0], _INK, large)
    draw.text((_MARGIN, 62), _wrap(subtitle, regular, width - 2 * _MARGIN, 1)[0], _MUTED, regular)
    y = top
    for row, height in zip(rows, heights, strict=True):
        for column, index in enumerate(row):
            x = _MARGIN + column * (card + _GAP)
            draw.rounded_rectangle((x, y, x + card, y + height), 10, _CARD, _LINE)
            sheet.paste(strips[index], (x + _PAD, y + _PAD))
            line = y + _PAD + strips[index].height + 8
            for text in captions[index]:
                draw.text((x + _PAD, line), text, _INK, regular)
                line += 20
            draw.text((x + _PAD, y + height - _PAD - 13), notes[index][0], _MUTED, small)
        y += height + _GAP
    return np.asarray(sheet)


def _strip(frames: Sequence[Picture]) -> Image.Image:
    """Frames side by side, at the size of the sheet."""
    height, width = frames[0].shape[:2]
    factor = min(_HEIGHT / height, _WIDEST / width)
    how = Image.Resampling.LANCZOS
    if factor >= 1:
        factor, how = int(factor), Image.Resampling.NEAREST
    size = max(1, round(width * factor)), max(1, round(height * factor))
    strip = Image.new("RGB", (len(frames) * (size[0] + 3) - 3, size[1]), _CARD)
    for number, frame in enumerate(frames):
        strip.paste(Image.fromarray(frame).resize(size, how), (number * (size[0] + 3), 0))
    return strip


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """The text in at most so many lines of at most ``width`` pixels; an ellipsis replaces the rest."""
    words = " ".join(text.split())
    wrapped: list[str] = []
    while words and len(wrapped) < lines:
        # characters that surely fit, then as many more as do
        count = 1
        while count < len(words) and font.getlength(words[: count + 1]) <= width:
            count += 1
        if count < len(words) and len(wrapped) == lines - 1:
            while count > 1 and font.getlength(words[:count].rstrip() + "\N{HORIZONTAL ELLIPSIS}") > width:
                count -= 1
            return [*wrapped, words[:count].rstrip() + "\N{HORIZONTAL ELLIPSIS}"]
        if count < len(words) and " " in words[: count + 1]:
            count = words[: count + 1].rindex(" ")
        wrapped.append(words[:count].rstrip())
        words = words[count:].lstrip()
    return wrapped or [""]


def _font(size: int, weight: str = "normal") -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same on every machine. Scripts that it lacks are boxes here; the
    page has the browser's fonts."""
    path = findfont(FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
