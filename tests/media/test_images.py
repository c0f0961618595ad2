"""Pictures in memory: as PNG, and in another size."""

from __future__ import annotations

import numpy as np

from walt.media.images import crop_and_resize, decode_png, png_bytes


def test_png_is_lossless_and_deterministic() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert np.array_equal(decode_png(png_bytes(picture)), picture)
    assert png_bytes(picture) == png_bytes(picture.copy())


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert np.array_equal(crop_and_resize(picture, [(24, 32)])[(24, 32)], picture)
