"""A clip in closed form, of odd sides, whose features are written down in tests."""

from __future__ import annotations

import torch
from torch import Tensor


def waves() -> Tensor:
    """(1, 3, 5, 9, 13) in [-1, 1]: waves that move, in each channel at another speed."""
    time = torch.linspace(0, 1, 5)[:, None, None]
    across = 5 * torch.linspace(0, 3, 9)[:, None] + 3 * torch.linspace(0, 4, 13)
    return torch.stack([torch.sin(7 * time * (channel + 1) + across + channel) for channel in range(3)])[None]
