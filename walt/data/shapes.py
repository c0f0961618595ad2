"""The generated dataset ``shapes``: clips of a coloured shape that moves in one direction, with captions, and stills.

Everything is a function of the seed: the same settings give the same bytes. The names and colours here are also what
the evaluation's adherence check looks for in generated videos.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from walt.core import mp4
from walt.core.compute import ComputeConfig
from walt.core.errors import ConfigurationError, StorageError
from walt.core.execute import map_items
from walt.core.images import png_bytes
from walt.core.log import ProgressBar
from walt.core.storage import TEMPORARY_SUFFIX, read_json, sha256_file, sha256_json, write_bytes, write_json
from walt.core.video import LIBRARY_VERSIONS, Clip
from walt.data.config import ShapesGenerator

Rgb = tuple[int, int, int]

SHAPES: tuple[str, ...] = ("circle", "square", "triangle")
COLOURS: dict[str, Rgb] = {
    "red": (230, 40, 40),
    "green": (40, 190, 60),
    "blue": (45, 85, 235),
    "yellow": (245, 215, 40),
    "purple": (200, 60, 210),
    "white": (240, 240, 240),
}
DIRECTIONS: dict[str, tuple[int, int]] = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
"""Name -> (dy, dx) of the motion; y grows downwards."""
BACKGROUNDS: dict[str, Rgb] = {"black": (0, 0, 0), "grey": (70, 70, 70), "navy": (15, 20, 65), "brown": (65, 40, 20)}

_MARKER = ".generated.json"
_CRF = 10
_BATCH = 32


@dataclass(frozen=True)
class Scene:
    """What a clip (or, without a direction, a still) shows."""

    shape: str
    colour: str
    background: str
    direction: str | None


def caption(scene: Scene) -> str:
    """``a red circle moving right on a black background``; a still has no ``moving right``."""
    motion = f" moving {scene.direction}" if scene.direction else ""
    return f"a {scene.colour} {scene.shape}{motion} on a {scene.background} background"


_CAPTION = re.compile(
    rf"a ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})(?: moving ({'|'.join(DIRECTIONS)}))?"
    rf" on a ({'|'.join(BACKGROUNDS)}) background"
)


def parse_caption(text: str) -> Scene | None:
    """The scene that a caption of this dataset describes; None for any other text."""
    match = _CAPTION.fullmatch(text.strip())
    if match is None:
        return None
    colour, shape, direction, background = match.groups()
    return Scene(shape, colour, background, direction)


def prompts(count: int, seed: int) -> list[str]:
    """Captions of clips in which colours, directions, shapes and backgrounds come up as evenly as ``count`` allows."""
    return [caption(scene) for scene in itertools.islice(_scenes(seed, DIRECTIONS), count)]


def _scenes(seed: int, directions: dict[str, tuple[int, int]] | None) -> Iterator[Scene]:
    """Endless balanced scenes: each round of colour x direction has every pair once, in an order of its own; over
    three rounds each pair meets every shape, over four every background."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.product(COLOURS, directions or (None,)))
    shape_at = rng.permutation(len(SHAPES) * len(pairs)) % len(SHAPES)
    background_at = rng.permutation(len(BACKGROUNDS) * len(pairs)) % len(BACKGROUNDS)
    for turn in itertools.count():
        for pair in rng.permutation(len(pairs)):
            colour, direction = pairs[pair]
            shape = SHAPES[(shape_at[pair] + turn) % len(SHAPES)]
            background = list(BACKGROUNDS)[(background_at[pair] + turn) % len(BACKGROUNDS)]
            yield Scene(shape, colour, background, direction)


def draw(scene: Scene, size: int, num_frames: int, rng: np.random.Generator) -> Clip:
    """(num_frames, size, size, 3) uint8: the shape moves at constant speed across most of the free way, never leaving
    the picture. Where it starts, how far it goes and how large it is come from ``rng``."""
    radius = size * rng.uniform(0.17, 0.25)
    margin = radius + 1.0  # the centre keeps away from the edge
    free = size - 2 * margin
    centre = rng.uniform(margin, size - margin, size=2)
    positions = np.broadcast_to(centre, (num_frames, 2)).copy()  # (T, 2): y, x
    if scene.direction:
        step = np.array(DIRECTIONS[scene.direction])
        axis = int(np.flatnonzero(step)[0])
        way = free * rng.uniform(0.8, 1.0)
        start = margin + rng.uniform(0.0, free - way)
        forward = start + way * np.linspace(0.0, 1.0, num_frames)
        positions[:, axis] = forward if step[axis] > 0 else size - forward
    cover = _coverage(scene.shape, positions, radius, size)[..., None]  # (T, H, W, 1) in 0..1
    background, colour = np.array(BACKGROUNDS[scene.background]), np.array(COLOURS[scene.colour])
    return np.asarray(np.rint(background * (1 - cover) + colour * cover), dtype=np.uint8)


