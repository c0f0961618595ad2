"""What is done with an uploaded file in a process that can be killed; it imports no more than that needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from walt.media import frames
from walt.media.images import Limits, SourceError
from walt.media.kinds import kind_in_file
from walt.media.stills import read_picture
from walt.media.video import probe
from walt.sampling.given_files import GivenFile, read_file

T = TypeVar("T")
_FPS = 8.0
"""At which an upload is decoded to see whether it can be."""


def answer(work: tuple[Callable[[Any], T], object]) -> tuple[str, Any]:
    """In the other process: what is found, or why nothing is."""
    function, item = work
    try:
        return "value", function(item)
    except SourceError as error:
        return "refused", (error.code, error.cause)
    except OSError as error:
        return "refused", ("unreadable", str(error.strerror))


def look_at(work: tuple[Path, Literal["image", "video"], Limits]) -> dict[str, Any]:
    """Kind, size and length of a file, which is decoded whole. Raises SourceError, OSError."""
    file, listed, limits = work
    kind = kind_in_file(file, listed)
    if kind != listed:
        raise SourceError("format", f"by its name {_with_article(listed)}, but its bytes are {_with_article(kind)}")
    if kind == "image":
        height, width, _ = read_picture(file, limits).shape
        return {"kind": kind, "width": width, "height": height, "seconds": None}
    if frames.is_index(file):  # it would name other files of this machine
        raise SourceError("format", "a list of frames; upload a video")
    header = probe(file)
    if header.seconds is not None and header.seconds > limits.max_seconds:
        raise SourceError("too_long", f"{header.seconds:.1f} s, but at most {limits.max_seconds:g} s are taken")
    (clip,) = read_file(GivenFile(file, ((16, 16),), _FPS, limits))
    seconds = round(len(clip) / _FPS, 3)
    return {"kind": kind, "width": header.width, "height": header.height, "seconds": seconds}


_FPS = 8.0
"""At which an upload is decoded to see whether it can be."""


def _with_article(kind: str) -> str:
    return "an image" if kind == "image" else "a video"
