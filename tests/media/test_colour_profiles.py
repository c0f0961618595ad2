"""Pictures with colour profiles: as viewers show them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.media import LIMITS
from walt.media.images import Picture
from walt.media.stills import read_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = np.array([(0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)])
"""Red, green and blue of Display P3 as XYZ, adapted to D50."""
LEVELS = np.array([(200, 100, 50), (60, 180, 75), (40, 60, 160), (128, 128, 128)], np.uint8)


def display_p3() -> bytes:
    """The profile of phones: that of sRGB with other primaries."""
    data = bytearray(SRGB)
    for number in range(struct.unpack_from(">I", data, 128)[0]):
        name, at, _ = struct.unpack_from(">4sII", data, 132 + 12 * number)
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            values = (round(value * 65536) for value in P3[b"rgb".index(name[:1])])
            struct.pack_into(">iii", data, at + 8, *values)
    return bytes(data)


def p3_in_srgb(levels: np.ndarray) -> np.ndarray:
    """By the definition: linear light, XYZ, linear light of sRGB."""
    primaries = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)])
    share = levels / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    other = np.clip(light @ P3 @ np.linalg.inv(primaries), 0, 1)
    return np.where(other <= 0.0031308, 12.92 * other, 1.055 * other ** (1 / 2.4) - 0.055) * 255


def written(folder: Path, image: Image.Image, name: str = "a.png", **options: Any) -> Picture:
    image.save(folder / name, **options)
    return read_picture(folder / name, LIMITS)


def swatches(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.kron(LEVELS[None], np.ones((16, 16, 1), np.uint8)), "RGB").convert(mode)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.jpg", {"quality": 100, "subsampling": 0}), ("a.webp", {"lossless": True}), ("a.tif", {})],
)
def test_the_colours_of_phones_are_converted(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    found = written(tmp_path, swatches(), name, icc_profile=display_p3(), **options)[8, 8::16]
    expected = p3_in_srgb(LEVELS)
    assert np.abs(expected - LEVELS).max() > 10, "without the profile they are others"
    assert np.abs(found - expected).max() < 2


def linear_grey() -> bytes:
    """A profile of grey levels that are proportional to light."""
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\2x\0" + bytes(78), b"cprt": b"text\0\0\0\0x\0\0\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHxx", 1, 256),
    }  # fmt: skip
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content
    header = struct.pack(">I4xI4s4s4s12x4s28xiii", at + len(body), 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp",
                         63190, 65536, 54061)  # fmt: skip
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize("alpha", [None, 128])
def test_grey_levels_too(alpha: int | None, tmp_path: Path) -> None:
    image = Image.new("L", (16, 16), 55) if alpha is None else Image.new("LA", (16, 16), (55, alpha))
    found = written(tmp_path, image, icc_profile=linear_grey())
    expected = 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)
    assert np.abs(found - expected * (1 if alpha is None else alpha / 255)).max() < 1
    assert np.array_equal(written(tmp_path, image, "b.png", icc_profile=display_p3()), written(tmp_path, image))


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_palettes_and_alpha_are_kept(mode: str, tmp_path: Path) -> None:
    image = swatches().quantize(8) if mode == "P" else swatches()
    if mode == "RGBA":
        image.putalpha(128)
    found = written(tmp_path, image, icc_profile=display_p3())[8, 8::16]
    assert np.abs(found - p3_in_srgb(LEVELS) * (128 / 255 if mode == "RGBA" else 1)).max() < 2


def test_a_transparent_colour_stays_transparent(tmp_path: Path) -> None:
    found = written(tmp_path, swatches(), icc_profile=display_p3(), transparency=(60, 180, 75))[8, 8::16]
    expected = p3_in_srgb(LEVELS)
    expected[1] = 0
    assert np.abs(found - expected).max() < 2


@pytest.mark.parametrize("profile", [SRGB, b"damaged" * 40, b""])
def test_a_profile_that_says_nothing_else_changes_no_bit(profile: bytes, tmp_path: Path) -> None:
    assert np.array_equal(written(tmp_path, swatches(), icc_profile=profile), np.asarray(swatches()))


def test_a_profile_for_other_channels_is_passed_over(tmp_path: Path) -> None:
    grey = swatches("L")
    assert np.array_equal(written(tmp_path, grey, icc_profile=display_p3()), np.asarray(grey.convert("RGB")))


def test_it_is_turned_upright_as_well(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = written(tmp_path, swatches(), icc_profile=display_p3())
    turned = written(tmp_path, swatches(), "b.png", icc_profile=display_p3(), exif=exif)
    assert np.array_equal(turned, np.rot90(plain, -1))
