"""Still pictures whose colour profile states other colours than those of a screen, in sRGB.

Phones write Display P3, cameras Adobe RGB, presses CMYK: read without the profile such pictures are pale or have other
hues. Viewers and browsers follow a profile, and pass over one that is damaged or is not for the picture's channels.

Source: ICC.1:2022, by Little CMS.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_CHANNELS = {"RGB": "RGB ", "RGBA": "RGB ", "P": "RGB ", "PA": "RGB ", "L": "GRAY", "LA": "GRAY", "CMYK": "CMYK"}
"""Mode of Pillow -> what a profile calls its colours."""
_ALIKE = 3
"""Levels of 255 by which a profile may differ from sRGB and count as that: its pictures stay as they are."""
_KEPT = 16


def in_srgb(image: Image.Image) -> Image.Image:
    """A loaded picture in sRGB, by its profile: in the mode RGB or RGBA. The picture itself where it has no profile, or
    one that says nothing else."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in _CHANNELS:
        return image
    colours = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)
    transform = _transform(profile, colours)
    if transform is None:
        return image
    converted = ImageCms.applyTransform(image.convert(colours), transform)
    assert converted is not None
    if image.has_transparency_data:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


@lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB, for pictures of a mode; None: there is nothing to change."""
    try:
        stated = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if stated.profile.xcolor_space != _CHANNELS[mode]:
            return None
        transform = ImageCms.buildTransform(stated, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
    samples = _samples(mode)
    converted = ImageCms.applyTransform(samples, transform)
    assert converted is not None
    change = np.asarray(converted, dtype=np.int16) - np.asarray(samples.convert("RGB"), dtype=np.int16)
    return transform if np.abs(change).max() > _ALIKE else None


def _samples(mode: str) -> Image.Image:
    """Colours from the whole of a space."""
    channels = len(mode)
    levels = np.linspace(0, 255, {1: 256, 3: 9, 4: 5}[channels]).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * channels, indexing="ij"), -1).reshape(1, -1, channels)
    return Image.fromarray(grid[..., 0] if channels == 1 else grid, mode)
