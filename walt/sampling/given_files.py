"""Reads the pictures of a file that is given as the first frames of a video. No torch: a killable process can do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from walt.core.sizes import Size
from walt.media.images import Clip, Limits, crop_and_resize
from walt.media.stills import read_picture
from walt.media.video import iterate_frames


@dataclass(frozen=True)
class GivenFile:
    """A file, and what is wanted of it."""

    path: Path
    sizes: tuple[Size, ...]
    """(height, width) in pixels; of a video only one."""
    fps: float | None
    """None for an image."""
    limits: Limits


ReadFile = Callable[[GivenFile], list[Clip]]
"""As ``read_file``, perhaps in another process."""


def read_file(given: GivenFile) -> list[Clip]:
    """The pictures in each size, (T, H, W, 3): one of an image, all of a video at ``fps``.

    Raises:
        SourceError, OSError: the file is not what it is said to be, damaged, or beyond the limits.
    """
    if given.fps is None:
        resized = crop_and_resize(read_picture(given.path, given.limits), list(given.sizes))
        return [resized[size][None] for size in given.sizes]
    (size,) = given.sizes
    frames = iterate_frames(given.path, fps=given.fps, fit=lambda _: size, limits=given.limits)
    pictures = list(frames)
    return [np.stack(pictures) if pictures else np.empty((0, *size, 3), np.uint8)]
