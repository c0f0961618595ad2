"""Finds the packets of a coded video that need not be decoded for the wanted frames.

It uses two facts about H.264 and HEVC: a picture marked as non-reference affects no other picture, and decoding can
start at any random access point. (``walt.media.key_frames`` does the same for VP9 and AV1, with less knowledge.) This
module only reads bytes and numbers, and decodes nothing. Where a video does not meet the conditions below, ``Unfit`` is
raised, and all of the video has to be decoded.

Sources: ITU-T H.264 (7.3.1, 7.4.1: nal_ref_idc), H.265 (7.4.2.2: sub-layer non-reference pictures; 8.1.3: leading
pictures), ISO/IEC 14496-15 (avcC, hvcC, length-prefixed NAL units).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

CODECS = frozenset({"h264", "hevc"})
CONTAINERS = frozenset({"mov", "matroska"})
"""Demuxers that return whole pictures with the timestamps of the file, by the first name of their format."""


class Unfit(Exception):
    """It is not certain that skipping packets changes nothing, so all of them must be decoded."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What is known about a packet, one coded picture, without decoding it."""

    pts: int
    duration: int
    reference: bool
    """Whether other pictures may need it."""
    entry: bool
    """Whether decoding can start here."""
    leading: bool
    """Coded after an entry and shown before it (HEVC): it may need pictures before the entry."""


@dataclass(frozen=True)
class Plan:
    """Which packets to decode."""

    origin: int
    """pts of the first frame."""
    wanted: frozenset[int]
    """pts of the frames that are shown."""
    feed: tuple[int, ...]
    """Numbers of the packets to decode, increasing."""
    fresh: frozenset[int]
    """Those of them before which the decoder must be flushed."""


Classify = Callable[[memoryview], tuple[bool, bool, bool]]
"""A packet's bytes -> (reference, entry, leading)."""


def classifier(codec: str, extradata: bytes) -> Classify:
    """The function that classifies the packets of a stream. Raises Unfit for an unsupported codec or header."""
    if codec not in CODECS or len(extradata) < 23 or extradata[0] != 1:
        raise Unfit(f"{codec} without an avcC or hvcC record")
    if codec == "h264":
        return lambda data: _h264(_units(data, (extradata[4] & 3) + 1), extradata)
    highest = _highest_sub_layer(extradata)
    return lambda data: _hevc(_units(data, (extradata[21] & 3) + 1), extradata, highest)


def _units(data: memoryview, length_size: int) -> Iterator[memoryview]:
    """The NAL units of a packet."""
    at, end = 0, len(data)
    while at < end:
        start = at + length_size
        at = start + int.from_bytes(data[start - length_size : start], "big")
        if at > end or at < start + 2:
            raise Unfit("a packet's lengths do not add up")
        yield data[start:at]


def _known(unit: memoryview, extradata: bytes) -> None:
    """Raise Unfit for a parameter set that is not in the header: a skipped packet might have changed it."""
    if bytes(unit) not in extradata:
        raise Unfit("parameter sets change within the stream")


def _h264(units: Iterator[memoryview], extradata: bytes) -> tuple[bool, bool, bool]:
    reference, kinds = False, set()
    for unit in units:
        kind = unit[0] & 31
        if kind in (1, 5):
            reference = reference or bool(unit[0] >> 5 & 3)
            kinds.add(kind)
        elif kind in (7, 8):
            _known(unit, extradata)
        elif kind not in (6, 9, 12):  # SEI, delimiters, filler; the rest are partitions, end of sequence, extensions
            raise Unfit(f"NAL unit of type {kind}")
    if len(kinds) != 1:
        raise Unfit("a packet that is not one picture")
    return reference, 5 in kinds, False


