"""Generated videos as files: mp4 with their prompt inside, gif, a row of frames as PNG, and an overview of all.

Videos are numpy arrays (T, H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from walt.core.storage import write_bytes
from walt.media.images import png_bytes
from walt.media.playable import write_gif, write_playable

Video = NDArray[np.uint8]
Format = Literal["mp4", "gif", "grid"]
SUFFIXES: dict[Format, str] = {"mp4": "mp4", "gif": "gif", "grid": "png"}

FRAMES_SHOWN = 6
_GAP, _MARGIN = 2, 8
_BACKGROUND, _INK = (250, 250, 249), (41, 37, 36)
_LINE_HEIGHT = 1.4


def to_frames(video: Tensor) -> Video:
    """(3, T, H, W) in [-1, 1] -> (T, H, W, 3) uint8."""
    scaled = (video.float().clamp(-1.0, 1.0) + 1.0) * 127.5
    frames: Video = scaled.round().byte().permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return frames


def write_sample(
    folder: Path,
    name: str,
    frames: Video,
    fps: float,
    metadata: dict[str, Any],
    formats: Sequence[Format] = ("mp4", "grid"),
) -> list[Path]:
    """Write a video in each format: ``<name>.mp4``, with ``metadata`` (prompt, seed, settings) inside, ``<name>.gif``,
    and ``<name>.png``, a row of its frames over ``metadata["prompt"]``. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{SUFFIXES[kind]}" for kind in formats}
    if "mp4" in paths:
        write_playable(paths["mp4"], frames, fps, metadata)
    if "gif" in paths:
        write_gif(paths["gif"], frames, fps)
    if "grid" in paths:
        write_bytes(paths["grid"], png_bytes(frame_grid(frames, metadata["prompt"])))
    return list(paths.values())


def write_still(folder: Path, name: str, frames: Video, metadata: dict[str, Any]) -> Path:
    """Write a video of one frame as ``<name>.png``, with ``metadata`` (prompt, seed, settings) inside as JSON."""
    (picture,) = frames
    path = folder / f"{name}.png"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, png_bytes(picture, json.dumps(metadata, sort_keys=True, ensure_ascii=False)))
    return path


def frame_grid(frames: Video, caption: str, side: int = 128, font_size: int = 15) -> Video:
    """One row of at most ``FRAMES_SHOWN`` frames, evenly spaced in time and about ``side`` high, over their caption."""
    row = _row(frames, side)
    return _with_text(row, caption or "(no prompt)", font_size)


def overview(videos: Sequence[Video], captions: Sequence[str], columns: int = 4, side: int = 64) -> Video:
    """All videos in one picture: a row of frames and the caption for each, ``columns`` side by side."""
    tiles = [frame_grid(frames, caption, side, font_size=12) for frames, caption in zip(videos, captions, strict=True)]
    columns = min(columns, len(tiles))
    height, width = max(tile.shape[0] for tile in tiles), max(tile.shape[1] for tile in tiles)
    picture = Image.new("RGB", (width * columns, height * math.ceil(len(tiles) / columns)), _BACKGROUND)
    for index, tile in enumerate(tiles):
        picture.paste(Image.fromarray(tile), (index % columns * width, index // columns * height))
    return np.asarray(picture)


def _row(frames: Video, side: int) -> Image.Image:
    count = min(len(frames), FRAMES_SHOWN)
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    scale = max(1, round(side / frames.shape[1]))  # by whole numbers, so that a small picture shows its pixels
    height, width = frames.shape[1] * scale, frames.shape[2] * scale
    picture = Image.new("RGB", (2 * _MARGIN + count * (width + _GAP) - _GAP, _MARGIN + height), _BACKGROUND)
    for place, index in enumerate(chosen):
        frame = Image.fromarray(frames[index]).resize((width, height), Image.Resampling.NEAREST)
        picture.paste(frame, (_MARGIN + place * (width + _GAP), _MARGIN))
    return picture


def _with_text(picture: Image.Image, text: str, font_size: int) -> Video:
    """The picture above its text, wrapped to at most two lines. Pillow's own font: the same on every machine."""
    font = ImageFont.load_default(size=font_size)
    room = int((picture.width - 2 * _MARGIN) / (0.5 * font_size))  # about half an em a character
    lines = textwrap.wrap(text, room, max_lines=2, placeholder=" ...")
    below = round(len(lines) * font_size * _LINE_HEIGHT) + _MARGIN
    result = Image.new("RGB", (picture.width, picture.height + below), _BACKGROUND)
    result.paste(picture, (0, 0))
    draw = ImageDraw.Draw(result)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, picture.height + 3 + number * font_size * _LINE_HEIGHT), line, fill=_INK, font=font)
    return np.asarray(result)
