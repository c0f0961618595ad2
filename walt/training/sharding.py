"""A model of which each rank holds its share: weights, gradients and moments (FSDP2), for models that do not fit.

Checkpoints and published weights are whole all the same, so a run goes on with another number of ranks, or unsharded.
Every rank must call the model equally often in a step: see ``walt.project.devices.check_batches``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from walt.training.parallel import is_sharded, same_on_all


def shard(model: nn.Module, blocks: Iterable[nn.Module], twice: bool = False) -> None:
    """Leave this rank its share of the model. ``blocks`` are gathered one at a time when they are computed.

    It is the model that must be called, as a function: a model of several parts that are called apart is sharded part
    by part. Weights become contiguous, the only layout that FSDP2 takes.

    Args:
        twice: whether a gradient of its outputs is part of the loss. The weights then stay gathered until ``release``,
            since FSDP2 would drop them after the first of the two backward passes.

    Gradients are summed over the ranks, since each rank's loss is its share of the step's, and parameters that a rank
    has no gradient for count as zero there.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard  # here: half a second that one device can do without

    # of modules that return views, whose outputs must not be changed in place: ours are not
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    same_on_all(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()
    for module in (*blocks, model):
        fully_shard(module, reshard_after_forward=False if twice else None)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_backward(not twice, recurse=False)
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
            module.set_reduce_scatter_unused_params(True, recurse=False)


def release(model: nn.Module) -> None:
    """Drop what is gathered of the model, so that its parameters are this rank's shares again, with their gradients."""
    for module in model.modules():
        if hasattr(module, "set_reshard_after_backward"):  # FSDP2's; importing it takes half a second
            module.reshard()  # type: ignore[operator]


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole of each tensor, on the processor where it is sharded. To be called by all ranks."""
    return {
        name: value.detach().full_tensor().cpu() if is_sharded(value) else value  # type: ignore[attr-defined]
        for name, value in tensors.items()
    }


def shared_like(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This rank's share of whole tensors, where the tensor of that name in ``like`` is sharded."""
    return {name: part_like(value, like[name]) if name in like else value for name, value in tensors.items()}


def part_like(value: Tensor, like: Tensor) -> Tensor:
    """This rank's share of a whole tensor, as ``like`` is sharded; the tensor itself where it is not."""
    if not is_sharded(like) or is_sharded(value):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
