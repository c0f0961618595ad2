"""Reading videos of the world: from any file to clips of a fixed number of frames, or to its frames one by one.

Pictures are numpy arrays (H, W, 3) uint8 RGB, clips (T, H, W, 3). The rules, so that a file means the same everywhere:

- the picture stream is the first video stream in the file that is no attached picture (cover art, thumbnails);
- output frame j of a video shows what is on the screen j / fps seconds after its first frame, by timestamps, so that
  any frame rate, a variable one and an odd start come out right; timestamps that go backwards stand still;
- rotation metadata turn the picture once; non-square pixels become square; interlaced frames are deinterlaced; any
  pixel format becomes 8-bit RGB; what is transparent lies on black; the centre is cropped to the wanted aspect.

How a file is opened and decoded stands in ``walt.core.decoding``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from walt.core.decoding import VideoInfo, VideoReader, describe, open_video, picture_stream
from walt.core.images import Limits, Picture, Size, SourceError

Clip = NDArray[np.uint8]
FrameT = TypeVar("FrameT")

SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv",
     ".asf", ".ogv", ".gif"}
)  # fmt: skip

_START = Fraction(0)
_ROUNDING = Fraction(1, 100)  # of a frame: a span's ends are rounded to milliseconds
_ON_SCREEN = Fraction(1, 1000)  # a frame counts as shown this much early: Matroska rounds timestamps to milliseconds


@dataclass(frozen=True)
class SourceClip:
    """Frames cut out of a source, in each size that was asked for."""

    start_seconds: float
    """After the source's first frame."""
    frames: dict[Size, Clip]
    """(T, height, width, 3); a still has T = 1."""


def probe(path: str | Path) -> VideoInfo:
    """Read the header of a video. Raises SourceError (``format``, ``no_video``, ``codec``)."""
    with open(path, "rb") as stream, open_video(stream) as container:
        return describe(container, picture_stream(container))


def read_clips(
    path: str | Path,
    *,
    num_frames: int,
    fps: float,
    sizes: Sequence[Size],
    max_clips: int,
    limits: Limits,
    accept_still: bool = False,
    span: tuple[float, float] | None = None,
) -> list[SourceClip]:
    """Cut a video into consecutive clips from its start, decoding once for all sizes.

    Args:
        num_frames, fps: the clip rule; clip k starts k * num_frames / fps seconds after the first frame.
        span: only what is shown from its start to its end, in seconds after the first frame; clips begin at its start.
        sizes: (height, width) of the results.
        max_clips: stop after so many; what is left at the end and is shorter than a clip is dropped.
        limits: judged by the header, and again by what is decoded.
        accept_still: a video of exactly one frame gives one clip with T = 1.

    Raises:
        SourceError: with the code for the rejects table.
    """
    with open(path, "rb") as stream, open_video(stream) as container:
        reader = VideoReader(container, limits)
        begin, end = (Fraction(str(moment)) for moment in span or (0, 0))
        inside = math.floor((end - begin) * Fraction(str(fps)) + _ROUNDING) if span else max_clips * num_frames
        wanted = min(max_clips * num_frames, max(inside, 1))
        pictures: dict[Size, list[Picture]] = {size: [] for size in sizes}
        for converted in _sample(reader.frames(), Fraction(str(fps)), wanted, reader.convert(sizes), begin):
            for size, picture in converted.items():
                pictures[size].append(picture)
        reader.check_complete()
        count = len(pictures[sizes[0]])
        if accept_still and reader.decoded == 1:
            return [SourceClip(0.0, {size: np.stack(frames[:1]) for size, frames in pictures.items()})]
        if count < num_frames:
            raise SourceError("too_short", f"{count} frames at {fps:g} a second, a clip has {num_frames}")
        return [
            SourceClip(
                float(begin + start / Fraction(str(fps))),
                {size: np.stack(frames[start : start + num_frames]) for size, frames in pictures.items()},
            )
            for start in range(0, count - num_frames + 1, num_frames)
        ]


def iterate_frames(
    path: str | Path,
    *,
    fps: float | Fraction,
    fit: Callable[[Size], Size],
    limits: Limits,
    max_seconds: float = math.inf,
) -> Iterator[Picture]:
    """The pictures of a video of any length, one by one, by the same rules as ``read_clips``; memory does not grow.

    Args:
        fps: pictures a second; at a file's ``constant_fps`` (``probe``) none of its frames is left out.
        fit: the wanted (height, width), given those of the upright source with square pixels; called once. It may
            raise SourceError.
        limits: judged by the header, and again by what is decoded.
        max_seconds: only pictures of moments before that; one at least.

    Yields:
        (height, width, 3); neighbours may be the same array.

    Raises:
        SourceError: while iterating. That less came than the header promised is known only after the last picture.
    """
    rate = Fraction(str(fps))
    wanted = None if math.isinf(max_seconds) else max(1, math.ceil(Fraction(str(max_seconds)) * rate))
    with open(path, "rb") as stream, open_video(stream) as container:
        reader = VideoReader(container, limits)
        frames = reader.frames()
        first = next(frames, None)
        if first is not None:
            size = fit(reader.upright_size(first[2]))
            for converted in _sample(chain((first,), frames), rate, wanted, reader.convert((size,))):
                yield converted[size]
        reader.check_complete()


def _sample(
    frames: Iterator[tuple[Fraction, Fraction, FrameT]],
    fps: Fraction,
    wanted: int | None,
    convert: Callable[[FrameT], dict[Size, Picture]],
    begin: Fraction = _START,
) -> Iterator[dict[Size, Picture]]:
    """Yield what is on the screen 0, 1 / fps, 2 / fps ... seconds after ``begin``, ``wanted`` times at most.

    Frames come as (seconds, duration in seconds, frame); ``begin`` is in seconds after the first.
    """
    origin = end = Fraction(0)
    held: FrameT | None = None
    shown: dict[Size, Picture] | None = None  # the held frame converted, once, if any output moment needs it
    count = 0
    for seconds, duration, frame in frames:
        if held is None:
            origin = seconds
        while held is not None and begin + count / fps + _ON_SCREEN < seconds - origin:
            shown = shown or convert(held)
            yield shown
            count += 1
            if count == wanted:
                return
        held, shown, end = frame, None, seconds - origin + duration
    while held is not None and begin + count / fps < end and count != wanted:
        shown = shown or convert(held)
        yield shown
        count += 1
