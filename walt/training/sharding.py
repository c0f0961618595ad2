"""A model of which each rank holds its share: weights, gradients and moments (FSDP2), for models that do not fit.

Checkpoints and published weights are whole all the same, so a run goes on with another number of ranks, or unsharded.
Every rank must call the model equally often in a step: see ``walt.project.devices.check_batches``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from walt.training.parallel import is_sharded, same_on_all


def shard(model: nn.Module, blocks: Iterable[nn.Module]) -> None:
    """Leave this rank its share of the model. ``blocks`` are gathered one at a time when they are computed.

    Gradients are summed over the ranks, since each rank's loss is its share of the step's, and parameters that a rank
    has no gradient for count as zero there.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard  # here: half a second that one device can do without

    same_on_all(model)
    for module in (*blocks, model):
        fully_shard(module)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
            module.set_reduce_scatter_unused_params(True, recurse=False)


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
