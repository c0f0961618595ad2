"""Muon: steps of matrices are made orthogonal, so that all directions of a layer move alike; the rest by AdamW.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon) for the step and for kernels as matrices, Liu et al. 2025
(arXiv 2502.16982) for the size of a step, by which one learning rate and one weight decay serve matrices and the rest.
``torch.optim.Muon`` takes matrices alone, and nothing beside them: no kernels of convolutions, no biases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from walt.nn.device import computes_bf16
from walt.training.parallel import by_all_ranks, is_sharded, part_like

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_STEP_RMS = 0.2
"""Of AdamW's steps, in learning rates, as measured by Liu et al. (section 2.2)."""


class Muon(torch.optim.AdamW):
    """Muon for the groups of ``matrices``, AdamW for the others.

    A kernel is the matrix of its output channels and all the rest. The state of a matrix is its ``momentum``, half of
    AdamW's memory. Sharded parameters are gathered for their step by all ranks, those of one shape together. Of the
    matrices of one shape each rank makes some orthogonal, and gives them to the others.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
        cut: int | None = None,
    ) -> None:
        """Make it.

        Args:
            params: groups of parameters, each with ``matrices``: whether all have two dimensions or more.
            lr: rate, above 0: five times the RMS of an orthogonal step.
            betas: of AdamW.
            momentum: share of the gradients' moving average that a step keeps, from 0 to below 1.
            cut: the longest shorter side of a matrix that is made orthogonal as a whole; see ``in_parts``.
        """
        self.momentum, self.cut = momentum, cut
        super().__init__(params, lr=lr, betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient. Those of matrices are gone after it."""
        assert closure is None, "the loop computes the loss"
        for group in self.param_groups:
            if group["matrices"]:
                self._move(group)
        super().step()  # of what still has a gradient

    def _move(self, group: dict[str, Any]) -> None:
        """The matrices' step: those of one shape together."""
        shapes: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes.setdefault(tuple(parameter.shape), []).append(parameter)
        for parameters in shapes.values():
            updates = zip(self._averages(parameters), parameters, strict=True)
            averages = torch.stack([_matrix(_whole(update), parameter) for update, parameter in updates])
            rows, columns = averages.shape[1:]
            size = -group["lr"] * _STEP_RMS * max(rows, columns) ** 0.5
            steps = in_parts(averages, self.cut or rows)
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(part_like(_like(step.to(parameter.dtype), parameter), parameter), alpha=size)

    def _averages(self, parameters: list[Tensor]) -> Iterator[Tensor]:
        """The gradients' moving averages, brought up to date and looked ahead of (Nesterov); takes the gradients."""
        for parameter in parameters:
            state, gradient = self.state[parameter], parameter.grad
            assert gradient is not None
            if not state:
                state["step"] = torch.zeros(())  # AdamW looks for it when it is loaded
                state["momentum"] = torch.zeros_like(parameter)
            average = state["momentum"].lerp_(gradient, 1.0 - self.momentum)
            yield gradient.lerp(average, self.momentum)
            parameter.grad = None


def in_parts(matrices: Tensor, cut: int) -> Tensor:
    """As ``orthogonal``, of matrices (N, R, C) whose shorter side is cut into the fewest equal parts of at most ``cut``
    rows or columns that follow one another, each made orthogonal by itself, by one of the ranks.

    The cost grows with the square of the shorter side. A convolution that makes several positions of its output out of
    one of its input is as many kernels above each other.
    """
    turned = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if turned else matrices
    rows = wide.shape[1]
    parts = next(parts for parts in range(1, rows + 1) if rows % parts == 0 and rows // parts <= cut)
    steps = by_all_ranks(orthogonal, wide.reshape(-1, rows // parts, wide.shape[2])).reshape(wide.shape)
    return steps.mT if turned else steps


def orthogonal(matrices: Tensor) -> Tensor:
    """Each matrix (N, R, C) with all its singular values brought near 1, from 0.7 to 1.2, by Newton and Schulz's
    iteration, in bf16 where the device computes it.

    What the values' spread costs is nothing that training sees (Jordan et al.).
    """
    a, b, c = _COEFFICIENTS
    turned = matrices.shape[1] > matrices.shape[2]
    dtype = torch.bfloat16 if computes_bf16(matrices.device.type) else torch.float32
    x = (matrices.mT if turned else matrices).to(dtype)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if turned else x


def _matrix(update: Tensor, parameter: Tensor) -> Tensor:
    """Output channels by all the rest, in the order of the parameter's memory: no copy where its channels are last."""
    return (update.movedim(1, -1) if _has_channels_last(parameter) else update).flatten(1)


def _like(step: Tensor, parameter: Tensor) -> Tensor:
    """The inverse of ``_matrix``."""
    if not _has_channels_last(parameter):
        return step.view(parameter.shape)
    out, inner, *kernel = parameter.shape
    return step.view(out, *kernel, inner).movedim(-1, 1)


def _has_channels_last(tensor: Tensor) -> bool:
    return tensor.dim() > 2 and not tensor.is_contiguous() and tensor.movedim(1, -1).is_contiguous()


def _whole(tensor: Tensor) -> Tensor:
    whole: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return whole
