"""Reads any video file: as clips of a fixed number of frames, or as its frames one by one.

Pictures are numpy arrays (H, W, 3) uint8 RGB, clips (T, H, W, 3). A file is always read by these rules:

- the picture stream is the video stream that players choose, never a single picture (cover art, thumbnails) where there
  is another;
- output frame j of a video shows what is on the screen j / fps seconds after its first frame, by timestamps, so that
  any frame rate, a variable rate and an odd start are handled correctly; a timestamp that goes back counts as the one
  before it;
- seconds count on the file's clock, as players show it: from the start of the stream that starts first, which may be
  the sound; where time begins again inside a file, what follows is shown at once, and no clip goes over the join;
- clips that touch damage are left out: see ``walt.media.continuity``;
- rotation metadata is applied once; non-square pixels become square; interlaced frames are deinterlaced; any pixel
  format becomes 8-bit RGB; transparent pixels are composited on black; the centre is cropped to the wanted aspect.

``walt.media.decoding`` opens and decodes files, ``walt.media.skipping`` finds what need not be decoded, and
``walt.media.scaling`` turns frames into pictures. A folder of numbered pictures is read by ``walt.media.frames``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from walt.core.sizes import Size
from walt.media import frames as folders
from walt.media.clip_times import ON_SCREEN, Starts, WantedClips
from walt.media.containers import open_video
from walt.media.decoding import TimedFrame, VideoReader, open_reader
from walt.media.images import Clip, Limits, Picture, SourceError
from walt.media.skipping import Unfit
from walt.media.streams import VideoInfo, describe, picture_stream

FrameT = TypeVar("FrameT")
ShownT = TypeVar("ShownT")

SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv",
     ".asf", ".ogv", ".gif", ".3g2", ".divx", ".f4v", ".m2t", ".mpe", ".ogm", ".qt", ".vob"}
)  # fmt: skip


@dataclass(frozen=True)
class SourceFacts:
    """Facts about a source, from its header and its first decoded frame."""

    height: int
    """Upright, in square pixels."""
    width: int
    fps: float | None
    """Average rate by the header; None: a still, or the header does not say."""
    seconds: float | None
    """Length by the header; None as above."""


@dataclass(frozen=True)
class SourceClip:
    """Frames cut from a source, in each requested size."""

    start_seconds: float
    """On the file's clock: 0 where the picture starts with the file."""
    frames: dict[Size, Clip]
    """(T, height, width, 3); a still has T = 1."""
    facts: SourceFacts
    part: int = 0
    """How many times the source's time has begun again before it."""


Fit = Callable[[SourceFacts], Sequence[Size]]
"""Chooses the sizes of the results; it may raise SourceError."""
Pictures = dict[Fraction, dict[Size, Picture]]
"""By moment."""
Moments = Callable[[Fraction], list[Fraction]]
"""The wanted moments, increasing, given when the first frame is shown."""


@dataclass(frozen=True)
class Reading:
    """What was read of a file."""

    facts: SourceFacts
    pictures: Pictures
    late: Fraction
    """When its first frame is shown, in seconds on the file's clock."""
    only_one: bool
    """Whether it has only one frame."""
    joins: Sequence[Fraction] = ()
    """When its time began again."""
    damage: Sequence[tuple[Fraction, Fraction]] = ()
    """Begins and ends of what damage spread to."""
    has_gaps: bool = False
    """Whether the end of what was read decides what is damage: see ``walt.media.continuity``."""


Reader = Callable[[str | Path, Moments, Fit, Limits], Reading]
"""``read_pictures``, or what returns the same with less work."""


def probe(path: str | Path) -> VideoInfo:
    """Read the header of a video. Raises SourceError (``format``, ``no_video``, ``codec``)."""
    if folders.is_index(path):
        found = folders.FrameReader(path).info()
        fps, num = found.fps, found.num_frames
        return VideoInfo(found.codec, "rgb24", *found.size, Fraction(1), num, fps, fps, found.seconds, 0)
    with open(path, "rb") as stream, open_video(stream) as container:
        return describe(container, picture_stream(container))


