"""Videos without loss: H.264 of RGB in an MP4, read by this project and by FFmpeg, but by few players.

What is measured of a video is measured of this form. The playable one (``walt.media.playable``) halves the colour's
resolution: on saturated colours it is 25 dB from what was made.
"""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame

from walt.media.images import Clip
from walt.media.mp4 import NO_REMARKS, REPRODUCIBLE


def encode_lossless(frames: Clip, fps: float) -> bytes:
    """Frames (T, H, W, 3) uint8 RGB of any size as an MP4, the same bytes for the same frames, which
    ``walt.media.mp4.decode_clip`` gives back bit for bit."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264rgb", rate=Fraction(str(fps)))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "rgb24"
        stream.codec_context.thread_count = 1  # slices made by threads would change the bytes
        stream.options = {"crf": "0", "preset": "superfast", "flags": "+bitexact", "x264-params": REPRODUCIBLE}
        without_remarks = BitStreamFilterContext(NO_REMARKS, stream)
        pictures = [VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24") for array in frames]
        for picture in [*pictures, None]:
            for packet in stream.encode(picture):
                container.mux(without_remarks.filter(packet))
    return buffer.getvalue()
