"""What a file is, by its name or by its bytes: a still picture, a video, or neither."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from walt.media import stills, video
from walt.media.containers import open_video
from walt.media.images import SourceError

Kind = Literal["video", "image"]


_MEDIA = video.SUFFIXES | stills.SUFFIXES


def kind_of(path: str) -> Kind:
    """The kind by the name's suffix: what a file is listed as, before it is opened (see ``kind_in_file``)."""
    return "image" if _suffix(path) in stills.SUFFIXES else "video"


def kind_in_file(path: Path, listed: Kind) -> Kind:
    """The kind by the file's bytes, whatever its name is; an animated PNG is a video.

    Args:
        path: a file, or a folder of frames, which is what it is listed as.
        listed: the answer where neither Pillow nor FFmpeg knows the bytes, or they cannot be read: whoever reads the
            file then says what is wrong.
    """
    try:
        with open(path, "rb") as stream:
            found = stills.still_or_animation(stream)
            if found is not None:
                return "image" if found == "still" else "video"
            if listed == "image":
                stream.seek(0)
                with open_video(stream):
                    return "video"
    except (OSError, SourceError):
        pass
    return listed


def is_media(name: str) -> bool:
    """Whether a name is that of a video or an image, and neither it nor a folder in it is hidden."""
    if _suffix(name) not in _MEDIA:
        return False
    return not any(part.startswith(".") and part != "." for part in name.split("/"))


def _suffix(name: str) -> str:
    """``.mp4``, in lower case; empty for a name without one. A ``Path`` would take ten times as long."""
    start = name.rfind("/") + 1
    dot = name.rfind(".", start + 1)
    return name[dot:].lower() if dot > 0 else ""
