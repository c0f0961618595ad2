"""Still pictures of files: opened safely, upright, in sRGB."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from walt.media.colour_profiles import in_srgb
from walt.media.images import Limits, Picture, SourceError, check_not_empty, compose_on_black

_MOST_GREY = 65535
_HEADER = 1 << 16
"""Bytes of a picture in which its header is looked for."""
DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, AttributeError, RuntimeError)
"""What Pillow's plugins are known to raise for damaged files."""
_HDR = (16, 18)
"""Transfer characteristics of HDR, PQ and HLG (ITU-T H.273)."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile, JpegImagePlugin.JpegImageFile, WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile, TiffImagePlugin.TiffImageFile, AvifImagePlugin.AvifImageFile,
    )
)  # fmt: skip
"""Decoders that may read a file, whatever its name is. They are loaded here, before workers are forked: Pillow would
load all of its fifty at the first file in each."""


def still_or_animation(stream: IO[bytes]) -> Literal["still", "animation"] | None:
    """What an open file is by its header; None: not an image of ``FORMATS``. Raises OSError.

    Animated WebP counts as a still, which ``read_picture`` refuses: FFmpeg cannot read it as a video. An AVIF in HDR
    is none, since FFmpeg and not Pillow says what its levels mean.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limits decide about the size
            with Image.open(stream, formats=FORMATS) as image:
                if image.format == "AVIF" and _is_hdr(stream):
                    return None
                return "animation" if image.format in ("PNG", "AVIF") and _is_animated(image) else "still"
    except (UnidentifiedImageError, RuntimeError):  # of a HEIF file without AV1, Pillow's AVIF raises the latter
        return None
    except Image.DecompressionBombError:
        return "still"


def check_still(image: Image.Image) -> None:
    """Raise SourceError (``animated``) for an animation; pages of a TIFF are none, nor what a phone keeps behind a JPEG
    (a gain map, a depth map, a second eye: MPO)."""
    if image.format not in ("TIFF", "MPO") and _is_animated(image):
        raise SourceError("animated", f"an animated {image.format}, not a still; convert it to a video or GIF")


def _is_hdr(stream: IO[bytes]) -> bool:
    """Whether the header of a PNG (cICP) or of an AVIF (nclx) says PQ or HLG. The stream is at its start afterwards."""
    stream.seek(0)
    begin = stream.read(_HEADER)
    stream.seek(0)
    name, size = (b"colrnclx", 2) if begin[4:8] == b"ftyp" else (b"cICP", 1)
    _, found, values = begin.partition(b"IDAT")[0].partition(name)
    return bool(found) and int.from_bytes(values[size : 2 * size], "big") in _HDR  # primaries, transfer, ...


def _is_animated(image: Image.Image) -> bool:
    return bool(getattr(image, "is_animated", False))


def read_picture(path: str | Path, limits: Limits) -> Picture:
    """Decode an image file to (H, W, 3), upright by its EXIF orientation.

    Raises:
        SourceError: it is not an allowed image format, is animated, is damaged, or is outside the limits.
    """
    with open(path, "rb") as stream:
        return decode_picture(stream, limits)


def decode_picture(stream: IO[bytes], limits: Limits) -> Picture:
    """``read_picture`` of an open file. Raises SourceError."""
    check_not_empty(stream)
    try:
        with warnings.catch_warnings():
            # our own limits decide about the size, and odd metadata of a picture that decodes does not matter
            warnings.simplefilter("ignore")
            return _decode_picture(stream, limits)
    except UnidentifiedImageError:
        raise SourceError("format", f"not one of the image formats {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError as error:
        raise SourceError("too_large", str(error)) from None
    except DAMAGED as error:
        code = "truncated" if "truncated" in str(error) else "decode"
        raise SourceError(code, f"{type(error).__name__}: {error}") from None


def _decode_picture(stream: IO[bytes], limits: Limits) -> Picture:
    with Image.open(stream, formats=FORMATS) as image:
        limits.check_size(*image.size)
        check_still(image)
        if image.format in ("PNG", "AVIF") and _is_hdr(stream):
            raise SourceError("colours", f"{image.format} in HDR, whose levels are not those of a screen")
        image.load()
        return upright_picture(in_srgb(ImageOps.exif_transpose(image)))


def upright_picture(image: Image.Image) -> Picture:
    """A picture of Pillow as (H, W, 3), upright by its EXIF orientation.

    Raises:
        SourceError: its levels are on a scale that is not known (``colours``).
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or upright.mode == "I":  # 16 bits of grey; Pillow would clip, not scale
        levels = np.asarray(upright, dtype=np.int64)
        if levels.min() < 0 or levels.max() > _MOST_GREY:
            raise SourceError("colours", f"levels of grey from {levels.min()} to {levels.max()}: more than 16 bits")
        upright = Image.fromarray((levels >> 8).astype(np.uint8))
    elif upright.mode == "F":  # Pillow would clip: what is scaled to 0..1 becomes black
        raise SourceError("colours", "levels of grey as fractions, which may be on any scale")
    if upright.has_transparency_data:
        return compose_on_black(np.asarray(upright.convert("RGBA")))
    return np.asarray(upright.convert("RGB"))
