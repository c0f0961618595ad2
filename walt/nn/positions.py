"""Where a token is: learned absolute embeddings, space plus time, and learned relative bias within a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from walt.nn.mixed import by_kind

Window = tuple[int, int, int]
"""(frames, height, width) in tokens: of a window, or of the whole grid."""


def token_grid(latent_grid: tuple[int, int, int], patch_size: int) -> Window:
    """The tokens of a grid of latents (frames, height, width), each of one frame and patch_size x patch_size places."""
    frames, height, width = latent_grid
    return frames, height // patch_size, width // patch_size


class AbsolutePosition(nn.Module):
    """Learned embeddings of position and of latent frame, added (paper section 3.2, 'learnable positional
    embeddings')."""

    def __init__(self, grid: Window, width: int) -> None:
        super().__init__()
        frames, height, columns = grid
        self.space = nn.Parameter(torch.zeros(height, columns, width))
        self.time = nn.Parameter(torch.zeros(frames, width))

    def forward(self, x: Tensor, videos: int) -> Tensor:
        """(B, T, H, W, D) -> the same.

        The first ``videos`` elements are videos, of as many frames as the table has; the others are stacks of images,
        which are all at time 0.
        """
        assert videos == 0 or x.shape[1] == len(self.time), f"{x.shape[1]} frames, but times for {len(self.time)}"
        time = self.time[:, None, None]  # (T, 1, 1, D)
        return by_kind(x + self.space, videos, lambda x: x + time, lambda x: x + time[:1])


class RelativePositionBias(nn.Module):
    """One learned number per head and per offset between two tokens of a window (Swin Transformer, equation 4)."""

    def __init__(self, window: Window, heads: int) -> None:
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.zeros(heads, *(2 * side - 1 for side in window)))

    def forward(self) -> Tensor:
        """(heads, N, N): the bias of query i to key j of the window's N tokens, in row-major order."""
        return all_frames(within_frames(self.table, self.window), self.window)


# The bias of a query to all keys is a box of the table, and neighbouring queries have neighbouring boxes. So the table
# becomes the bias by copies of slices, axis by axis, and gradients come back by sums of slices: on processors both are
# many times faster than reading the table by indices and adding to it by indices.


def within_frames(table: Tensor, window: Window) -> Tensor:
    """Table (heads, 2 t - 1, 2 h - 1, 2 w - 1) -> (heads, h w, 2 t - 1, h w).

    For query and key at each place of a frame, in row-major order, and each offset in time, of the key to the query.
    """
    _, height, width = window
    boxes = table.flip(1, 2, 3)  # from the query's offset to the key to the key's to the query
    boxes = torch.stack([boxes[..., width - 1 - x : 2 * width - 1 - x] for x in range(width)], dim=1)
    boxes = torch.stack([boxes[..., height - 1 - y : 2 * height - 1 - y, :] for y in range(height)], dim=1)
    return boxes.flatten(-2).flatten(1, 2)


def all_frames(boxes: Tensor, window: Window) -> Tensor:
    """(heads, h w, 2 t - 1, h w) -> (heads, N, N)."""
    frames = window[0]
    rows = [boxes[:, :, frames - 1 - t : 2 * frames - 1 - t] for t in range(frames)]  # (heads, h w, t, h w)
    return torch.stack(rows, dim=1).flatten(3).flatten(1, 2)


def add_frames(boxes: Tensor, gradient: Tensor, window: Window) -> None:
    """The adjoint of ``all_frames``: adds the gradient (heads, N, N) of its result to that of ``boxes``."""
    frames, height, width = window
    rows = gradient.view(len(gradient), frames, height * width, frames, height * width)
    for t in range(frames):
        boxes[:, :, frames - 1 - t : 2 * frames - 1 - t] += rows[:, t]


def table_gradient(boxes: Tensor, window: Window) -> Tensor:
    """The adjoint of ``within_frames``: the gradient (heads, h w, 2 t - 1, h w) of its result -> the table's."""
    frames, height, width = window
    boxes = boxes.view(len(boxes), height, width, 2 * frames - 1, height, width)
    rows = boxes.new_zeros(len(boxes), width, 2 * frames - 1, 2 * height - 1, width)
    for y in range(height):
        rows[..., height - 1 - y : 2 * height - 1 - y, :] += boxes[:, y]
    table = boxes.new_zeros(len(boxes), *(2 * side - 1 for side in window))
    for x in range(width):
        table[..., width - 1 - x : 2 * width - 1 - x] += rows[:, x]
    return table.flip(1, 2, 3)
