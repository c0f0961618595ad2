"""Which stream of a file is its video, and what the header says of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from walt.media.images import SourceError


@dataclass(frozen=True)
class VideoInfo:
    """What a file's header says."""

    codec: str
    pixel_format: str
    width: int
    """As stored, before rotation."""
    height: int
    pixel_aspect: Fraction
    num_frames: int | None
    average_fps: Fraction | None
    constant_fps: Fraction | None
    """FFmpeg's guess, from the header and the first frames, of the rate at which no frame is skipped; for irregular
    frame rates, the average."""
    seconds: float | None
    stream_index: int


def picture_stream(container: InputContainer) -> VideoStream:
    """The video stream that players choose: FFmpeg's best one. Attached pictures (cover art, thumbnails) are never it,
    and one picture by the header's count only where there is nothing else.

    Raises:
        SourceError: ``no_video``, ``codec``.
    """
    attached = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & attached]
    if not streams:
        raise SourceError("no_video", "no picture stream")
    streams = [stream for stream in streams if stream.frames != 1] or streams
    best = container.streams.best("video")
    if best not in streams:
        best = next((stream for stream in streams if stream.disposition & av.stream.Disposition.default), streams[0])
    if best.codec_context is None:
        raise SourceError("codec", "no decoder for the picture stream")
    return best


def describe(container: InputContainer, stream: VideoStream) -> VideoInfo:
    """What the headers of the container and the stream say."""
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = float((stream.duration - _before(container, stream)) * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / av.time_base
    return VideoInfo(
        stream.codec_context.name, str(stream.codec_context.pix_fmt), stream.width, stream.height,
        stream.sample_aspect_ratio or Fraction(1), stream.frames or None, stream.average_rate,
        stream.guessed_rate, seconds, stream.index,
    )  # fmt: skip


def _before(container: InputContainer, stream: VideoStream) -> int:
    """Ticks of a stream's duration before its first picture. In a fragmented MP4 without its first fragments, as of a
    live stream that was recorded from some moment on, FFmpeg counts the duration from the time 0 of that stream."""
    start, duration = stream.start_time or 0, stream.duration or 0
    fragmented = container.format.name.startswith("mov") and not stream.frames
    return start if fragmented and 0 < start < duration else 0
