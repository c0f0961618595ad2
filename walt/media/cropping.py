"""Reads the cropping that a container asks players for: Matroska's PixelCrop, and the clean aperture of MP4 and MOV.

FFmpeg's decoders do not apply it, and PyAV does not show it, so it is read from the file's own bytes. So is whether the
pictures are those of Dolby Vision that nothing else can show: decoded as others they are green and purple.

Sources: RFC 9559 (Matroska: PixelCrop*, Display*, BlockAdditionMapping), ISO/IEC 14496-12 (12.1.4: clap, pasp), Dolby
Vision Streams Within the ISO Base Media File Format (3.2: dvcC, dvvC).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

from walt.media.boxes import MOST, boxes, is_mov
from walt.media.images import SourceError

_SEGMENT, _TRACKS, _CLUSTER, _ENTRY, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE, 0x83, 0xE0
_WIDTH, _HEIGHT, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _UNIT = 0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2
_LEFT, _TOP, _RIGHT, _BOTTOM = 0x54CC, 0x54BB, 0x54DD, 0x54AA
_ADDITION, _ADDITION_TYPE, _ADDITION_DATA = 0x41E4, 0x41E7, 0x41ED
_DOLBY_VISION = (b"dvcC", b"dvvC", b"dvwC")
_MOST_BYTES = 16 << 20
"""Headers are smaller than this."""
_MASTERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


@dataclass(frozen=True)
class Cropping:
    """What is shown of a stored picture."""

    left: int
    top: int
    width: int
    height: int
    pixel_aspect: Fraction
    """Width / height of a stored pixel."""


def croppings(stream: IO[bytes]) -> list[Cropping | None]:
    """The cropping of each video track, in order; empty for other containers. The stream is left at its start.

    Raises:
        SourceError: a track is Dolby Vision without a base that other players can show (``colours``).
    """
    try:
        head = stream.read(12)
        if head[:4] == b"\x1aE\xdf\xa3":
            return list(_matroska(stream))
        if is_mov(head):
            return list(_mov(stream, 0, stream.seek(0, 2), []))
        return []
    except (struct.error, IndexError, ZeroDivisionError, OverflowError):
        return []  # a damaged header: FFmpeg says what is wrong with it
    finally:
        stream.seek(0)


def _cropped(box: tuple[int, int, int, int], stored: tuple[int, int], pixel_aspect: Fraction) -> Cropping | None:
    left, top, width, height = box
    inside = left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= stored[0]
    if not inside or top + height > stored[1] or (width, height) == stored or pixel_aspect <= 0:
        return None
    return Cropping(left, top, width, height, pixel_aspect)


def _check_base(configuration: bytes) -> None:
    """Refuse what the record says no other player can show (profiles 5 and 10.0: colours are coded as IPT-PQ-C2)."""
    if not configuration[4] >> 4:
        profile = configuration[2] >> 1
        cause = (
            f"Dolby Vision profile {profile} without a base in other colours, which is not read; convert it to BT.709"
        )
        raise SourceError("colours", cause)


def _matroska(stream: IO[bytes]) -> Iterator[Cropping | None]:
    at = 0
    for _ in range(MOST):
        stream.seek(at)
        element, length, size = _element(stream.read(16), 0)
        if element == _CLUSTER:
            return
        if element == _TRACKS:
            tracks = stream.seek(at + length) and stream.read(min(size, _MOST_BYTES))
            for kind, entry in _children(tracks or b""):
                if kind == _ENTRY:
                    fields = dict(_children(entry))
                    addition = dict(_children(fields.get(_ADDITION, b"")))
                    if addition.get(_ADDITION_TYPE, b"") in _DOLBY_VISION:
                        _check_base(addition.get(_ADDITION_DATA, b""))
                    if fields.get(_TYPE) == b"\x01":
                        yield _of_track(fields.get(_VIDEO, b""))
            return
        at += length + (0 if element == _SEGMENT else size)


def _of_track(video: bytes) -> Cropping | None:
    values = {kind: int.from_bytes(data, "big") for kind, data in _children(video) if len(data) <= 8}
    stored = values.get(_WIDTH, 0), values.get(_HEIGHT, 0)
    left, top = values.get(_LEFT, 0), values.get(_TOP, 0)
    width, height = stored[0] - left - values.get(_RIGHT, 0), stored[1] - top - values.get(_BOTTOM, 0)
    aspect = Fraction(1)
    if values.get(_DISPLAY_WIDTH) and values.get(_DISPLAY_HEIGHT) and values.get(_UNIT, 0) <= 3 and height > 0:
        aspect = Fraction(values[_DISPLAY_WIDTH] * height, values[_DISPLAY_HEIGHT] * max(1, width))
    return _cropped((left, top, width, height), stored, aspect)


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        element, length, size = _element(data, at)
        yield element, data[at + length : at + length + size]
        at += length + size


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """(id, bytes of id and size, size of the content) of the EBML element at a position."""
    id_bytes = 9 - data[at].bit_length()
    size_bytes = 9 - data[at + id_bytes].bit_length()
    raw = data[at + id_bytes : at + id_bytes + size_bytes]
    size = int.from_bytes(raw, "big") & ((1 << 7 * size_bytes) - 1)
    return int.from_bytes(data[at : at + id_bytes], "big"), id_bytes + size_bytes, size


def _mov(stream: IO[bytes], at: int, end: int, handlers: list[bytes]) -> Iterator[Cropping | None]:
    """Go through the boxes between two positions; ``handlers``: the kind of the track that is being read."""
    for kind, begin, until in boxes(stream, at, end):
        if kind == b"hdlr":
            stream.seek(begin + 8)
            handlers[:] = [stream.read(4)]
        elif kind == b"stsd" and handlers == [b"vide"]:
            stream.seek(begin + 8)
            yield _of_entry(stream.read(min(until - begin - 8, _MOST_BYTES)))
        elif kind in _MASTERS:
            yield from _mov(stream, begin, until, handlers)


def _of_entry(entry: bytes) -> Cropping | None:
    """From the first sample entry of a video track."""
    (length,) = struct.unpack_from(">I", entry)
    stored = struct.unpack_from(">HH", entry, 32)
    at, aspect, clean = 86, Fraction(1), None
    while at + 8 <= min(length, len(entry)):
        size, kind = struct.unpack_from(">I4s", entry, at)
        if kind == b"pasp":
            aspect = Fraction(*struct.unpack_from(">II", entry, at + 8))
        elif kind == b"clap":
            numbers = struct.unpack_from(">8i", entry, at + 8)
            clean = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 8, 2)]
        elif kind in _DOLBY_VISION:
            _check_base(entry[at + 8 : at + size])
        at += max(size, 8)
    if clean is None:
        return None
    width, height = round(clean[0]), round(clean[1])
    left, top = round((stored[0] - clean[0]) / 2 + clean[2]), round((stored[1] - clean[1]) / 2 + clean[3])
    return _cropped((left, top, width, height), (stored[0], stored[1]), aspect)
