"""The generated dataset ``shapes``: clips of a coloured shape that moves in one direction, with captions, and stills.

Everything is a function of the seed: the same settings give the same bytes. The names and colours here are also what
the evaluation's adherence check looks for in generated videos.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Scene:
    """What a clip, or without a direction a still, shows."""

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
    """Captions of clips in which colours, directions, shapes and backgrounds occur as evenly as ``count`` allows."""
    return [caption(scene) for scene in itertools.islice(scenes(seed), count)]


def scenes(seed: int, moving: bool = True) -> Iterator[Scene]:
    """An infinite sequence of balanced scenes: each round has every pair of colour and direction once, in a new order;
    over three rounds each pair has every shape, over four every background."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.product(COLOURS, DIRECTIONS if moving else (None,)))
    shape_at = rng.permutation(len(SHAPES) * len(pairs)) % len(SHAPES)
    background_at = rng.permutation(len(BACKGROUNDS) * len(pairs)) % len(BACKGROUNDS)
    for turn in itertools.count():
        for pair in rng.permutation(len(pairs)):
            colour, direction = pairs[pair]
            shape = SHAPES[(shape_at[pair] + turn) % len(SHAPES)]
            background = list(BACKGROUNDS)[(background_at[pair] + turn) % len(BACKGROUNDS)]
            yield Scene(shape, colour, background, direction)


def draw(scene: Scene, size: int, num_frames: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(num_frames, size, size, 3) uint8: the shape moves at constant speed across most of the free space, and never
    leaves the picture. Its start, the length of its path and its size come from ``rng``."""
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
    cover = coverage(scene.shape, positions, radius, size)[..., None]  # (T, H, W, 1) in 0..1
    background, colour = np.array(BACKGROUNDS[scene.background]), np.array(COLOURS[scene.colour])
    return np.asarray(np.rint(background * (1 - cover) + colour * cover), dtype=np.uint8)


def coverage(shape: str, positions: NDArray[np.float64], radius: float, size: int) -> NDArray[np.float64]:
    """How much of each pixel a shape covers, 0 to 1: its signed distance, softened over one pixel. (T, H, W).

    Args:
        positions: (T, 2), y and x of the shape's centre in pixels.
        radius: of the shape, in pixels.
        size: of the square picture, in pixels.
    """
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