def _hevc(units: Iterator[memoryview], extradata: bytes, highest: int) -> tuple[bool, bool, bool]:
    reference, kinds = False, set()
    for unit in units:
        kind, layer, sub_layer = unit[0] >> 1 & 63, (unit[0] & 1) << 5 | unit[1] >> 3, (unit[1] & 7) - 1
        if layer:
            raise Unfit("several layers")
        if kind <= 9 or kind in (19, 20, 21):
            # even numbers below 16 are not references in their own sub-layer; higher ones might still need them
            reference = reference or bool(kind % 2) or kind >= 16 or sub_layer != highest
            kinds.add(kind)
            if kind >= 16 and len(unit) > 2 and unit[2] & 64:
                raise Unfit("pictures before an entry are not to be shown")
        elif kind in (32, 33, 34):
            _known(unit, extradata)
        elif kind not in (35, 38, 39, 40):  # delimiters, filler, SEI
            raise Unfit(f"NAL unit of type {kind}")
    if len(kinds) != 1:
        raise Unfit("a packet that is not one picture")
    (kind,) = kinds
    return reference, kind >= 16, 6 <= kind <= 9


def _highest_sub_layer(extradata: bytes) -> int:
    """The highest sub-layer that the sequence parameter sets of an hvcC record allow."""
    found = [unit[2] >> 1 & 7 for unit in units_of_record(extradata) if unit[0] >> 1 & 63 == 33 and len(unit) > 2]
    if not found:
        raise Unfit("no sequence parameter set in the header")
    return max(found)


def units_of_record(extradata: bytes) -> Iterator[bytes]:
    """The NAL units of an hvcC record. Raises Unfit for a damaged one."""
    at = 23
    for _ in range(extradata[22]):
        count, at = int.from_bytes(extradata[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            length, at = int.from_bytes(extradata[at : at + 2], "big"), at + 2
            if length < 2 or at + length > len(extradata):
                raise Unfit("a damaged hvcC record")
            yield extradata[at : at + length]
            at += length


def check(packets: Sequence[Packet], reorder_depth: int) -> None:
    """Raise Unfit unless every packet becomes one frame, shown at its timestamp.

    Args:
        packets: all packets of the stream, in the file's order.
        reorder_depth: how many frames the decoder delays to put them in order.
    """
    if len(packets) < 2 or not packets[0].entry or packets[0].pts != min(packet.pts for packet in packets):
        raise Unfit("the first packet is not where the video begins")
    seen: list[int] = []
    for packet in packets:
        place = bisect_right(seen, packet.pts)
        if len(seen) - place > reorder_depth:  # the decoder would show it late, or drop it
            raise Unfit("more reordering than the header states")
        if place and seen[place - 1] == packet.pts:
            raise Unfit("two frames at one moment")
        insort(seen, packet.pts)


def make_plan(packets: Sequence[Packet], wanted: frozenset[int]) -> Plan:
    """Which of these packets (after ``check``) to decode to get the frames with the ``wanted`` pts."""
    starts = [number for number, packet in enumerate(packets) if packet.entry]
    stretches = [range(start, end) for start, end in zip(starts, [*starts[1:], len(packets)], strict=True)]
    last = [max((number for number in some if packets[number].pts in wanted), default=-1) for some in stretches]
    linked = [any(packets[n].leading and packets[n].pts in wanted for n in some) for some in stretches]
    if linked[0]:
        raise Unfit("pictures shown before the video begins")
    for place in range(len(stretches) - 1, 0, -1):
        if linked[place]:  # all references before the entry may be needed
            last[place - 1] = stretches[place - 1][-1]
    feed: list[int] = []
    fresh: set[int] = set()
    whole = True  # whether the previous stretch is decoded to its end
    for some, end, is_linked in zip(stretches, last, linked, strict=True):
        if end < 0:
            whole = False
            continue
        if not whole:
            fresh.add(some[0])
        feed += [
            number
            for number in range(some[0], end + 1)
            if packets[number].pts in wanted
            or (packets[number].reference and (is_linked or not packets[number].leading))
        ]
        whole = end == some[-1]
    return Plan(packets[0].pts, wanted, tuple(feed), frozenset(fresh))