def read_clips(
    path: str | Path,
    *,
    num_frames: int,
    fps: float,
    sizes: Sequence[Size] | Fit,
    max_clips: int,
    limits: Limits,
    accept_still: bool = False,
    stride_seconds: float | None = None,
    starts: Sequence[float] | Starts | None = None,
    read: Reader | None = None,
) -> list[SourceClip]:
    """Cut a video into clips, decoding it once for all clips and sizes.

    Args:
        num_frames, fps: frame j of a clip is what is on the screen j / fps seconds after the clip's start.
        sizes: (height, width) of the results, or a function that chooses them.
        max_clips: the largest number of clips; one whose last frame is after the end of the video is left out.
        limits: checked by the header, and again while decoding.
        accept_still: a video of exactly one frame gives one clip with T = 1.
        stride_seconds: clip k starts k * stride_seconds after the first frame; None: num_frames / fps, clips adjoin.
        starts: the clips' starts, in seconds on the file's clock, increasing, or a function that gives them; used
            instead of a stride.
        read: used instead of ``read_pictures``; it returns the same.

    Raises:
        SourceError: with the code for the rejects table; ``too_short`` where no clip is whole, ``damaged`` where no
            clip is free of damage.
    """
    rate = Fraction(str(fps))
    stride = num_frames / rate if stride_seconds is None else Fraction(str(stride_seconds))
    wanted = WantedClips(num_frames, rate, stride, max_clips, limits.max_seconds, starts)
    fit = sizes if callable(sizes) else lambda _: sizes
    read = read or read_pictures
    found = read(path, wanted.moments, fit, limits)
    if found.joins:  # clips begin again there, which is known only now
        wanted = replace(wanted, joins=found.joins)
        found = read(path, wanted.moments, fit, limits)
    if accept_still and found.only_one:
        still = {size: picture[None] for size, picture in next(iter(found.pictures.values())).items()}
        return [SourceClip(0.0, still, found.facts)]
    return _whole_clips(path, found, wanted)


def _whole_clips(path: str | Path, found: Reading, wanted: WantedClips) -> list[SourceClip]:
    """The clips of which all frames were read and which no damage touches. Raises SourceError where there are none."""
    clips, damaged, num_frames = [], 0, wanted.num_frames
    for begin in wanted.begins(found.late):
        times = (begin + Fraction(number) / wanted.rate for number in range(num_frames))
        shown = [found.pictures[at] for at in times if at in found.pictures]
        if len(shown) != num_frames:
            continue
        if any(begin < until and begin + wanted.last + ON_SCREEN >= since for since, until in found.damage):
            damaged += 1
            continue
        frames = {size: np.stack([converted[size] for converted in shown]) for size in shown[0]}
        clips.append(SourceClip(float(begin), frames, found.facts, sum(join <= begin for join in wanted.joins)))
    if not clips and damaged:
        raise SourceError("damaged", f"damage from {float(found.damage[0][0]):.2f} s on, in all of {damaged} clips")
    if not clips:
        refusal = too_short(len(found.pictures), float(wanted.rate), num_frames)
        if folders.is_index(path):  # whoever has only pictures may have guessed their rate
            folder = folders.FrameReader(path)
            said = f"{len(folder)} pictures at source.fps {float(folder.fps):g}"
            refusal = SourceError(refusal.code, f"{refusal.cause}; {said}")
        raise refusal
    return clips


def too_short(num_shown: int, fps: float, num_frames: int) -> SourceError:
    """The refusal of a video that has fewer frames than a clip."""
    return SourceError("too_short", f"{num_shown} frames at {fps:g} per second, a clip has {num_frames}")


def read_pictures(path: str | Path, moments: Moments, fit: Fit, limits: Limits) -> Reading:
    """What is shown at these moments by the rules of ``read_clips``; none for moments after the end.

    Raises:
        SourceError: as ``read_clips``.
    """
    if folders.is_index(path):
        reader = folders.FrameReader(path)
        header = reader.check(limits)
        facts = SourceFacts(header.height, header.width, float(header.fps), header.seconds)
        pictures = folders.pictures_at(reader, moments(Fraction(0)), fit(facts), limits)
        return Reading(facts, pictures, Fraction(0), len(reader) == 1)
    with open(path, "rb") as stream:
        for read in (_read_few, partial(_read_all, strict=True)):
            try:
                return read(stream, moments, fit, limits)
            except Unfit:
                stream.seek(0)
        return _read_all(stream, moments, fit, limits, strict=False)


