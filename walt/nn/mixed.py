"""Batches that hold videos, stacks of images, or both: what is computed differently for the two.

Inside a model the videos come first, so that the two kinds are slices of the batch and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Arrangement:
    """A batch in which the first ``videos`` elements are videos and the rest are stacks of images."""

    videos: int
    order: Tensor | None
    """(B,) int64: the caller's batch in this order; None where it is in this order already."""

    def sort(self, x: Tensor) -> Tensor:
        """The caller's batch (B, ...), videos first."""
        return x if self.order is None else x[self.order]

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of ``sort``."""
        return x if self.order is None else x[self.order.argsort()]


def arrange(images: bool | Tensor | Arrangement, batch: int) -> Arrangement:
    """How to put the videos first. ``images``: for all elements, or for each one: (B,) bool; or how they are arranged.

    A mask is read once, which on a GPU waits for what was queued before.
    """
    if isinstance(images, Arrangement):
        return images
    if isinstance(images, bool):
        return Arrangement(0 if images else batch, None)
    assert images.shape == (batch,), f"images {tuple(images.shape)} is not a mask of a batch of {batch}"
    stacks = int(images.sum())
    mixed = 0 < stacks < batch
    return Arrangement(batch - stacks, images.int().argsort(stable=True) if mixed else None)


def by_kind(
    x: Tensor, videos: int, of_videos: Callable[[Tensor], Tensor], of_images: Callable[[Tensor], Tensor]
) -> Tensor:
    """One function for the first ``videos`` elements of a batch (B, ...), another for the rest."""
    if videos == len(x):
        return of_videos(x)
    if videos == 0:
        return of_images(x)
    return torch.cat([of_videos(x[:videos]), of_images(x[videos:])])
