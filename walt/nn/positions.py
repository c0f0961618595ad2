"""Where a token is: learned absolute embeddings, space plus time, and learned relative bias within a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from walt.nn.mixed import by_kind
from walt.nn.windows import Window


class AbsolutePosition(nn.Module):
    """Learned embedding of place and of latent frame, added (paper section 3.2, 'learnable positional embeddings')."""

    def __init__(self, grid: Window, width: int) -> None:
        super().__init__()
        frames, height, columns = grid
        self.space = nn.Parameter(torch.zeros(height, columns, width))
        self.time = nn.Parameter(torch.zeros(frames, width))

    def forward(self, x: Tensor, videos: int) -> Tensor:
        """(B, T, H, W, D) -> the same.

        The first ``videos`` elements are videos, of as many frames as the table has; the others are stacks of images,
        which all stand at time 0.
        """
        assert videos == 0 or x.shape[1] == len(self.time), f"{x.shape[1]} frames, but times for {len(self.time)}"
        time = self.time[:, None, None]  # (T, 1, 1, D)
        return by_kind(x + self.space, videos, lambda x: x + time, lambda x: x + time[:1])


class RelativePositionBias(nn.Module):
    """One learned number a head and offset between two tokens of a window (Swin Transformer, equation 4)."""

    index: Tensor

    def __init__(self, window: Window, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(heads, *(2 * side - 1 for side in window)))
        self.register_buffer("index", relative_position_index(window), persistent=False)

    def forward(self) -> Tensor:
        """(heads, N, N) for the N tokens of the window, in row-major order."""
        return self.table.flatten(1)[:, self.index.flatten()].unflatten(1, tuple(self.index.shape))


def relative_position_index(window: Window) -> Tensor:
    """(N, N) int64: where in the flattened table of size prod(2 side - 1) the offset of query i to key j stands."""
    coordinates = torch.stack(torch.meshgrid(*(torch.arange(side) for side in window), indexing="ij")).flatten(1)
    offsets = coordinates[:, :, None] - coordinates[:, None, :]  # (3, N, N)
    index = torch.zeros_like(offsets[0])
    for axis, side in enumerate(window):
        index = index * (2 * side - 1) + offsets[axis] + side - 1
    return index
