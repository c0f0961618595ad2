"""Reads a video that is a folder of numbered pictures, by the same rules as a file.

A worker gets it as a small file, the *index*: the rate, and the size and SHA-256 of each frame in order. The index
identifies the video, wherever it lies; where its frames lie is in a second file beside it. A frame is checked against
its hash when it is decoded, and only those that clips need are decoded. Frames are 1 / fps seconds long, and all of
them have the size of the first.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from PIL import Image

from walt.core.sizes import Size
from walt.core.storage import TEMPORARY_SUFFIX
from walt.media.clip_times import ON_SCREEN
from walt.media.images import Limits, Picture, SourceError, crop_and_resize
from walt.media.numbered import in_order
from walt.media.stills import DAMAGED, FORMATS, decode_picture

MAGIC = b"walt frames 1\n"


@dataclass(frozen=True)
class FramesInfo:
    """What the index and the first frame say."""

    codec: str
    """The format of the first frame, such as ``png``."""
    width: int
    height: int
    num_frames: int
    fps: Fraction

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.width, self.height

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return float(self.num_frames / self.fps)


def make_index(folder: str, fps: str) -> tuple[bytes, bytes]:
    """The index of a folder, and the list of its frames' paths. All frames are read.

    Raises:
        SourceError: as ``in_order``: the folder is not what it was when it was listed. OSError.
    """
    names = in_order(entry.name for entry in os.scandir(folder) if entry.is_file())
    status = [os.stat(f"{folder}/{name}") for name in names]  # noqa: PTH116 there may be many
    return _make_index(folder, fps, tuple(names), tuple((found.st_size, found.st_mtime_ns) for found in status))


@lru_cache(maxsize=1)  # a visit needs it to hash the video, and again to cut it
def _make_index(folder: str, fps: str, names: tuple[str, ...], _: tuple[tuple[int, int], ...]) -> tuple[bytes, bytes]:
    lines, paths = [json.dumps({"fps": fps})], []
    for name in names:
        path = Path(folder) / name
        data = path.read_bytes()
        lines.append(f"{hashlib.sha256(data).hexdigest()} {len(data)}")
        paths.append(str(path))
    return MAGIC + "\n".join(lines).encode() + b"\n", json.dumps(paths).encode()


def num_bytes(index: bytes) -> int:
    """Bytes of all frames that an index lists."""
    return sum(int(line.split()[1]) for line in index.removeprefix(MAGIC).splitlines()[1:])


def paths_file(index: Path) -> Path:
    """Where the list of paths is that belongs to an index."""
    return index.with_name(f"{index.name}.paths{TEMPORARY_SUFFIX}")


def is_index(path: str | Path) -> bool:
    """Whether a file is the index of a folder of frames."""
    with open(path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


class FrameReader:
    """The frames that an index lists."""

    def __init__(self, index: str | Path) -> None:
        """Raises SourceError (``format``): the file is not an index, or its list of paths is not beside it."""
        index = Path(index)
        try:
            head, *lines = index.read_bytes().removeprefix(MAGIC).decode("ascii").splitlines()
            self.fps = Fraction(str(json.loads(head)["fps"]))
            self._digests = [line.split()[0] for line in lines]
            self._paths = [Path(path) for path in json.loads(paths_file(index).read_bytes())]
        except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
            raise SourceError("format", "not a video") from None
        if len(self._paths) != len(self._digests) or not self._paths or self.fps <= 0:
            raise SourceError("format", "not a video")

    def __len__(self) -> int:
        return len(self._paths)

    def info(self) -> FramesInfo:
        """Size and format of the first frame. Raises SourceError."""
        size, codec = self._header(0)
        return FramesInfo(codec, *size, len(self), self.fps)

    def check(self, limits: Limits) -> FramesInfo:
        """Check all frames by their headers.

        Raises:
            SourceError: ``too_small``, ``too_large``, ``too_long``; ``size_changed`` (a frame has not the first one's
                size); ``format``.
        """
        info = self.info()
        limits.check_size(info.width, info.height)
        if info.seconds > limits.max_seconds:
            raise SourceError("too_long", f"{info.seconds:.0f} seconds, more than {limits.max_seconds:g}")
        for number, path in enumerate(self._paths):
            (width, height), _ = self._header(number)
            if (width, height) != (info.width, info.height):
                raise SourceError(
                    "size_changed",
                    f"{path.name} has {width}x{height} pixels, the first frame {info.width}x{info.height}",
                )
        return info

    def number_at(self, moment: Fraction) -> int | None:
        """Which frame is on the screen at a moment in seconds; None: the video has ended."""
        number = math.floor((moment + ON_SCREEN) * self.fps)
        return number if number < len(self) and moment < len(self) / self.fps else None

    def picture(self, number: int, limits: Limits) -> Picture:
        """(H, W, 3), upright. Raises SourceError, naming the frame: damaged, or ``changed`` since it was hashed."""
        path = self._paths[number]
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self._digests[number]:
            raise SourceError("changed", f"{path.name}: its bytes changed while it was read")
        try:
            return decode_picture(io.BytesIO(data), limits)
        except SourceError as error:
            raise SourceError(error.code, f"{path.name}: {error.cause}") from None

    def _header(self, number: int) -> tuple[tuple[int, int], str]:
        """(width, height) and format of a frame."""
        try:
            with warnings.catch_warnings(), Image.open(self._paths[number], formats=FORMATS) as image:
                warnings.simplefilter("ignore")  # our own limits decide about the size
                turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
                return image.size[::-1] if turned else image.size, str(image.format).lower()
        except (*DAMAGED, Image.DecompressionBombError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            said = f"{self._paths[number].name}: not one of the image formats {', '.join(FORMATS)}, or damaged"
            raise SourceError("format", said) from None


def pictures_at(
    reader: FrameReader, moments: Sequence[Fraction], sizes: Sequence[Size], limits: Limits
) -> dict[Fraction, dict[Size, Picture]]:
    """What is on the screen at these moments, in each size, until the video ends; each frame is decoded once.

    Raises:
        SourceError: as ``FrameReader.picture``.
    """
    shown: dict[Fraction, dict[Size, Picture]] = {}
    last: tuple[int, dict[Size, Picture]] | None = None
    for moment in moments:
        number = reader.number_at(moment)
        if number is None:
            break
        if last is None or last[0] != number:
            last = number, crop_and_resize(reader.picture(number, limits), sizes)
        shown[moment] = last[1]
    return shown


def iterate(
    reader: FrameReader, moments: Iterator[Fraction], fit: Callable[[Size], Size], limits: Limits
) -> Iterator[Picture]:
    """The pictures at these moments one by one, until the video ends. Raises SourceError as ``check``, ``picture``."""
    info = reader.check(limits)
    size = fit((info.height, info.width))
    last: tuple[int, Picture] | None = None
    for moment in moments:
        number = reader.number_at(moment)
        if number is None:
            return
        if last is None or last[0] != number:
            last = number, crop_and_resize(reader.picture(number, limits), (size,))[size]
        yield last[1]
