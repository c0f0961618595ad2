"""Whether generated ``shapes`` videos show what their prompt asks for. Measured from the pixels, without a model.

The background is the median colour of the picture's border over time. The foreground is what differs from it by more
than half of the largest difference. Its colour is that of its most distinct pixels, named by the nearest hue of the
dataset's colours, or by ``white`` when it has hardly any saturation. Its direction is the dominant axis of a straight
line through the foreground's centroid in each frame. Its shape is the one that it is most like in the mean over the
frames, however soft its edges are (``walt.evaluation.shape_match``).
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from walt.data.shapes import COLOURS, DIRECTIONS, parse_caption
from walt.evaluation.shape_match import name_shape

Video = NDArray[np.uint8]

_MIN_DISTANCE = 40.0  # RGB levels by which something must differ from the background to count
_MIN_WAY = 0.1  # of the picture's side; the dataset's clips go at least 0.4
_MIN_SATURATION = 0.3  # below: no hue; the dataset's colours have 0.7 or more, except white


@dataclass(frozen=True)
class Observation:
    """What a video shows; None where nothing is to be seen, nothing moves, or it is like no shape."""

    colour: str | None
    direction: str | None
    shape: str | None


@dataclass(frozen=True)
class PromptCheck:
    """What a prompt asks for against what its video shows. ``direction_matches`` is None when the prompt has none."""

    prompt: str
    seen: Observation
    colour_matches: bool
    direction_matches: bool | None
    shape_matches: bool

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PromptCheck:
        """Of ``dataclasses.asdict``."""
        return cls(**{**value, "seen": Observation(**value["seen"])})


def observe(video: Video) -> Observation:
    """Look at a video (T, H, W, 3) uint8 RGB of one shape before a plain background."""
    pixels = video.astype(np.float64)
    background = background_of(video)
    distance = np.linalg.norm(pixels - background, axis=-1)  # (T, H, W)
    peak = float(np.quantile(distance, 0.995))
    if peak < _MIN_DISTANCE:
        return Observation(None, None, None)
    colour = pixels[distance >= 0.85 * peak].mean(axis=0)  # (3,): of the inside of the shape, not of its soft edge
    contrast = colour - background
    cover = np.clip((pixels - background) @ contrast / (contrast @ contrast), 0.0, 1.0)  # (T, H, W)
    direction = _direction(np.clip(distance - 0.5 * peak, 0.0, None))
    return Observation(_name_colour(colour), direction, name_shape(cover))


def check_prompt(prompt: str, video: Video) -> PromptCheck | None:
    """Compare a video with its prompt; None when the prompt is not a caption of the dataset's form."""
    scene = parse_caption(prompt)
    if scene is None:
        return None
    seen = observe(video)
    direction = None if scene.direction is None else seen.direction == scene.direction
    return PromptCheck(prompt, seen, seen.colour == scene.colour, direction, seen.shape == scene.shape)


def matching(of_videos: Sequence[PromptCheck | None]) -> dict[str, dict[int, bool]]:
    """Whether each video matches its prompt, by its place: in ``colour``, ``shape``; of the prompts with a direction
    also in ``direction``, ``both`` (colour and direction) and ``all`` (shape too).

    Keys are left out where no prompt asks.
    """
    checks = {place: check for place, check in enumerate(of_videos) if check is not None}
    moving = {place: check for place, check in checks.items() if check.direction_matches is not None}
    found = {}
    if checks:
        found["colour"] = {place: check.colour_matches for place, check in checks.items()}
        found["shape"] = {place: check.shape_matches for place, check in checks.items()}
    if moving:
        found["direction"] = {place: bool(check.direction_matches) for place, check in moving.items()}
        found["both"] = {place: check.colour_matches and found["direction"][place] for place, check in moving.items()}
        found["all"] = {place: both and moving[place].shape_matches for place, both in found["both"].items()}
    return found


def background_of(video: Video) -> NDArray[np.float64]:
    """The median colour of a video's border (3,), in RGB levels."""
    return np.median(_border(video.astype(np.float64)), axis=0)


def _border(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outermost two rows and columns of all frames: (N, 3)."""
    edges = (pixels[:, :2], pixels[:, -2:], pixels[:, :, :2], pixels[:, :, -2:])
    return np.concatenate([edge.reshape(-1, 3) for edge in edges])


def _name_colour(rgb: NDArray[np.float64]) -> str:
    hue, saturation, _ = colorsys.rgb_to_hsv(*(rgb / 255.0))
    hues = {name: colorsys.rgb_to_hsv(*(value / 255.0 for value in rgb)) for name, rgb in COLOURS.items()}
    if saturation < _MIN_SATURATION:
        return min(hues, key=lambda name: hues[name][1])  # white
    coloured = [name for name in hues if hues[name][1] >= _MIN_SATURATION]
    return min(coloured, key=lambda name: min(abs(hues[name][0] - hue), 1.0 - abs(hues[name][0] - hue)))


def _direction(weight: NDArray[np.float64]) -> str | None:
    """Name of the dominant motion of the weights' centroid; weight is (T, H, W)."""
    frames, height, width = weight.shape
    mass = weight.sum(axis=(1, 2))
    visible = mass > 0.1 * mass.max()  # a frame in which the shape has all but vanished has no centroid
    if visible.sum() < 2:
        return None
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    y = (weight.sum(axis=2) @ rows)[visible] / mass[visible] / height
    x = (weight.sum(axis=1) @ columns)[visible] / mass[visible] / width
    times = np.arange(frames)[visible]
    way = np.array([np.polyfit(times, track, 1)[0] for track in (y, x)]) * (frames - 1)  # (dy, dx) in sides
    axis = int(np.abs(way).argmax())
    if abs(way[axis]) < _MIN_WAY:
        return None
    step = tuple(int(np.sign(way[axis])) if place == axis else 0 for place in (0, 1))
    return next(name for name, value in DIRECTIONS.items() if value == step)
