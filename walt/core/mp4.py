"""This project's own videos: stored clips (MP4 in memory), MP4 and GIF files for people.

The same frames and arguments give the same bytes: one thread, no timestamps, no version of the encoder.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import ffmpeg
import imageio_ffmpeg
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from walt.core.errors import StorageError
from walt.core.storage import atomic_write
from walt.core.video import EXACT, Clip, open_video, to_pixels

REPRODUCIBLE = "mbtree=0"
"""x264's macroblock tree makes pictures of 64x64 and less come out differently now and then."""
NO_REMARKS = "filter_units=remove_types=6"
"""x264 writes its version and settings, some 600 bytes, into each file."""


def encode_clip(frames: Clip, fps: float, crf: int, pixel_format: Literal["yuv444p", "yuv420p"] = "yuv444p") -> bytes:
    """Frames as an H.264 MP4, the same bytes for the same frames. yuv444p is the stored form of clips.

    Args:
        frames: (T, H, W, 3) uint8 RGB; any H and W for yuv444p, even ones for yuv420p.
        crf: 0 lossless (but for the colour conversion) to 51.
    """
    buffer = io.BytesIO()
    rate = Fraction(str(fps))
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel_format
        stream.codec_context.thread_count = 1  # slices made by threads would change the bytes
        stream.options = {"crf": str(crf), "preset": "medium", "flags": "+bitexact", "x264-params": REPRODUCIBLE}
        without_remarks = BitStreamFilterContext(NO_REMARKS, stream)
        for array in frames:
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
            converted = picture.reformat(
                format=pixel_format, dst_colorspace=Colorspace.ITU601, threads=1, interpolation=EXACT,
                dst_color_range=ColorRange.MPEG,
            )  # fmt: skip
            for packet in stream.encode(converted):
                container.mux(without_remarks.filter(packet))
        for packet in stream.encode(None):
            container.mux(without_remarks.filter(packet))
    return buffer.getvalue()


def decode_clip(data: bytes) -> Clip:
    """The stored form of a clip, or any small MP4 of this project -> (T, H, W, 3) uint8 RGB; all of its frames."""
    with av.open(io.BytesIO(data), mode="r", format="mp4") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return np.stack([to_pixels(frame, "rgb24") for frame in container.decode(stream)])


def write_playable(path: str | Path, frames: Clip, fps: float, metadata: Mapping[str, Any]) -> None:
    """Write an MP4 that browsers play (H.264 yuv420p, index first), atomically; the same bytes for the same arguments.

    Args:
        frames: (T, H, W, 3) uint8 RGB; H and W even.
        metadata: JSON-able, e.g. prompt and seed; stored in the file's ``comment``, read back by ``read_metadata``.
    """
    options = {
        "vcodec": "libx264", "pix_fmt": "yuv420p", "crf": 14, "preset": "medium", "threads": 1,
        "x264-params": REPRODUCIBLE, "bsf:v": NO_REMARKS, "flags:v": "+bitexact", "fflags": "+bitexact",
        "movflags": "+faststart",
        "metadata": f"comment={json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)}",
    }  # fmt: skip
    _run_ffmpeg(path, frames, fps, lambda stream: stream, {"format": "mp4", **options})


def _run_ffmpeg(
    path: str | Path, frames: Clip, fps: float, chain: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    """Frames through a pipe into ffmpeg, its output file into place."""
    _, height, width, _ = frames.shape
    with atomic_write(path) as target:
        # ffmpeg writes to the temporary file by name: MP4's index needs a seekable output
        source = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=fps)
        command = chain(source).output(f"file:{target.name}", **options).global_args("-loglevel", "error", "-y")
        try:
            command.run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), input=frames.tobytes(), capture_stderr=True)
        except ffmpeg.Error as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            raise StorageError(f"{path}: ffmpeg failed: {lines[-1]}") from None


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What ``write_playable`` was given as metadata."""
    with open(path, "rb") as stream, open_video(stream) as container:
        return dict(json.loads(container.metadata["comment"]))
