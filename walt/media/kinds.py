"""What a file is by its name: a still picture, a video, or neither."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from walt.media import images, video

Kind = Literal["video", "image"]


def kind_of(path: str) -> Kind:
    """The kind by the name's suffix. Whatever is not an image must open as a video, whatever its name is."""
    return "image" if Path(path).suffix.lower() in images.SUFFIXES else "video"


def is_media(name: str) -> bool:
    """Whether a name is that of a video or an image, and neither it nor a folder in it is hidden."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in video.SUFFIXES | images.SUFFIXES
