"""Reads the headers of source files: kind, size, rate, length, codec, and on request the first picture.

Nothing but that one picture is decoded. Worker processes import this module: no torch here.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PIL import Image

from walt.core.compute import ComputeConfig
from walt.core.errors import StorageError
from walt.core.scratch import scratch_folder
from walt.core.sizes import Size
from walt.ingest.sources.items import Item, Refusal, Span
from walt.ingest.sources.locations import local_copy
from walt.media import video
from walt.media.images import Limits, Picture, SourceError, check_not_empty, crop_and_resize
from walt.media.kinds import Kind, kind_in_file
from walt.media.stills import DAMAGED, FORMATS, check_still, read_picture
from walt.workers.execute import map_items

_CODECS = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}
"""Codecs whose decoder has another name than the codec."""
_WIDEST = 4
"""Largest ratio of width to height of a first picture: one of a few rows and a million columns must not be enlarged."""


@dataclass(frozen=True)
class Header:
    """What the header of a readable file says."""

    source: str
    kind: Kind
    codec: str
    """For a still its format, such as ``png``."""
    width: int
    """As stored, before rotation."""
    height: int
    fps: float | None
    seconds: float | None
    picture: Picture | None
    """The first picture, small; None where it was not requested, or cannot be decoded."""


@dataclass(frozen=True)
class HeaderRequest:
    """An input whose header is to be read. Its location is kept as bytes, which can be passed to any process."""

    path: bytes
    source: bytes
    kind: Kind
    span: Span | None
    picture_height: int | None
    """Height of the first picture in pixels; None: no picture is wanted."""
    temporary: bytes
    """Folder for temporary copies of remote files and members of tars."""


def choose(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """At most ``count`` of the items, drawn uniformly, in the order of the list: a function of (items, count, seed)."""
    indices = random.Random(seed).sample(range(len(items)), min(count, len(items)))
    return [items[index] for index in sorted(indices)]


def read_headers(
    items: Sequence[Item],
    limits: Limits,
    compute: ComputeConfig,
    *,
    pictures: int,
    picture_height: int,
    timeout_seconds: float,
    memory_mb: int,
) -> Iterator[Header | Refusal]:
    """The header of each file, in order; a refusal where it cannot be read, or is outside the limits.

    Source files are opened in processes that can be killed, even where ``compute`` says ``inline``.

    Args:
        pictures: how many of the items, evenly spread over the list, come with their first picture.
    """
    if compute.backend == "inline":
        compute = compute.model_copy(update={"backend": "process"})
    shown = {index * len(items) // pictures for index in range(pictures)} if pictures else set()
    with scratch_folder() as temporary:
        requests = [
            HeaderRequest(
                os.fsencode(item.path), os.fsencode(item.source), item.kind, item.span,
                picture_height if index in shown else None, os.fsencode(temporary),
            )
            for index, item in enumerate(items)
        ]  # fmt: skip
        outcomes = map_items(
            partial(read_header, limits), requests, compute, timeout_seconds=timeout_seconds, memory_mb=memory_mb
        )
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome.value is not None:
                yield outcome.value
            else:
                assert outcome.failure is not None
                yield Refusal(item.source, outcome.failure.code, outcome.failure.cause)


def read_header(limits: Limits, request: HeaderRequest) -> Header | Refusal:
    """One file's header. Runs in a worker process."""
    source = os.fsdecode(request.source)
    try:
        with local_copy(os.fsdecode(request.path), Path(os.fsdecode(request.temporary))) as path:
            return _read_local(limits, request, path, source)
    except StorageError as error:
        if os.fsdecode(request.temporary) in str(error):  # the folder's fault, not the source's
            raise
        return Refusal(source, "unreadable", str(error))
    except SourceError as error:
        return Refusal(source, error.code, error.cause)
    except OSError as error:
        return Refusal(source, "unreadable", error.strerror or str(error))


def _read_local(limits: Limits, request: HeaderRequest, path: Path, source: str) -> Header:
    header = (_picture_header if kind_in_file(path, request.kind) == "image" else _video_header)(path, source)
    limits.check_size(header.width, header.height)
    if request.span is not None:
        start, end = request.span
        limits = limits.around(start, end)
        if header.seconds is not None:
            header = replace(header, seconds=max(0.0, min(end, header.seconds) - start))
    elif header.seconds is not None and header.seconds > limits.max_seconds:
        raise SourceError("too_long", f"{header.seconds:.0f} seconds, more than {limits.max_seconds:g}")
    if request.picture_height is None:
        return header
    return Header(**{**vars(header), "picture": _first_picture(path, header, limits, request.picture_height)})


def _picture_header(path: Path, source: str) -> Header:
    """Pillow reads only the header until pixels are requested."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limits decide about the size
            with Image.open(path, formats=FORMATS) as image:
                check_still(image)
                return Header(source, "image", str(image.format).lower(), *image.size, None, None, None)
    except Image.DecompressionBombError as error:
        raise SourceError("too_large", str(error)) from None
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the operating system, not of Pillow
        with open(path, "rb") as stream:
            check_not_empty(stream)
        raise SourceError("format", f"not one of the image formats {', '.join(FORMATS)}, or damaged") from error


def _video_header(path: Path, source: str) -> Header:
    info = video.probe(path)
    fps = info.average_fps or info.constant_fps
    codec = _CODECS.get(info.codec, info.codec)
    return Header(
        source, "video", codec, info.width, info.height, float(fps) if fps else None, info.seconds, None
    )  # fmt: skip


def _first_picture(path: Path, header: Header, limits: Limits, height: int) -> Picture | None:
    """The first picture, upright and of this height, or smaller where it is very wide; None where it is damaged, since
    the header is still worth showing."""

    def fit(size: Size) -> Size:
        scale = min(height / size[0], _WIDEST * height / size[1])
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    try:
        if header.kind == "image":
            picture = read_picture(path, limits)
            size = fit((picture.shape[0], picture.shape[1]))
            return crop_and_resize(picture, (size,))[size]
        return next(video.iterate_frames(path, fps=1.0, fit=fit, limits=limits, max_seconds=1.0), None)
    except SourceError:
        return None
