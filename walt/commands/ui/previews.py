"""What a video looks like while it is made: the present estimate of its latents, decoded, as a small moving picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from walt.sampling.output import Video

MEDIA_TYPE = "image/webp"
_SIDE = 192  # of the longer side at most, in pixels


def moving_picture(frames: Video, fps: float) -> bytes:
    """(T, H, W, 3) as an animated WebP that repeats, every n-th pixel of a large one."""
    stride = -(-max(frames.shape[1:3]) // _SIDE)
    first, *others = (Image.fromarray(np.ascontiguousarray(frame[::stride, ::stride])) for frame in frames)
    stream = io.BytesIO()
    first.save(
        stream, "WEBP", save_all=True, append_images=others, duration=round(1000 / fps), loop=0, quality=80, method=0
    )
    return stream.getvalue()
