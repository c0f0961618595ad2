"""Pictures in memory: cropping and resizing, PNG bytes, the pixels of decoded frames; and why a source is refused.

Pictures are numpy arrays (H, W, 3) uint8 RGB. Transparent pixels are composited on black.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from walt.core.pointers import LOOKED_AT, pointer_in
from walt.core.sizes import Size

Picture = NDArray[np.uint8]
Clip = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""

EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""Flags of colour conversions."""


class SourceError(Exception):
    """A source file that cannot be used. It becomes a row of the rejects table and does not end the run.

    Attributes:
        code: short and stable: ``empty``, ``not_fetched`` (a pointer of Git LFS or git-annex), ``format``,
            ``no_video``, ``too_short``, ``too_small``, ``too_large``, ``too_long``, ``truncated``, ``decode``,
            ``codec``, ``colours`` (coded in a way that is not converted),
            ``size_changed``, ``no_timestamps``, ``no_rate``, ``unreadable``, ``aspect``, ``shot_cut``, ``damaged``,
            ``edits``, ``joined`` and ``encrypted`` (see ``walt.media.unread_parts``),
            ``animated`` (an animation that only Pillow reads), ``internal`` (an error of this program or of a library);
            of a folder of frames also ``no_frames``, ``mixed_frames``, ``missing_frame``, ``repeated_frame``,
            ``changed``.
        cause: one line for people.
    """

    def __init__(self, code: str, cause: str) -> None:
        super().__init__(f"{code}: {cause}")
        self.code, self.cause = code, cause


@dataclass(frozen=True)
class Limits:
    """Limits on a source, checked by its header before anything is decoded."""

    min_side: int
    max_pixels: int
    max_seconds: float
    """Of a video, or of the span that is used of it: see ``around``."""

    def check_size(self, width: int, height: int) -> None:
        """Raise SourceError for a picture of this stored size that is too small or too large."""
        if min(width, height) < self.min_side:
            raise SourceError("too_small", f"{width}x{height} pixels, the smallest side allowed is {self.min_side}")
        if width * height > self.max_pixels:
            raise SourceError("too_large", f"{width}x{height} pixels, more than {self.max_pixels}")

    def around(self, begin: float, end: float) -> Limits:
        """The limits of a video of which only the span from ``begin`` to ``end`` seconds is used: any length.

        Raises:
            SourceError: the span itself is longer than the limit (``too_long``).
        """
        length = float(Fraction(str(end)) - Fraction(str(begin)))
        if length > self.max_seconds:
            raise SourceError("too_long", f"a span of {length:g} seconds, more than {self.max_seconds:g}")
        return replace(self, max_seconds=math.inf)


def check_not_empty(stream: IO[bytes]) -> None:
    """Raise SourceError for a file of zero bytes, and for a pointer to a file that was not fetched."""
    begin = stream.read(LOOKED_AT)
    stream.seek(0)
    if not begin:
        raise SourceError("empty", "zero bytes")
    if pointer := pointer_in(begin):
        raise SourceError("not_fetched", pointer)


def compose_on_black(rgba: Picture) -> Picture:
    """(H, W, 4) -> (H, W, 3): each colour multiplied by its alpha."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def crop_and_resize(
    picture: Picture, sizes: Sequence[Size], pixel_aspect: float = 1.0, quarter_turns: int = 0
) -> dict[Size, Picture]:
    """The centre of a stored picture in each size: the largest centred box of the size's aspect, then bicubic with
    antialiasing (Pillow widens the kernel when it shrinks).

    Args:
        picture: (H, W, 3) as stored, before rotation.
        sizes: (height, width) of the upright results.
        pixel_aspect: width / height of a stored pixel.
        quarter_turns: counter-clockwise turns that make the picture upright.

    Returns:
        (height, width, 3) uint8 for each size.
    """
    stored_height, stored_width = picture.shape[:2]
    image = Image.fromarray(picture)
    results: dict[Size, Picture] = {}
    for size in sizes:
        height, width = size if quarter_turns % 2 == 0 else (size[1], size[0])
        left, top, box_width, box_height = centre_box(stored_width, stored_height, (height, width), pixel_aspect)
        box = (left, top, left + box_width, top + box_height)
        resized = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))
        results[size] = np.ascontiguousarray(np.rot90(resized, quarter_turns))
    return results


def centre_box(
    stored_width: int, stored_height: int, size: Size, pixel_aspect: float
) -> tuple[float, float, float, float]:
    """(left, top, width, height) in stored pixels of the largest centred box that is shown in the shape of ``size``."""
    height, width = size
    box_width = min(float(stored_width), stored_height * width / height / pixel_aspect)
    box_height = min(float(stored_height), stored_width * pixel_aspect * height / width)
    return (stored_width - box_width) / 2, (stored_height - box_height) / 2, box_width, box_height


def png_bytes(picture: Picture, comment: str | None = None) -> bytes:
    """(H, W, 3) -> a PNG file's bytes, lossless; equal pictures give equal bytes.

    Args:
        comment: stored in the file under ``comment``, in UTF-8; else there is no metadata.
    """
    buffer, about = io.BytesIO(), PngImagePlugin.PngInfo()
    if comment is not None:
        about.add_itxt("comment", comment)
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def decode_png(data: bytes) -> Picture:
    """A PNG file's bytes -> (H, W, 3)."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"))


def to_pixels(
    frame: VideoFrame, pixel_format: str, colours: str | None = None, reformatter: VideoReformatter | None = None
) -> Picture:
    """Convert to ``rgb24`` or ``rgba`` without resizing: (H, W, 3 or 4) uint8.

    Args:
        reformatter: is used again for frames that are alike; it changes no value.
    """
    known = {"bt709": 1, "bt601": 5, "fcc": 4, "smpte240m": 7, "bt2020": 9}
    converted = (reformatter or VideoReformatter()).reformat(
        frame, format=pixel_format, src_colorspace=known[colours] if colours else None, interpolation=EXACT, threads=1
    )
    return np.asarray(converted.to_ndarray(), dtype=np.uint8)
