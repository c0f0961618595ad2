"""The stored form of clips: small MP4 files in memory, read only by this project.

The same frames and arguments give the same bytes: one thread, no timestamps, no version of the encoder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import Literal

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from walt.media.images import EXACT, Clip, to_pixels

LIBRARY_VERSIONS = {"av": av.__version__} | {name: list(version) for name, version in av.library_versions.items()}
"""Versions that may change decoded pixels and encoded bytes, so caches of such bytes depend on them."""

REPRODUCIBLE = "mbtree=0"
"""x264's macroblock tree is not deterministic for pictures of 64x64 and smaller."""
FAITHFUL = f"{REPRODUCIBLE}:psy=0:aq-mode=0:cabac=0:b-adapt=0:scenecut=0:rc-lookahead=0:weightp=0"
"""For stored clips: bits are spent to lower the squared error, not to please viewers; lookahead gains nothing in 17
frames of one shot; at such rates CABAC would save 4 % of the bytes and take twice as long to decode
(docs/results/ingest.md)."""
_CODED_FPS = 8
"""What x264 is given in place of a clip's rate, which the container has: of frames that are shown for a shorter time it
keeps less, so that ``crf`` would mean another quality at another rate (``findings/x264_crf_rate.sh``)."""
NO_REMARKS = "filter_units=remove_types=6"
"""Removes x264's version and settings, about 600 bytes, which it writes into each file."""


def encode_clip(frames: Clip, fps: float, crf: int, pixel_format: Literal["yuv444p", "yuv420p"] = "yuv444p") -> bytes:
    """Frames as an H.264 MP4, the same bytes for the same frames. yuv444p is the stored form of clips.

    Args:
        frames: (T, H, W, 3) uint8 RGB; any H and W for yuv444p, even ones for yuv420p.
        fps: frames per second, in the container alone: quality and bytes of the pictures do not depend on it.
        crf: from 0, lossless (except for the colour conversion), to 51.
    """
    buffer, frame_time = io.BytesIO(), 1 / Fraction(str(fps))
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=_CODED_FPS)
        stream.time_base = frame_time
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel_format
        stream.codec_context.thread_count = 1  # slices made by threads would change the bytes
        stream.options = {"crf": str(crf), "preset": "superfast", "flags": "+bitexact", "x264-params": FAITHFUL}
        without_remarks = BitStreamFilterContext(NO_REMARKS, stream)
        for picture in chain(_pictures(frames, pixel_format), [None]):
            for coded in stream.encode(picture):
                for packet in without_remarks.filter(coded):
                    packet.time_base, packet.duration = frame_time, 1
                    container.mux(packet)
    return buffer.getvalue()


def _pictures(frames: Clip, pixel_format: str) -> Iterator[VideoFrame]:
    reformatter = VideoReformatter()
    for array in frames:
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
        yield reformatter.reformat(
            picture, format=pixel_format, dst_colorspace=Colorspace.ITU601, threads=1, interpolation=EXACT,
            dst_color_range=ColorRange.MPEG,
        )  # fmt: skip


def decode_clip(data: bytes) -> Clip:
    """All frames of a stored clip, or of any small MP4 of this project: (T, H, W, 3) uint8 RGB."""
    with av.open(io.BytesIO(data), mode="r", format="mp4") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        reformatter = VideoReformatter()  # one for all frames: to prepare one takes 27 us, half of decoding a small one
        return np.stack([to_pixels(frame, "rgb24", reformatter=reformatter) for frame in container.decode(stream)])
