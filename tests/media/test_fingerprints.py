"""Perceptual hashes: alike for what looks alike."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.media import shared_data
from walt.media.fingerprints import HASH_BITS, MIRRORED, perceptual_hash


def picture(name: str) -> Image.Image:
    return Image.open(shared_data() / "images/flat" / name).convert("RGB")


def apart(one: Image.Image | NDArray[np.uint8], other: Image.Image | NDArray[np.uint8]) -> int:
    hashes = [int(perceptual_hash(np.asarray(image)), 16) for image in (one, other)]
    return (hashes[0] ^ hashes[1]).bit_count()


def test_a_copy_has_a_similar_hash_and_another_picture_does_not() -> None:
    moon, coins = picture("moon.png"), picture("coins.png")
    assert apart(moon, moon.resize((64, 64))) <= 4
    assert apart(moon, moon.point(lambda level: int(level * 0.8) + 10)) <= 4
    assert apart(moon, coins) > 16
    assert len(perceptual_hash(np.asarray(moon))) * 4 == HASH_BITS


@pytest.mark.parametrize("level", [1, 17, 128, 255])
def test_a_flat_picture_has_no_noise_for_a_hash(level: int) -> None:
    assert perceptual_hash(np.full((32, 32, 3), level, np.uint8)) == "8000000000000000"


@pytest.mark.parametrize("name", ["moon.png", "coins.png"])
def test_the_hash_of_a_mirror_image_is_known_from_the_hash(name: str) -> None:
    whole = np.asarray(picture(name))
    hashes = [int(perceptual_hash(image), 16) for image in (whole, np.ascontiguousarray(whole[:, ::-1]))]
    assert (hashes[0] ^ hashes[1] ^ int(MIRRORED)).bit_count() <= 8
    assert (hashes[0] ^ hashes[1]).bit_count() > 16
