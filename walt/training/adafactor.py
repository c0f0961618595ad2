"""Adafactor (Shazeer and Stern 2018, arXiv 1804.04235) with what its uses differ in as settings, whole or sharded.

PyTorch's has no momentum, and a step is relative to the size of the parameter: one that begins as zeros hardly moves at
the paper's rates. The one used for large vision models (Zhai et al. 2022, arXiv 2106.04560, appendix) takes the rate as
it is, with momentum and a limit on the memory of the second moments. PyTorch's also fails on sharded parameters
(DTensors, as FSDP2 makes them) and waits for the device twice for each parameter; this one does neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor
from torch.optim import Optimizer


class Adafactor(Optimizer):
    """Second moments of matrices as one value per row and one per column; steps with at most a given size.

    ``lr`` is the size of a step (its RMS), and with ``parameter_scale`` that in shares of the parameter's RMS. It is
    the caller's schedule alone: PyTorch's limit of ``1 / sqrt(step)``, which is above 5e-4 for four million steps, is
    left out.

    Of a parameter with two or more dimensions the last two are factored. The state is ``step``, a number, and tensors:
    ``row`` and ``column`` (the parameter's shape with 1 at its last and its last but one dimension) or ``variance``
    (the parameter's shape, below two dimensions), and with ``beta1`` the ``momentum``. Of a sharded parameter they are
    sharded as it is, as far as they have the dimension.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        parameter_scale: bool = False,
        beta1: float = 0.9,
        beta2_cap: float = 0.999,
        weight_decay: float = 0.0,
        clip: float = 1.0,
        least_scale: float = 1e-3,
        least_mean: float = 1e-30,
        least_variance: float = 1e-30,
    ) -> None:
        """Make it.

        Args:
            params: parameters or groups of them; a group may have its own values.
            lr: rate, above 0.
            parameter_scale: whether a step is relative to the parameter's RMS.
            beta1: of the moving average of the steps, from 0 (none is kept) to below 1; it begins at 0, so the first
                steps are smaller.
            beta2_cap: step t keeps ``1 - t ** -0.8`` of the second moments, and at most this, from 0 to 1.
            weight_decay: share of the parameter that a step at rate 1 removes, apart from the gradient.
            clip: largest RMS of a step before the rate.
            least_scale: smallest RMS that a parameter counts with, where steps are relative to it.
            least_mean: smallest mean of the rows' moments that is divided by.
            least_variance: smallest second moment.
        """
        defaults = {
            "lr": lr,
            "parameter_scale": parameter_scale,
            "beta1": beta1,
            "beta2_cap": beta2_cap,
            "weight_decay": weight_decay,
            "clip": clip,
            "least_scale": least_scale,
            "least_mean": least_mean,
            "least_variance": least_variance,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None, "the loop computes the loss"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _move(parameter, parameter.grad, self.state[parameter], group)


def _move(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """One parameter's step. Nothing is read back from the device."""
    state["step"] = state.get("step", 0) + 1
    share = max(state["step"] ** -0.8, 1.0 - group["beta2_cap"])  # of the new second moments
    update = gradient * _second_moment(parameter, gradient, state, share, group).rsqrt()
    update = update / (_rms(update) / group["clip"]).clamp(min=1.0)
    if isinstance(parameter, DTensor) and isinstance(update, DTensor):  # a dimension of length 1 may have lost its cut
        update = update.redistribute(placements=parameter.placements)
    if group["beta1"]:
        momentum = _state(state, "momentum", parameter)
        update = momentum.lerp_(update, 1.0 - group["beta1"])
    if group["parameter_scale"]:
        update = update * _rms(parameter).clamp(min=group["least_scale"])
    if group["weight_decay"]:
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
    parameter.add_(update, alpha=-group["lr"])


def _second_moment(
    parameter: Tensor, gradient: Tensor, state: dict[str, Any], share: float, group: dict[str, Any]
) -> Tensor:
    """The estimate of the squared gradient, brought up to date."""
    squared = gradient.square()
    if parameter.ndim < 2:
        estimate = _state(state, "variance", parameter).lerp_(squared, share)
        return estimate.clamp(min=group["least_variance"])
    row = _state(state, "row", parameter, parameter.ndim - 1).lerp_(_mean(squared, -1), share)
    column = _state(state, "column", parameter, parameter.ndim - 2).lerp_(_mean(squared, -2), share)
    # the division first: the product of two small moments would be 0
    estimate = row / _mean(row, -2).clamp(min=group["least_mean"]) * column
    return estimate.clamp(min=group["least_variance"])


def _mean(values: Tensor, dimension: int) -> Tensor:
    """Mean over one dimension, which stays as 1. By the sum: shards may be of unequal length."""
    return _complete(values.sum(dimension, keepdim=True)) / values.shape[dimension]


def _rms(values: Tensor) -> Tensor:
    return (_complete(values.square().sum()) / values.numel()).sqrt()


def _complete(values: Tensor) -> Tensor:
    """The same with no sum left that is spread over the ranks."""
    if not isinstance(values, DTensor):
        return values
    return values.redistribute(placements=[Replicate() if p.is_partial() else p for p in values.placements])


def _state(state: dict[str, Any], name: str, parameter: Tensor, reduced: int | None = None) -> Tensor:
    """A tensor of the state, zeros at first, of the parameter's shape but 1 in its ``reduced`` dimension.

    One that was loaded whole is cut as the parameter is.
    """
    if name not in state and reduced is None:
        state[name] = torch.zeros_like(parameter)
    elif name not in state:
        shape = [1 if at == reduced else side for at, side in enumerate(parameter.shape)]
        state[name] = torch.zeros(shape, dtype=parameter.dtype, device=parameter.device)
    value: Tensor = state[name]
    if isinstance(parameter, DTensor) and not isinstance(value, DTensor):
        placements = [Replicate() if reduced is not None and p.is_shard(reduced) else p for p in parameter.placements]
        value = state[name] = distribute_tensor(value, parameter.device_mesh, placements)
    return value
