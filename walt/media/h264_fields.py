"""Finds the packets of an H.264 stream that hold the second field of a picture whose first came in the packet before.

Cameras and broadcasters code interlaced pictures as two fields, and many containers then have a packet for each; the
decoder weaves both into one picture. Without this, half of the packets would count as pictures that were lost.

Source: ITU-T H.264 (7.3.2.1.1 sequence parameter set, 7.3.2.2 picture parameter set, 7.3.3 slice header, 7.4.1.2.4
first and second field, Annex B), ISO/IEC 14496-15 (avcC).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SLICES, _SEQUENCE, _PICTURE = (1, 5), 7, 8
_LONGEST_HEADER = 64
"""Bytes in which the wanted part of a slice's header is."""
_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What a sequence parameter set says of the headers of slices."""

    separate_planes: bool
    frame_num_bits: int
    frames_only: bool


class FieldPairs:
    """Follows the packets of one stream, in the file's order."""

    def __init__(self, extradata: bytes) -> None:
        """``extradata``: an avcC record, parameter sets with start codes, or nothing."""
        is_record = len(extradata) > 6 and extradata[0] == 1
        self._length_size = (extradata[4] & 3) + 1 if is_record else 0
        self._sequences: dict[int, _Sequence] = {}
        self._of_pictures: dict[int, int] = {}
        self._first: tuple[int, int] | None = None  # frame_num and parity of a field whose second has not come
        for unit in _units_of_record(extradata) if is_record else _units(extradata, 0):
            self._learn(unit)

    def is_second(self, packet: bytes) -> bool:
        """Whether this packet completes the picture that the one before began."""
        found = None
        if all(sequence.frames_only for sequence in self._sequences.values()) and self._sequences and self._length_size:
            return False  # and nothing in the packets can change it
        try:
            for unit in _units(packet, self._length_size):
                if unit[0] & 31 in _SLICES:
                    found = self._field(unit)
                    break
                self._learn(unit)
        except (IndexError, KeyError):
            found = None  # damaged, which the decoder says
        if found is not None and self._first is not None and found == (self._first[0], 1 - self._first[1]):
            self._first = None
            return True
        self._first = found
        return False

    def _learn(self, unit: bytes) -> None:
        try:
            if unit[0] & 31 == _SEQUENCE:
                number, sequence = _sequence(_Bits(unit[1:]))
                self._sequences[number] = sequence
            elif unit[0] & 31 == _PICTURE:
                bits = _Bits(unit[1 : _LONGEST_HEADER + 1])
                picture = bits.golomb()
                self._of_pictures[picture] = bits.golomb()
        except IndexError:
            return

    def _field(self, unit: bytes) -> tuple[int, int] | None:
        """frame_num and parity (1: bottom) of a slice; None: it is of a whole frame. Raises IndexError, KeyError."""
        bits = _Bits(unit[1 : _LONGEST_HEADER + 1])
        bits.golomb()  # first_mb_in_slice
        bits.golomb()  # slice_type
        sequence = self._sequences[self._of_pictures[bits.golomb()]]
        if sequence.frames_only:
            return None
        if sequence.separate_planes:
            bits.read(2)
        frame_num = bits.read(sequence.frame_num_bits)
        return (frame_num, bits.read(1)) if bits.read(1) else None


def _sequence(bits: _Bits) -> tuple[int, _Sequence]:
    profile = bits.read(8)
    bits.read(16)
    number, separate = bits.golomb(), False
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.golomb()
        separate = chroma == 3 and bool(bits.read(1))
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for matrix in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if matrix < 6 else 64)
    frame_num_bits, order = bits.golomb() + 4, bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    bits.read(1)
    bits.golomb()
    bits.golomb()
    return number, _Sequence(separate, frame_num_bits, bool(bits.read(1)))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


class _Bits:
    """Reads numbers from a NAL unit's payload. Raises IndexError at its end."""

    def __init__(self, payload: bytes) -> None:
        data = payload.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """An unsigned number of ``count`` bits."""
        self._left -= count
        if self._left < 0:
            raise IndexError("past the end")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code, ue(v)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def _units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet, without start codes. Args: length_size: 0 where they have start codes."""
    if length_size:
        at = 0
        while at + length_size < len(data):
            start = at + length_size
            at = start + int.from_bytes(data[start - length_size : start], "big")
            if at > start:
                yield data[start:at]
        return
    start = data.find(b"\0\0\1")
    while start >= 0:
        end = data.find(b"\0\0\1", start + 3)
        if unit := data[start + 3 : end if end >= 0 else len(data)]:
            yield unit
        start = end


def _units_of_record(extradata: bytes) -> Iterator[bytes]:
    """The parameter sets of an avcC record, as far as they are whole."""
    at = 5
    for mask in (31, 255):
        if at >= len(extradata):
            return
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            length, at = int.from_bytes(extradata[at : at + 2], "big"), at + 2
            if unit := extradata[at : at + length]:
                yield unit
            at += length