def _coverage(shape: str, positions: NDArray[np.float64], radius: float, size: int) -> NDArray[np.float64]:
    """How much of each pixel the shape covers: its signed distance, softened over one pixel. (T, H, W)."""
    pixels = np.arange(size) + 0.5
    y = pixels[None, :, None] - positions[:, 0, None, None]  # (T, H, 1)
    x = pixels[None, None, :] - positions[:, 1, None, None]  # (T, 1, W)
    if shape == "circle":
        distance = np.hypot(y, x) - radius
    elif shape == "square":
        distance = np.maximum(np.abs(y), np.abs(x)) - 0.85 * radius
    else:  # an upright triangle: its base, and two sides whose normals point 30 degrees above the horizontal
        side = np.abs(x) * np.cos(np.pi / 6) - y * np.sin(np.pi / 6)
        distance = np.maximum(y - 0.6 * radius, side - 0.5 * radius)
    return np.clip(0.5 - distance, 0.0, 1.0)


def generate(config: ShapesGenerator, folder: Path, compute: ComputeConfig) -> str:
    """Write the dataset: ``videos/*.mp4``, ``images/*.png`` and ``captions.csv``. A finished folder is left as it is; a
    half-finished one is completed; one made with other settings is made anew. Returns one line that says what was done.

    Raises:
        ConfigurationError: the folder holds something that this function did not write.
    """
    content = f"{config.videos} clips and {config.images} stills"
    code = [sha256_file(file) for file in (__file__, mp4.__file__)]
    fingerprint = sha256_json({"code": code, "libraries": LIBRARY_VERSIONS, **config.model_dump()})
    names = [name for name, _ in _rows(config)]
    state = read_json(folder / _MARKER) if (folder / _MARKER).is_file() else None
    if state == {"fingerprint": fingerprint, "finished": True} and all((folder / name).is_file() for name in names):
        return f"{folder}: {content} are there already"
    if state is None and folder.is_dir() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder}: holds files that are not the generated dataset; choose another path")
    if state is None or state["fingerprint"] != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / _MARKER, {"fingerprint": fingerprint, "finished": False})
    missing = [index for index, name in enumerate(names) if not (folder / name).is_file()]
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    with ProgressBar("shapes", total=len(names), unit="files", completed=len(names) - len(missing)) as bar:
        for batch, outcome in zip(batches, map_items(partial(_write, config, folder), batches, compute), strict=True):
            if outcome.failure:
                raise StorageError(f"{folder}: {outcome.failure.cause}")
            bar.advance(len(batch))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("path", "caption"), *_rows(config)])
    write_bytes(folder / "captions.csv", table.getvalue().encode())
    os.sync()  # no clip waited for the disk by itself; the marker vouches for all of them
    write_json(folder / _MARKER, {"fingerprint": fingerprint, "finished": True})
    return f"{folder}: made {content}"


def _rows(config: ShapesGenerator) -> list[tuple[str, str]]:
    """(path, caption) of each file, videos first."""
    return [(name, caption(scene)) for name, scene in _files(config)]


def _files(config: ShapesGenerator) -> list[tuple[str, Scene]]:
    videos = itertools.islice(_scenes(config.seed, DIRECTIONS), config.videos)
    images = itertools.islice(_scenes(config.seed, None), config.images)
    return [(f"videos/{number:05d}.mp4", scene) for number, scene in enumerate(videos)] + [
        (f"images/{number:05d}.png", scene) for number, scene in enumerate(images)
    ]


def _write(config: ShapesGenerator, folder: Path, indices: list[int]) -> None:
    """Draw some of the files. Runs in a worker process."""
    files = _files(config)
    for index in indices:
        name, scene = files[index]
        rng = np.random.default_rng([config.seed, index])
        clip = draw(scene, config.size, config.num_frames if scene.direction else 1, rng)
        data = mp4.encode_clip(clip, config.fps, _CRF, "yuv420p") if scene.direction else png_bytes(clip[0])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
        temporary.write_bytes(data)
        temporary.replace(path)