def _read_all(stream: IO[bytes], moments: Moments, fit: Fit, limits: Limits, *, strict: bool = False) -> Reading:
    """What is shown at these moments, decoding everything. Raises Unfit where a strict decoder cannot be used."""
    with open_reader(stream, limits, strict=strict) as reader:
        facts, pictures = _shown(reader, reader.frames(), moments, fit)
        reader.check_complete()
        joins = reader.joins()
        if joins:
            facts = replace(facts, seconds=reader.lasted())
        damage = tuple(reader.damage())
        only_one = reader.decoded == 1 and not damage
        return Reading(facts, pictures, reader.late, only_one, tuple(joins), damage, reader.continuity.has_gaps)


def _read_few(stream: IO[bytes], moments: Moments, fit: Fit, limits: Limits) -> Reading:
    """The same result bit for bit, decoding only what is needed. Raises Unfit where that is not certain."""
    with open_reader(stream, limits, strict=True) as reader:
        packets = reader.scan()
        wanted = moments(reader.late)
        shown = list(_sample(iter(packets), iter(wanted), lambda pts: pts))
        some = wanted[: len(shown)]
        frames = reader.frames_at(frozenset(shown or [packets[0][2]]))  # the facts need one frame
        facts, pictures = _shown(reader, frames, lambda _: some, fit)
        if len(pictures) != len(some):
            raise Unfit("not all frames came out of the decoder")
        reader.check_complete()
        return Reading(facts, pictures, reader.late, False)


def _shown(
    reader: VideoReader, frames: Iterator[TimedFrame], moments: Moments, fit: Fit
) -> tuple[SourceFacts, Pictures]:
    first = next(frames, None)
    if first is None:
        reader.check_complete()
        raise SourceError("decode", "no frame could be decoded")
    height, width = reader.upright_size(first[2])
    fps = reader.info.average_fps
    facts = SourceFacts(height, width, float(fps) if fps else None, reader.info.seconds)
    wanted = moments(reader.late)
    converted = _sample(chain((first,), frames), iter(wanted), reader.convert(fit(facts)))
    return facts, dict(zip(wanted, converted, strict=False))


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
        fps: pictures per second; at a file's ``constant_fps`` (``probe``) none of its frames is skipped.
        fit: returns the wanted (height, width), given those of the upright source with square pixels; called once. It
            may raise SourceError.
        limits: checked by the header, and again while decoding.
        max_seconds: only pictures before this moment, but at least one.

    Yields:
        (height, width, 3); neighbours may be the same array.

    Raises:
        SourceError: while iterating. A file shorter than its header says is noticed only after its last picture.
    """
    rate = Fraction(str(fps))
    numbers = count() if math.isinf(max_seconds) else range(max(1, math.ceil(Fraction(str(max_seconds)) * rate)))
    if folders.is_index(path):
        yield from folders.iterate(folders.FrameReader(path), (number / rate for number in numbers), fit, limits)
        return
    with open(path, "rb") as stream, open_reader(stream, limits) as reader:
        frames = reader.frames()
        first = next(frames, None)
        if first is not None:
            size = fit(reader.upright_size(first[2]))
            moments = (reader.late + number / rate for number in numbers)
            for converted in _sample(chain((first,), frames), moments, reader.convert((size,))):
                yield converted[size]
        reader.check_complete()


def _sample(
    frames: Iterator[tuple[Fraction, Fraction, FrameT]],
    moments: Iterator[Fraction],
    convert: Callable[[FrameT], ShownT],
) -> Iterator[ShownT]:
    """Yield what is on the screen at each moment, until the moments or the frames end.

    Frames come as (seconds on the file's clock, duration in seconds, frame); moments are such seconds, increasing.
    """
    held: FrameT | None = None
    shown: ShownT | None = None  # the held frame converted, once, if any moment needs it
    since = lasts = Fraction(0)  # of the held frame
    moment = next(moments, None)
    due = None if moment is None else moment + ON_SCREEN  # adding fractions takes microseconds: once per moment
    for seconds, duration, frame in frames:
        while held is not None and due is not None and due < seconds:
            shown = convert(held) if shown is None else shown
            yield shown
            moment = next(moments, None)
            due = None if moment is None else moment + ON_SCREEN
        if due is None:
            return
        held, shown, since, lasts = frame, None, seconds, duration
    end = since + lasts
    while held is not None and moment is not None and moment < end:
        shown = convert(held) if shown is None else shown
        yield shown
        moment = next(moments, None)
