"""Which of the stored sizes a source is cut to: its bucket, and what happens where it is too small for a size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from walt.core.sizes import Size
from walt.media.images import SourceError

Upscale = Literal["allow", "leave_out", "refuse"]


def nearest_bucket(source: Size, buckets: Sequence[Sequence[Size]]) -> Sequence[Size]:
    """The bucket whose aspect ratio is nearest to the source's; if two are equally near, the first.

    The sizes of a bucket have one aspect. Without buckets, no sizes.
    """

    def distance(bucket: Sequence[Size]) -> float:
        return abs(math.log(_aspect(source) / _aspect(bucket[0])))

    return min(buckets, key=distance, default=())


def fitting_sizes(
    source: Size, sizes: Sequence[Size], buckets: Sequence[Sequence[Size]], upscale: Upscale, max_crop: float | None
) -> tuple[Size, ...]:
    """The sizes that a source is cut to, sorted.

    Args:
        source: (height, width) upright, with square pixels.
        sizes: what every source is cut to.
        buckets: groups of further sizes; a source gets the group of the nearest aspect.
        upscale: what happens to sizes that are larger than the source: ``allow`` makes them, ``leave_out`` makes only
            the others, ``refuse`` refuses the source.
        max_crop: the largest share of the picture that the centre crop may cut off; None: no limit.

    Raises:
        SourceError: ``too_small``, or ``aspect`` where too much would be cut off.
    """
    wanted = sorted({*sizes, *nearest_bucket(source, buckets)})
    height, width = source
    small = [size for size in wanted if size[0] > height or size[1] > width]
    if small and (upscale == "refuse" or (upscale == "leave_out" and len(small) == len(wanted))):
        raise SourceError("too_small", f"{width}x{height} pixels would be enlarged to {small[0][1]}x{small[0][0]}")
    if upscale == "leave_out":
        wanted = [size for size in wanted if size not in small]
    for size in wanted:
        cut = 1.0 - min(_aspect(source) / _aspect(size), _aspect(size) / _aspect(source))
        if max_crop is not None and cut > max_crop:
            lost = f"{cut:.0%} of {width}x{height} pixels would be cut off for {size[1]}x{size[0]}"
            raise SourceError("aspect", f"{lost}, more than {max_crop:.0%}")
    return tuple(wanted)


def _aspect(size: Size) -> float:
    return size[1] / size[0]
