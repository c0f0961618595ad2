"""Videos that differ from each other as real ones do, and the disguises in which one may come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.media import ffmpeg, write_video

SIDE, FPS, SECONDS = 64, 24, 4


def scene(seed: int, seconds: float = SECONDS) -> np.ndarray:
    """A picture of coloured patches over which the camera moves, (T, SIDE, SIDE, 3)."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    picture = np.asarray(patches.resize((3 * SIDE, 3 * SIDE), Image.Resampling.BICUBIC))
    path = rng.uniform(0, 2 * SIDE, (2, 2))  # from where the camera moves, and to where
    count = round(seconds * FPS)
    places = (path[0] + (path[1] - path[0]) * share for share in np.linspace(0, 1, count))
    return np.stack([picture[int(y) : int(y) + SIDE, int(x) : int(x) + SIDE] for y, x in places])


def write_scene(path: Path, seed: int, seconds: float = SECONDS) -> Path:
    """``scene`` as an MP4."""
    return write_video(path, scene(seed, seconds), fps=FPS)


def _renamed(source: Path, folder: Path) -> Path:
    target = folder / "other-name.mp4"
    target.write_bytes(source.read_bytes())
    return target


def _remuxed(source: Path, folder: Path) -> Path:
    target = folder / "remuxed.mkv"
    ffmpeg("-i", source, "-c", "copy", target)
    return target


def _encoded(name: str, *arguments: str) -> Callable[[Path, Path], Path]:
    def make(source: Path, folder: Path) -> Path:
        target = folder / name
        ffmpeg("-i", source, *arguments, "-threads", "1", target)
        return target

    return make


DISGUISES: dict[str, Callable[[Path, Path], Path]] = {
    "renamed": _renamed,
    "re-muxed": _remuxed,
    "re-encoded": _encoded("re-encoded.mp4", "-c:v", "libx264", "-crf", "32", "-pix_fmt", "yuv420p"),
    "resized": _encoded("resized.mp4", "-vf", "scale=48:48", "-pix_fmt", "yuv420p", "-crf", "20"),
    "cut": _encoded("cut.mp4", "-ss", "0.7", "-pix_fmt", "yuv420p", "-crf", "20"),
}
"""Name -> writes the disguised copy of a video into a folder."""
