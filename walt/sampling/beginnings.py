"""Given images and videos as the first frames of generated ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.core.sizes import Size
from walt.data.clip_pixels import pixels
from walt.media.images import Clip, Limits, SourceError, crop_and_resize
from walt.media.kinds import kind_of
from walt.sampling.given_files import GivenFile, ReadFile, read_file
from walt.sampling.prompt_to_video import Beginning, Pipeline

MAX_SECONDS = 600.0
"""Longest video that can be continued: all of its frames are held in memory."""
_LIMITS = Limits(min_side=1, max_pixels=7680 * 4320, max_seconds=math.inf)


def read_image(path: Path, pipeline: Pipeline, cascade: bool, read: ReadFile = read_file) -> Beginning:
    """One frame (1, 3, 1, H, W): the image's centre in the models' aspect.

    Raises:
        ConfigurationError: the file is missing or not an image; it is an argument of the command.
    """
    _check_file(path)
    if kind_of(str(path)) != "image":
        raise ConfigurationError(f"{printable(str(path))}: by its name not an image; a video is for --continue")
    sizes = tuple(pipeline.resolutions(cascade))
    try:
        clips = read(GivenFile(path, sizes, None, _LIMITS))
    except (SourceError, OSError) as error:
        raise _refusal(path, error) from None
    return Beginning(tuple(pixels([clip]) for clip in clips))


def read_video(
    path: Path, pipeline: Pipeline, cascade: bool, fps: float, read: ReadFile = read_file
) -> tuple[Clip, Beginning]:
    """All frames of a video at ``fps``, (T, H, W, 3) in the resolution of what will follow, and its last ones.

    Raises:
        ConfigurationError: the file is missing, not a video, longer than ``MAX_SECONDS``, or too short to continue.
    """
    _check_file(path)
    if kind_of(str(path)) == "image":
        raise ConfigurationError(f"{printable(str(path))}: by its name not a video; an image is for --image")
    size = pipeline.resolutions(cascade)[-1]
    limits = Limits(_LIMITS.min_side, _LIMITS.max_pixels, MAX_SECONDS)
    try:
        (frames,) = read(GivenFile(path, (size,), fps, limits))
    except (SourceError, OSError) as error:
        raise _refusal(path, error) from None
    if len(frames) < pipeline.overlap:
        raise ConfigurationError(
            f"{printable(str(path))}: {len(frames)} frames at {fps:g} per second, but {pipeline.overlap} are needed"
        )
    return frames, beginning_of(frames[-pipeline.overlap :], pipeline.resolutions(cascade))


def beginning_of(frames: Clip, resolutions: Sequence[Size]) -> Beginning:
    """Frames (T, H, W, 3) as each model of the cascade sees them: (1, 3, T, height, width), their centres."""
    return Beginning(tuple(pixels([fitted(frames, size)]) for size in resolutions))


def fitted(frames: Clip, size: Size) -> Clip:
    """The centres of frames (T, H, W, 3) in a size."""
    return np.stack([crop_and_resize(frame, [size])[size] for frame in frames])


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"no file '{printable(str(path))}'")


def _refusal(path: Path, error: SourceError | OSError) -> ConfigurationError:
    cause = f"{error.code}: {error.cause}" if isinstance(error, SourceError) else error.strerror
    return ConfigurationError(f"{printable(str(path))}: {cause}")
