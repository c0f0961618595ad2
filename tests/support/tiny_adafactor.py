"""A parameter that Adafactor moves along drawn gradients; for tests in this process and in ranks of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from walt.training.adafactor import Adafactor

SHAPES = [(5, 3), (7,), (1, 4), (2, 3, 4), ()]
RATE = 2e-4


def gradients(shape: tuple[int, ...], count: int) -> list[Tensor]:
    """The same at each call, of sizes from 1 to 0.001."""
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(shape, generator=generator) * 10.0 ** -(number % 4) for number in range(count)]


def moved(start: Tensor, steps: list[Tensor], settings: dict[str, Any]) -> Tensor:
    """Where a parameter is after these gradients."""
    parameter = start.clone().requires_grad_()
    optimizer = Adafactor([parameter], RATE, **settings)
    for gradient in steps:
        parameter.grad = gradient
        optimizer.step()
    return parameter.detach()


def moved_sharded(
    start: Tensor, steps: list[Tensor], settings: dict[str, Any], mesh: Any
) -> tuple[Tensor, list[Tensor]]:
    """The same of a parameter of which each rank of ``mesh`` has its rows: gathered, and the tensors of its state."""
    placements = [Shard(0) if start.ndim else Replicate()]
    parameter = distribute_tensor(start.clone(), mesh, placements).requires_grad_()
    optimizer = Adafactor([parameter], RATE, **settings)
    for gradient in steps:
        parameter.grad = distribute_tensor(gradient, mesh, placements)
        optimizer.step()
    assert isinstance(parameter, DTensor)
    state = [value for value in optimizer.state[parameter].values() if isinstance(value, Tensor)]
    return parameter.full_tensor().detach(), state
