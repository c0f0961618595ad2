"""Training on several ranks: each computes its share of a step's batch, and what they found is added up.

The loss of a rank is its *share* of the step's, so gradients and terms are sums over the ranks: the same step as on one
device up to rounding, and on one device nothing is done at all. Gradients travel in few flat buffers after the backward
pass. This asks nothing of the ranks' graphs: one may have videos alone, another images alone, which leave other
parameters without a gradient; what no rank has a gradient of stays without one.

A model that does not fit on one device may be *sharded* (FSDP2): each rank holds its share of the weights, gradients
and moments. Checkpoints and published weights are whole all the same, so a run goes on with another number of ranks,
or unsharded. Every rank must call such a model equally often in a step: see ``walt.project.devices.check_batches``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from walt.core.ranks import ranks
from walt.training.terms import Average, Terms

_BUCKET_BYTES = 64 * 2**20


def share_of_batch(batch_size: int) -> range:
    """The places in a step's batch that this rank computes: every ``count``-th, so that kinds which follow one another
    in a batch are spread evenly."""
    return range(ranks().rank, batch_size, ranks().count)


def is_sharded(tensor: Tensor) -> bool:
    """Whether this rank holds a part of it only: whether it is torch's DTensor, which takes half a second to import."""
    return hasattr(tensor, "full_tensor")


def same_on_all(model: nn.Module) -> None:
    """Take over the first rank's weights and buffers."""
    if ranks().count > 1:
        for value in model.state_dict().values():
            if not is_sharded(value):  # whose parts were taken of weights that were the same
                dist.broadcast(value, 0)


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of the ranks' tensors, without a graph; on one rank the tensor itself."""
    if ranks().count == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


@torch.no_grad()
def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up the gradients, in place. Those of sharded parameters are sums already."""
    parameters = [parameter for parameter in parameters if not is_sharded(parameter)]
    if ranks().count == 1 or not parameters:
        return
    had = torch.tensor([int(parameter.grad is not None) for parameter in parameters], dtype=torch.int32)
    dist.all_reduce(had, op=dist.ReduceOp.MAX)
    trained = [parameter for parameter, found in zip(parameters, had.tolist(), strict=True) if found]
    pending = []
    for bucket in _buckets(trained):
        flat = torch.cat([_gradient(parameter).reshape(-1) for parameter in bucket])
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in pending:
        work.wait()
        for parameter, part in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(part.view(parameter.shape))


def by_all_ranks(function: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
    """``function`` of a batch (N, ...) that all ranks have, item by item, each of which is computed by one rank.

    It must give each item the same value whatever the others are, of the same shape. Batches of fewer items than there
    are ranks are computed by all: they are not worth the waiting.
    """
    count, rank = ranks().count, ranks().rank
    if count > len(items) or count == 1:
        return function(items)
    size = -(-len(items) // count)
    own = function(items[rank * size : (rank + 1) * size])
    sent = own.new_zeros(size, *own.shape[1:])
    sent[: len(own)] = own
    shares = [torch.empty_like(sent) for _ in range(count)]
    dist.all_gather(shares, sent)
    return torch.cat(shares)[: len(items)]


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale the gradients down to this global norm, where it is larger; the norm before."""
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    return norm.full_tensor() if is_sharded(norm) else norm  # type: ignore[attr-defined]


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters of one type, in order, of some megabytes together."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (size > _BUCKET_BYTES or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel() * parameter.element_size()
    if bucket:
        yield bucket


def sum_terms(terms: Terms) -> dict[str, Tensor | Average]:
    """The step's terms from the ranks' shares of them. All ranks must have the same names, in any order.

    A mean over some samples is left out where no rank has any.
    """
    if ranks().count == 1:
        return dict(terms)
    names = sorted(terms)
    values = [term.total if isinstance(term, Average) else term for term in (terms[name] for name in names)]
    sums = torch.stack([value.detach().double() for value in values])
    dist.all_reduce(sums)
    counts = torch.tensor([term.count if isinstance(term, Average) else -1 for term in map(terms.get, names)])
    dist.all_reduce(counts)  # on the processor: the device is not waited for
    found: dict[str, Tensor | Average] = {}
    for name, total, count in zip(names, sums, counts.tolist(), strict=True):
        if count:
            found[name] = total if count < 0 else Average(total, count)
    return {name: found[name] for name in terms if name in found}


def with_zeros(terms: Mapping[str, Tensor | Average], plain: Sequence[str], averages: Sequence[str]) -> Terms:
    """Terms with a zero for each name that this rank has no sample of, since ``sum_terms`` needs them on all ranks."""
    zero = torch.zeros((), device=next(iter(terms.values())).device)  # type: ignore[union-attr]
    return {**dict.fromkeys(plain, zero), **dict.fromkeys(averages, Average(zero, 0)), **terms}


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
