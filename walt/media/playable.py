"""Videos for people: MP4 that browsers play, and GIF, by ffmpeg.

The same frames and arguments give the same bytes, as in ``walt.media.mp4``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np

from walt.core.errors import StorageError
from walt.core.scratch import scratch_folder
from walt.core.storage import atomic_write, storage_error_in
from walt.media.containers import open_video
from walt.media.images import Picture
from walt.media.mp4 import NO_REMARKS, REPRODUCIBLE


def write_playable(
    path: str | Path, frames: Iterable[Picture], fps: float | Fraction, metadata: Mapping[str, Any]
) -> None:
    """Write an MP4 that browsers play (H.264 yuv420p, index first), atomically; the same bytes for the same arguments.

    Args:
        frames: (H, W, 3) uint8 RGB each, all of one size; H and W even. A clip (T, H, W, 3) is such a sequence; an
            iterator may be of any length, since only one picture is in memory at a time.
        metadata: JSON-able, e.g. prompt and seed; stored in the file's ``comment``, read back by ``read_metadata``.

    Raises:
        StorageError: the disk is full or read-only, or ffmpeg failed.
        ValueError: there is no picture.
    """
    options = {
        "vcodec": "libx264", "pix_fmt": "yuv420p", "crf": 14, "preset": "medium", "threads": 1,
        "x264-params": REPRODUCIBLE, "bsf:v": NO_REMARKS, "flags:v": "+bitexact", "fflags": "+bitexact",
        "movflags": "+faststart",
        "metadata": f"comment={json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)}",
    }  # fmt: skip
    _run_ffmpeg(path, frames, fps, {"format": "mp4", **options})


def write_gif(path: str | Path, frames: Iterable[Picture], fps: float | Fraction) -> None:
    """Write an animated GIF that repeats forever, with a palette made for its frames, atomically.

    The same bytes for the same arguments. Delays are in hundredths of a second: at 8 frames per second they alternate
    between 12 and 13.

    Args:
        frames: as for ``write_playable``, but of any size.

    Raises:
        StorageError: the disk is full or read-only, or ffmpeg failed.
        ValueError: there is no picture.
    """
    options = {"format": "gif", "loop": 0, "threads": 1, "flags:v": "+bitexact", "fflags": "+bitexact"}
    _run_ffmpeg(path, frames, fps, options, _through_palette)


def _through_palette(source: Any) -> Any:
    """ffmpeg's stream in 256 colours, one palette for all frames; ordered dither, since error diffusion flickers."""
    both = source.split()
    palette = both[1].filter("palettegen", stats_mode="full")
    return ffmpeg.filter([both[0], palette], "paletteuse", dither="bayer", bayer_scale=4, diff_mode="rectangle")


def _run_ffmpeg(
    path: str | Path,
    frames: Iterable[Picture],
    fps: float | Fraction,
    options: dict[str, Any],
    filters: Callable[[Any], Any] = lambda source: source,
) -> None:
    """Pipe frames through ``filters`` into ffmpeg, and move its output file into place."""
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: no pictures to write")
    height, width, _ = first.shape
    with atomic_write(path) as target, scratch_folder() as scratch, open(scratch / "messages.txt", "w+b") as messages:
        # ffmpeg writes to the temporary file by name: MP4's index needs a seekable output
        source = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=fps)
        command = filters(source).output(f"file:{target.name}", **options).global_args("-loglevel", "error", "-y")
        arguments = command.compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=messages)
        try:
            _feed(process, chain((first,), pictures))
            process.wait()
        finally:  # if the iterator of pictures failed, ffmpeg is still waiting for more
            process.kill()
            process.wait()
        if process.returncode:
            messages.seek(0)
            said = messages.read().decode(errors="replace").strip()
            last = (said.splitlines() or ["no message"])[-1]  # which knows nothing of a full disk in a line before
            raise StorageError(f"{path}: {storage_error_in(said) or f'ffmpeg failed: {last}'}")


def _feed(process: subprocess.Popen[bytes], pictures: Iterable[Picture]) -> None:
    """Write the pictures' bytes to a process and end its input; returns early where the process has ended."""
    assert process.stdin is not None
    shape = None
    try:
        for picture in pictures:
            assert picture.dtype == np.uint8
            assert shape in (None, picture.shape), f"{shape} became {picture.shape}"
            shape = picture.shape
            try:
                process.stdin.write(picture.tobytes())
            except BrokenPipeError:  # its exit status and message say why
                return
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that ``write_playable`` stored."""
    with open(path, "rb") as stream, open_video(stream) as container:
        return dict(json.loads(container.metadata["comment"]))
