"""Pictures in memory: as PNG, and in another size."""

from __future__ import annotations

import io

import numpy as np
import pytest

from walt.media.images import SourceError, check_not_empty, crop_and_resize, decode_png, png_bytes


def test_png_is_lossless_and_deterministic() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert np.array_equal(decode_png(png_bytes(picture)), picture)
    assert png_bytes(picture) == png_bytes(picture.copy())


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert np.array_equal(crop_and_resize(picture, [(24, 32)])[(24, 32)], picture)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "not_fetched")],
)
def test_nothing_and_a_pointer_are_told_from_files_that_cannot_be_read(data: bytes, code: str) -> None:
    with pytest.raises(SourceError) as error:
        check_not_empty(io.BytesIO(data))
    assert error.value.code == code
    stream = io.BytesIO(b"a video")
    check_not_empty(stream)
    assert stream.tell() == 0
