"""Which of the dataset's shapes a picture's foreground looks like, whatever its size and place are.

Each frame's foreground is brought to the same centre and spread, and compared with the three shapes brought there too,
each in several softnesses, since what a model draws is softer than what it was shown. The nearest by cosine similarity,
in the mean over the frames, is the shape.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from walt.data.shapes import SHAPES, coverage

Picture = NDArray[np.float64]

_GRID = 24  # points per side of what is compared
_REACH = 2.6  # from the centre to the edge of the grid, in root mean square radii; a triangle's corner is at 1.9
_SOFTNESS = (0.0, 0.15, 0.3, 0.45)  # of the templates: deviation of a Gaussian, in radii of the shape
_FAINT = 0.25  # less cover than this is noise
_MIN_SIMILARITY = 0.9  # two of the dataset's shapes have 0.94 and more, even noise around a middle 0.8


def name_shape(cover: Picture) -> str | None:
    """The shape that moves through ``cover``, (T, H, W) from 0 (background) to 1; None: it is like none of them."""
    names, templates = _templates()
    mass = np.where(cover > _FAINT, cover, 0.0)
    amounts = mass.sum(axis=(1, 2))
    found = [_normalised(frame) for frame in mass[amounts > 0.5 * np.median(amounts)]]
    if not found:
        return None
    frames = np.stack(found).reshape(len(found), -1)
    similarity = (frames @ templates.T) / np.linalg.norm(frames, axis=1, keepdims=True)  # (T, templates)
    means = {shape: similarity[:, names == shape].max(axis=1).mean() for shape in SHAPES}
    best = max(means, key=lambda shape: means[shape])
    return best if means[best] >= _MIN_SIMILARITY else None


@cache
def _templates() -> tuple[NDArray[np.str_], Picture]:
    """The shape's name of each template, and the templates as rows of length 1."""
    size, radius = 160, 40.0
    rows, names = [], []
    for shape in SHAPES:
        sharp = coverage(shape, np.array([[size / 2, size / 2]]), radius, size)[0]
        for softness in _SOFTNESS:
            soft = _blurred(sharp, softness * radius)
            rows.append(_normalised(np.where(soft > _FAINT * soft.max(), soft, 0.0)).ravel())
            names.append(shape)
    templates = np.stack(rows)
    return np.array(names), templates / np.linalg.norm(templates, axis=1, keepdims=True)


def _blurred(picture: Picture, deviation: float) -> Picture:
    """Convolved with a Gaussian of ``deviation`` pixels."""
    if deviation == 0.0:
        return picture
    frequencies = [np.fft.fftfreq(side) for side in picture.shape]
    square = frequencies[0][:, None] ** 2 + frequencies[1][None, :] ** 2
    spectrum = np.fft.fft2(picture) * np.exp(-2.0 * (np.pi * deviation) ** 2 * square)
    return np.asarray(np.fft.ifft2(spectrum).real)


def _normalised(mass: Picture) -> Picture:
    """(H, W) sampled on a grid around its centre of mass, scaled by its spread: (_GRID, _GRID)."""
    rows, columns = np.arange(mass.shape[0], dtype=float), np.arange(mass.shape[1], dtype=float)
    total = mass.sum()
    y, x = mass.sum(axis=1) @ rows / total, mass.sum(axis=0) @ columns / total
    spread = mass.sum(axis=1) @ (rows - y) ** 2 + mass.sum(axis=0) @ (columns - x) ** 2
    steps = np.linspace(-_REACH, _REACH, _GRID) * max(float(np.sqrt(spread / total)), 0.5)
    return _weights(y + steps, len(rows)) @ mass @ _weights(x + steps, len(columns)).T


def _weights(at: NDArray[np.float64], length: int) -> Picture:
    """The matrix that samples a line of ``length`` pixels at ``at``, linearly; zero beyond its ends."""
    return np.clip(1.0 - np.abs(at[:, None] - np.arange(length)[None, :]), 0.0, 1.0)
