"""Small videos for the tests, made with PyAV and with the ffmpeg binary that imageio-ffmpeg ships."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from walt.media.images import Limits
from walt.media.mp4 import REPRODUCIBLE

Frames = NDArray[np.uint8]

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared/data"
LIMITS = Limits(min_side=16, max_pixels=4096 * 4096, max_seconds=600)


def shared_data() -> Path:
    """The folder of real clips; skips the test where it is missing."""
    if not (SHARED_DATA / "captions.csv").is_file():
        pytest.skip("the real clips (../shared/data) are not here")
    return SHARED_DATA


def counter(num_frames: int, height: int = 32, width: int = 32) -> Frames:
    """Frames whose grey level encodes their number: see ``read_counter``. Up to 50 of them."""
    levels = (20 + 4 * np.arange(num_frames)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (num_frames, height, width, 3)).copy()


def read_counter(clip: Frames) -> list[int]:
    """The numbers of ``counter`` frames."""
    return [round((float(frame.mean()) - 20) / 4) for frame in clip]


def write_video(
    path: Path,
    frames: Frames,
    *,
    fps: int = 24,
    times: Sequence[Fraction] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv444p",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Write RGB(A) frames (T, H, W, 3 or 4), at a constant rate or at ``times``, almost without loss.

    What a process has written before is not encoded again: tests begin with the same few videos.
    """
    settings = (path.suffix, frames.shape, fps, times, codec, pixel_format, aspect, options, container)
    key = hashlib.sha256(repr(settings).encode() + np.ascontiguousarray(frames).tobytes()).digest()
    if (data := _written.get(key)) is not None:
        path.write_bytes(data)
        return path
    with scheduling_kept():
        _encode(path, frames, fps, times, codec, pixel_format, aspect, options, container)
    if path.stat().st_size <= _KEPT_BYTES:
        _written[key] = path.read_bytes()
    return path


_written: dict[bytes, bytes] = {}
"""Digest of frames and settings -> the small file that they gave."""
_KEPT_BYTES = 2**18


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """SVT-AV1 gives the process that encodes with it the first right to a processor, for good, where it may, as root
    may: then every other process of the machine waits for the tests that follow (SVT-AV1 in PyAV 18.1)."""
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    os.sched_setscheduler(0, policy, priority)


def _encode(
    path: Path,
    frames: Frames,
    fps: int,
    times: Sequence[Fraction] | None,
    codec: str,
    pixel_format: str,
    aspect: Fraction | None,
    options: dict[str, str] | None,
    container: dict[str, str] | None,
) -> None:
    tick = Fraction(1, 12800)
    with av.open(str(path), "w", options={"fflags": "+bitexact"} | (container or {})) as target:
        stream = target.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel_format
        stream.codec_context.time_base = tick
        if aspect:
            stream.sample_aspect_ratio = aspect
        stream.options = options or ({"crf": "1", "x264-params": REPRODUCIBLE} if codec == "libx264" else {})
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24" if array.shape[-1] == 3 else "rgba")
            seconds = times[index] if times else Fraction(index, fps)
            frame.pts, frame.time_base = int(seconds / tick), tick
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def ffmpeg(*arguments: str | Path) -> None:
    """Run the ffmpeg binary."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def moving(side: int, num_frames: int = 17) -> np.ndarray:
    """A coloured texture that moves, (T, side, side, 3): what is hard to encode."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (side // 4 + 1, side // 4 + num_frames, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    return np.stack([texture[:side, 2 * t : 2 * t + side] for t in range(num_frames)])
