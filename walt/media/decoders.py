"""Makes the decoder of a stream, completes its pictures, and refuses those of which a decoder shows only a part.

Sources: ITU-T H.265 (D.2.1: interlaced pictures are fields; F.14.2.8: alpha channel information, an SEI message of type
165), ISO/IEC 14496-15 (hvcC).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from walt.media.images import Limits, SourceError
from walt.media.skipping import Unfit, units_of_record

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that keep the alpha plane, which FFmpeg's own decoders drop."""
_STRICT = "crccheck+bitstream+buffer+explode"
_UNSPECIFIED = 2
"""Of transfer, matrix and primaries (ITU-T H.273)."""
_SEI, _ALPHA = 39, 165
"""Types of a NAL unit and of the message in it."""


def make_decoder(stream: VideoStream, limits: Limits, *, strict: bool) -> VideoCodecContext:
    """The stream's decoder, on one thread: files are decoded in parallel, and more threads would compete for cores.

    Args:
        strict: whether what is damaged, as far as it can be known, is an error, and not concealed. Some files that play
            well have such errors in all of their pictures.
    """
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and decoder.name in _WITH_ALPHA:
        extradata = decoder.extradata
        decoder = cast(VideoCodecContext, av.CodecContext.create(_WITH_ALPHA[decoder.name], "r"))
        decoder.extradata = extradata
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(limits.max_pixels)} | ({"err_detect": _STRICT} if strict else {})
    return decoder


def check_of_pictures(decoder: VideoCodecContext) -> Callable[[VideoFrame], None]:
    """A function that raises SourceError (``codec``, ``colours``) for a picture of which only a part was decoded."""
    if decoder.name != "hevc":
        return lambda _: None
    hides_alpha = _has_alpha_layer(decoder.extradata or b"")

    def check(frame: VideoFrame) -> None:
        if frame.interlaced_frame:  # of H.264 and MPEG-2 the decoder weaves the fields
            raise SourceError("codec", "HEVC of which each picture is one field, which is not read")
        if hides_alpha and not any(component.is_alpha for component in frame.format.components):
            said = "HEVC with a layer of transparency, not read: convert it to ProRes 4444 or VP9"
            raise SourceError("colours", said)

    return check


def colours_of_container(stream: VideoStream) -> Callable[[VideoFrame], None]:
    """A function that gives a frame the colours that the container states, where the coded pictures state none.

    FFmpeg reads both, and its decoders of H.264 and HEVC replace what the container states by "unspecified". To be
    called before anything is decoded.
    """
    codec = stream.codec_context
    stated = {name: int(getattr(codec, name)) for name in ("color_trc", "colorspace", "color_primaries")}
    known = {name: value for name, value in stated.items() if value != _UNSPECIFIED}

    def complete(frame: VideoFrame) -> None:
        for name, value in known.items():
            if getattr(frame, name) == _UNSPECIFIED:
                setattr(frame, name, value)

    return complete


def _has_alpha_layer(extradata: bytes) -> bool:
    """Whether an hvcC record says that a further layer of each picture is its transparency."""
    if len(extradata) < 23 or extradata[0] != 1:
        return False
    try:
        units = [*units_of_record(extradata)]
    except Unfit:
        return False  # a damaged header: FFmpeg says what is wrong with it
    return any(unit[0] >> 1 & 63 == _SEI and unit[2:3] == bytes([_ALPHA]) for unit in units)
