"""What a model costs, found without computing anything: parameters, FLOPs, and the memory that activations take.

Meant for models and samples on torch's ``meta`` device, where tensors have shapes and no values, so that a model of
three billion parameters is built in a second. Everything works on real tensors too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode


def parameters_by_part(model: nn.Module, part_of: Callable[[str], str]) -> dict[str, int]:
    """Parameters of each part, in order of first appearance; they sum to the model's, a shared one counting once.

    Args:
        part_of: name of a parameter (``blocks.0.mlp.0.weight``) -> the part it belongs to.
    """
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = part_of(name)
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def forward_flops(forward: Callable[[], object]) -> int:
    """FLOPs of one call: a multiply-add is 2. A backward pass within the call counts, too.

    Matrix products, convolutions and attention are counted, on ``meta``, processors and GPUs; norms, activations,
    softmax and other element-wise work are not (a few per cent). Nor are products of a matrix with a vector, recurrent
    layers, and the fused operators by which ``nn.TransformerEncoderLayer`` and ``nn.MultiheadAttention`` run in eval
    mode.
    """
    with FlopCounterMode(display=False, custom_mapping=_ATTENTION_ON_PROCESSORS) as counter:
        forward()
    return int(counter.get_total_flops())


def _attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Two products, of shapes (..., N, d), (..., M, d) and (..., M, e)."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _attention_backward_flops(_grad: Sequence[int], *shapes: Any, **__: Any) -> int:
    """Four products, as on ``meta``: computing the scores again is not counted as work done."""
    return 2 * _attention_flops(*shapes)


_ATTENTION_ON_PROCESSORS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}
"""``FlopCounterMode`` has formulas for GPUs' kernels alone: by itself it counts attention on processors as nothing."""


def saved_bytes(model: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of one call.

    Exact for what it counts: every storage that is saved, once, in the number format in which it is saved; the model's
    parameters and buffers, and views of them, are left out. A checkpointed part counts with its inputs alone. Tensors
    that a custom autograd function keeps other than by ``save_for_backward`` are not seen.
    """
    own = {_identity(tensor) for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.UntypedStorage] = {}  # holds the storages, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        if _identity(tensor) not in own:
            saved[_identity(tensor)] = tensor.untyped_storage()
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in saved.values())


def _identity(tensor: Tensor) -> int:
    """The same for all views of a storage; ``data_ptr`` is zero for every tensor on ``meta``."""
    return tensor.untyped_storage()._cdata
