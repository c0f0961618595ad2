"""CUDA's autocast for tensors without values, on machines without CUDA.

torch's own kernels cast what is on a GPU, and a tensor without values is on none. In the block of ``cuda_autocast`` the
same operators get kernels from here, with the same rules (``aten/src/ATen/autocast_mode.h``) and the same cache of
weights' copies: copies in the lower precision are memory too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

_LOWER = (
    "_convolution.deprecated", "_convolution", "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d",
    "conv_transpose2d.input", "conv_transpose3d.input", "convolution", "prelu", "addmm", "addmv", "addr", "matmul",
    "einsum", "mm", "mv", "linalg_vecdot", "linear", "addbmm", "baddbmm", "bmm", "chain_matmul", "linalg_multi_dot",
    "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell",
    "_scaled_dot_product_flash_attention", "scaled_dot_product_attention", "cudnn_convolution",
    "cudnn_convolution_transpose",
)  # fmt: skip
_WITH_RESULT = (
    "prod", "prod.dim_int", "softmax.int", "log_softmax.int", "cumprod", "cumsum", "linalg_vector_norm",
    "linalg_matrix_norm", "linalg_matrix_norm.str_ord", "sum", "sum.dim_IntList",
)  # fmt: skip
"""Computed with a result in fp32: without a copy of the operand."""
_WIDEST = (
    "addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "grid_sampler", "index_put", "tensordot",
    "scatter_add",
)  # fmt: skip


@cache
def registered_names() -> frozenset[str]:
    """The operators for which torch has a rule on CUDA."""
    names = (name.removeprefix("aten::") for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::"))
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return frozenset(name for name in names if has(f"aten::{name}", "AutocastCUDA"))


def rule(name: str) -> Literal["lower", "widest", "fp32"]:
    """In what an operator with a rule is computed: the lower precision, the widest of its operands', or fp32."""
    return "lower" if name in _LOWER else "widest" if name in _WIDEST else "fp32"


def named_rules() -> set[str]:
    """The operators that are named here."""
    return {*_LOWER, *_WITH_RESULT, *_WIDEST}


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """In the block ``torch.autocast("cuda")`` works, for ``walt.nn.planned_memory``'s tensors alone."""
    copies = _Copies()
    library = torch.library.Library("aten", "IMPL")
    below = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that kernels are replaced
        for name in registered_names():
            library.impl(name, _kernel(name, copies, below), "AutocastCUDA", allow_override=True)
    try:
        with ExitStack() as stack:
            stack.enter_context(patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False))
            stack.enter_context(patch("torch.cuda.is_bf16_supported", lambda *_: True))
            stack.enter_context(patch("torch.clear_autocast_cache", copies.clear))
            yield
    finally:
        copies.clear()
        library._destroy()


class _Copies:
    """Weights in the lower precision, kept until the outermost autocast block ends."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def clear(self) -> None:
        """What torch does at the end of the outermost block."""
        self.kept.clear()

    def lower(self, x: Tensor) -> Tensor:
        """``x`` in autocast's type, where it is a floating-point number that is cast at all."""
        dtype = torch.get_autocast_dtype("cuda")
        if not x.is_floating_point() or x.dtype in (torch.float64, dtype) or x.device.type != "cuda":
            return x
        weight = x.dtype == torch.float32 and x.requires_grad and x.is_leaf and not x._is_view()
        if not weight or not torch.is_autocast_cache_enabled():
            return x.to(dtype)
        if id(x) not in self.kept:
            with torch.enable_grad():  # a pass without gradient may come first
                self.kept[id(x)] = x, x.to(dtype)
        return self.kept[id(x)][1]


def _kernel(name: str, copies: _Copies, below: Any) -> Callable[..., Any]:
    packet, _, overload = name.partition(".")
    operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
    parameters = [argument.name for argument in operator._schema.arguments]

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(below):
            if rule(name) == "lower":
                args, kwargs = tree_map_only(Tensor, copies.lower, (args, kwargs))
            elif name in _WITH_RESULT:
                given = dict(zip(parameters, args, strict=False)) | kwargs
                if given.get("dtype") is None and args[0].is_floating_point():
                    given["dtype"] = torch.float32
                return operator(**given)
            elif rule(name) == "widest":
                half = _any_of(args, torch.float32)
                args = tree_map_only(Tensor, _to_fp32, args) if half else args
            else:
                args, kwargs = tree_map_only(Tensor, _to_fp32, (args, kwargs))
            return operator(*args, **kwargs)

    return kernel


def _to_fp32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) and x.device.type == "cuda" else x


def _any_of(args: Any, dtype: torch.dtype) -> bool:
    found = []
    tree_map_only(Tensor, lambda x: found.append(x.dtype == dtype), args)
    return any(found)
