"""Finds where decoding a VP9 or AV1 stream can start.

In these codecs nothing shows whether a picture is needed by a later one. But a key frame that is shown replaces every
picture and every state that later ones may refer to, so that what follows is the same, bit for bit, wherever decoding
began before it. The bits of the stream are what counts, not the container's flags.

Sources: VP9 Bitstream & Decoding Process Specification (6.2, 8.4.2), AV1 Bitstream & Decoding Process Specification
(5.3.2, 5.9.2, 7.20: a shown key frame refreshes all frames).
"""

from __future__ import annotations

from walt.media.skipping import Classify, Unfit

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
"""Types of AV1's units."""


def classifier_by_key_frames(decoder: str) -> Classify | None:
    """The function that classifies the packets of a stream, each a reference; None for other codecs.

    Args:
        decoder: FFmpeg's name of the decoder.
    """
    return {"vp9": _vp9, "av1": _av1, "libdav1d": _av1}.get(decoder)


def _vp9(data: memoryview) -> tuple[bool, bool, bool]:
    first = data[0]
    if first >> 6 != 2:
        raise Unfit("a packet that is not a VP9 frame")
    profile = first >> 5 & 1 | (first >> 4 & 1) << 1
    shift = 2 if profile == 3 else 3  # profile 3 is followed by a reserved bit
    is_shown_again, is_inter = first >> shift & 1, first >> shift - 1 & 1
    return True, not is_shown_again and not is_inter, False


def _av1(data: memoryview) -> tuple[bool, bool, bool]:
    at, has_sequence_header = 0, False
    while at < len(data):
        kind, is_extended, is_sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + is_extended
        size, at = _size(data, at) if is_sized else (len(data) - at, at)
        if at + size > len(data):
            raise Unfit("a packet's lengths do not add up")
        has_sequence_header = has_sequence_header or kind == _SEQUENCE_HEADER
        if kind in (_FRAME_HEADER, _FRAME) and size:
            # bits: whether an earlier frame is shown again; two for the type, 0 a key frame; whether it is shown
            return True, has_sequence_header and data[at] >> 4 == 1, False
        at += size
    raise Unfit("a packet without a frame")


def _size(data: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first; and the position after it."""
    value = 0
    for place in range(min(8, len(data) - at)):
        value |= (data[at + place] & 127) << 7 * place
        if data[at + place] < 128:
            return value, at + place + 1
    raise Unfit("a packet's lengths do not add up")
