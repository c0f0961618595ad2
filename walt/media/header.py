"""Single things that a file's header says: the work of a process that can be killed, which loads this alone."""

from __future__ import annotations

import os

from walt.media.containers import open_video
from walt.media.images import SourceError
from walt.media.video import probe


def seconds(path: bytes) -> float | None:
    """How long a video is; None where its header does not say so, or cannot be read."""
    try:
        return probe(os.fsdecode(path)).seconds
    except (SourceError, OSError, ValueError):
        return None


def tags(path: bytes) -> dict[str, str] | None:
    """The tags of a video, by their names in lower case; None where it cannot be opened."""
    try:
        with open(path, "rb") as stream, open_video(stream) as container:
            return {tag.lower(): text for tag, text in container.metadata.items()}
    except (SourceError, OSError):
        return None
