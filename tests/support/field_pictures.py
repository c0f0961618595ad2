"""Writes H.264 whose pictures are coded as two fields each, which no encoder at hand does; all samples are raw (I_PCM).

Source: ITU-T H.264 (7.3.2, 7.3.3, 7.3.5: mb_type 25).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

WIDTH, HEIGHT = 32, 32
_RATE = 50  # fields a second


@dataclass
class Bits:
    """Bits that are written one after the other."""

    bits: list[int] = field(default_factory=list)

    def put(self, *pairs: tuple[int, int]) -> Bits:
        """Numbers as (value, bits)."""
        for value, count in pairs:
            self.bits += [value >> place & 1 for place in range(count - 1, -1, -1)]
        return self

    def golomb(self, *values: int) -> Bits:
        """Unsigned Exp-Golomb codes."""
        for value in values:
            length = (value + 1).bit_length()
            self.put((0, length - 1), (value + 1, length))
        return self

    def align(self) -> Bits:
        """Zeros up to the next byte."""
        return self.put((0, -len(self.bits) % 8))

    def unit(self, kind: int) -> bytes:
        """A NAL unit with its start code, ended and escaped."""
        data = np.packbits(np.array(self.put((1, 1)).align().bits, np.uint8)).tobytes()
        escaped = bytearray()
        for byte in data:
            escaped += b"\3" if escaped[-2:] == b"\0\0" and byte <= 3 else b""
            escaped.append(byte)
        return bytes([0, 0, 0, 1, 0x60 | kind]) + bytes(escaped)


def field_pictures(levels: Sequence[int], frames: frozenset[int] = frozenset(), *, high: bool = False) -> bytes:
    """A grey H.264 stream (Annex B) of 32x32 pixels, a picture for each luma level.

    Args:
        frames: numbers of the pictures that are coded whole; all others as two fields.
        high: whether the header is of a profile that states the sampling, with scaling lists.
    """
    stream = _sequence(high) + Bits().golomb(0, 0).put((0, 2)).golomb(0, 0, 0).put((0, 3)).golomb(0, 0, 0).put(
        (0, 3)
    ).unit(8)
    for number, level in enumerate(levels):
        for parity in (None,) if number in frames else (0, 1):
            stream += _picture(number, level, parity)
    return stream


def _sequence(high: bool) -> bytes:
    bits = Bits().put((100 if high else 77, 8), (0, 8), (30, 8)).golomb(0)
    if high:  # 4:2:0, 8 bits; of 8 scaling lists the first is coded, all of it by its first number
        bits.golomb(1, 0, 0).put((0, 1), (1, 1), (1, 1)).golomb(16).put((0, 7))
    bits.golomb(4, 0, 4, 2).put((0, 1)).golomb(WIDTH // 16 - 1, HEIGHT // 32 - 1)
    bits.put((0, 2), (1, 1), (0, 1), (1, 1))  # fields are allowed; a VUI follows
    bits.put((0, 4), (1, 1), (1, 32), (_RATE, 32), (1, 1), (0, 4))
    return bits.unit(7)


def _picture(number: int, level: int, parity: int | None) -> bytes:
    is_first = number == 0 and parity != 1
    bits = Bits().golomb(0, 7, 0).put((number, 8))
    bits.put((0, 1)) if parity is None else bits.put((1, 1), (parity, 1))
    if is_first:
        bits.golomb(0)
    bits.put((2 * number + (parity or 0), 8), (0, 2 if is_first else 1)).golomb(0)
    height = HEIGHT if parity is None else HEIGHT // 2
    for _ in range(WIDTH // 16 * height // 16):
        bits.golomb(25).align().put(*[(level, 8)] * 256, *[(128, 8)] * 128)
    return bits.unit(5 if is_first else 1)
