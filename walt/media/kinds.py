"""What a file is by its name: a still picture, a video, or neither."""

from __future__ import annotations

from typing import Literal

from walt.media import images, video

Kind = Literal["video", "image"]


_MEDIA = video.SUFFIXES | images.SUFFIXES


def kind_of(path: str) -> Kind:
    """The kind by the name's suffix. Whatever is not an image must open as a video, whatever its name is."""
    return "image" if _suffix(path) in images.SUFFIXES else "video"


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
