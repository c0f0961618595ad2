"""Opens the container of any video, from the file's own bytes alone.

Only the demuxers in ``DEMUXERS`` read a file: a playlist with a video's name is refused before it is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import IO, Any, cast

import av
from av.container import InputContainer

from walt.media.images import SourceError, check_not_empty
from walt.media.unread_parts import check_parts, without_index

_MOST_ATTEMPTS = 1 << 20
"""Each goes on by 64 kB or more: zeros of 64 GB."""
DEMUXERS = "mov,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg,gif,apng"


@contextmanager
def open_video(stream: IO[bytes]) -> Iterator[InputContainer]:
    """Open a video from its bytes, turning FFmpeg's errors into SourceError. The file's name, which may be anything, is
    never given to FFmpeg's protocols."""
    check_not_empty(stream)
    check_parts(stream)
    try:
        container = _open(stream)
    except av.FFmpegError:
        stream.seek(0)
        try:
            container = _open(SimpleNamespace(read=stream.read, seek=stream.seek, tell=stream.tell))
        except av.FFmpegError as error:
            cause = f"not one of the video formats {DEMUXERS}, or damaged ({error.strerror})"
            raise SourceError("format", without_index(stream) or cause) from None
    try:
        with container:
            yield container
    except av.FFmpegError as error:
        raise SourceError("decode", f"{error.strerror}") from None


def _open(stream: Any) -> InputContainer:
    """Where the bytes are not certain (MPEG program streams), FFmpeg lets the name of a stream that has one decide: a
    suffix of a picture then hides the video."""
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    return cast(InputContainer, av.open(stream, mode="r", container_options=options, metadata_errors="replace"))


def demuxed(container: InputContainer) -> Iterator[av.Packet[Any]]:
    """All packets. Where FFmpeg finds none for a while in a transport stream, as in zeros that a recorder left, it says
    "try again", and goes on where it is."""
    for _ in range(_MOST_ATTEMPTS):
        try:
            yield from container.demux()
        except av.BlockingIOError:
            continue
        return
    raise SourceError("decode", "its demuxer finds no further packets, and no end")
