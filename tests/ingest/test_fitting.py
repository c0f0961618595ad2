"""Which sizes a source is cut to."""

from __future__ import annotations

import pytest

from walt.ingest.fitting import Upscale, fitting_sizes, nearest_bucket
from walt.media.images import SourceError

SQUARE, WIDE, TALL = ((128, 128), (256, 256)), ((128, 224), (256, 448)), ((224, 128), (448, 256))


@pytest.mark.parametrize(
    ("source", "bucket"),
    [
        ((480, 480), SQUARE),
        ((480, 634), SQUARE),  # 1.321; between 1 and 1.75 the middle, as a ratio, is 1.323
        ((480, 636), WIDE),  # 1.325
        ((1080, 1920), WIDE),
        ((1920, 1080), TALL),
        ((634, 480), SQUARE),
        ((636, 480), TALL),
    ],
)
def test_a_source_goes_to_the_nearest_aspect(source: tuple[int, int], bucket: tuple[tuple[int, int], ...]) -> None:
    assert nearest_bucket(source, [SQUARE, WIDE, TALL]) == bucket


@pytest.mark.parametrize(
    ("source", "upscale", "sizes"),
    [
        ((256, 448), "refuse", ((128, 128), (128, 224), (256, 448))),
        ((255, 448), "allow", ((128, 128), (128, 224), (256, 448))),
        ((255, 448), "leave_out", ((128, 128), (128, 224))),
        ((255, 448), "refuse", None),
        ((128, 223), "leave_out", ((128, 128),)),
        ((127, 500), "leave_out", None),
        ((127, 500), "allow", ((128, 128), (128, 224), (256, 448))),
    ],
)
def test_nothing_is_enlarged_unless_it_is_allowed(
    source: tuple[int, int], upscale: Upscale, sizes: tuple[tuple[int, int], ...] | None
) -> None:
    if sizes is None:
        with pytest.raises(SourceError, match="too_small"):
            fitting_sizes(source, [(128, 128)], [WIDE, TALL], upscale, None)
    else:
        assert fitting_sizes(source, [(128, 128)], [WIDE, TALL], upscale, None) == sizes


@pytest.mark.parametrize(("width", "passes"), [(200, True), (201, False), (50, True), (49, False)])
def test_the_crop_may_not_cut_off_more_than_the_limit(width: int, passes: bool) -> None:
    if passes:
        assert fitting_sizes((100, width), [(32, 32)], [], "allow", 0.5) == ((32, 32),)
    else:
        with pytest.raises(SourceError, match=r"aspect: 5\d% of .* would be cut off for 32x32"):
            fitting_sizes((100, width), [(32, 32)], [], "allow", 0.5)


def test_without_buckets_every_source_has_every_size() -> None:
    assert fitting_sizes((100, 900), [(64, 64), (32, 32)], [], "allow", None) == ((32, 32), (64, 64))
