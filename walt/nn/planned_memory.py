"""The memory that a computation would take on a device, found without computing anything.

The computation's own code runs, with tensors that have shapes and no values: on torch's ``meta`` device they are, and
``device`` says what they stand for. Every storage is counted from the operation that makes it to the moment at which
nothing refers to it any more, also by what autograd keeps, so what is alive at once is what a device would hold.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, Self
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from walt.nn.known_operations import (
    META,
    Form,
    KnownOperation,
    are_known,
    key_of,
    known_operations,
    mapped,
    real_device,
)
from walt.nn.planned_attention import planned_attention
from walt.nn.planned_autocast import cuda_autocast

Kind = Literal["weights", "optimizer", "gradients", "batch", "activations"]
KINDS: tuple[Kind, ...] = ("weights", "optimizer", "gradients", "batch", "activations")


class PlannedTensor(Tensor):
    """A tensor without values that says that it is on a device."""

    on: torch.device

    def __new__(cls, meta: Tensor, on: torch.device) -> Self:
        """``meta`` is on the ``meta`` device."""
        planned: Self = Tensor._make_subclass(cls, meta, False, device_for_backend_keys=on)
        planned.on = on
        return planned

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """What it stands for."""
        return self.on


class Memory:
    """Bytes that are alive, by kind, and the most that were, by phase.

    Attributes:
        phase: what is being computed, a name. In a backward pass it is ``backward`` with ``prefix``, whatever is here.
        prefix: before the names of phases.
        peaks: for each phase, the kinds at the moment at which most was alive.
    """

    def __init__(self) -> None:
        self.alive: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.phase, self.prefix = "forward", ""
        self.peaks: dict[str, dict[Kind, int]] = {}
        self._all, self._most = 0, dict[str, int]()

    def begin(self) -> None:
        """Find the peaks anew from here."""
        self.peaks, self._most = {}, {}

    def add(self, kind: Kind, count: int) -> None:
        """``count`` bytes more."""
        self.alive[kind] += count
        self._all += count
        if count > 0:
            phase = self.prefix + ("backward" if torch._C._current_graph_task_id() != -1 else self.phase)
            if self._all > self._most.get(phase, -1):
                self._most[phase], self.peaks[phase] = self._all, dict(self.alive)


class Plan:
    """What is counted in the block of ``planned``.

    Attributes:
        device: what the tensors stand for, ``cuda`` or ``cpu``.
        memory: the bytes.
    """

    def __init__(self, device: Literal["cuda", "cpu"]) -> None:
        self.device = torch.device(device)
        self.memory = Memory()
        self._kinds: dict[int, tuple[Kind, int, weakref.ref[torch.UntypedStorage]]] = {}

    def place(self, module: nn.Module, kind: Kind = "weights") -> None:
        """Have a module on the ``meta`` device stand for one on the device; its gradients are counted as such."""
        for part in module.modules():
            for name, parameter in list(part._parameters.items()):
                if parameter is not None:
                    moved = nn.Parameter(PlannedTensor(parameter.detach(), self.device), parameter.requires_grad)
                    part._parameters[name] = moved
            for name, buffer in list(part._buffers.items()):
                if buffer is not None:
                    part._buffers[name] = PlannedTensor(buffer, self.device)
        for tensor in (*module.parameters(), *module.buffers()):
            self.count(tensor, kind)
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._count_gradient)

    def tensor(self, *shape: int, dtype: torch.dtype = torch.float32, kind: Kind = "activations") -> Tensor:
        """A tensor on the device."""
        made = PlannedTensor(torch.empty(shape, dtype=dtype, device=META), self.device)
        self.count(made, kind)
        return made

    def count(self, tensor: Tensor, kind: Kind | None = None) -> None:
        """Count a tensor's storage, as of this kind from here on; by default as what it is counted as already."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._kinds:
            before, counted, alive = self._kinds[key]
            if size != counted or (kind is not None and kind != before):
                self._kinds[key] = kind or before, size, alive
                self.memory.add(before, -counted)
                self.memory.add(kind or before, size)
        elif size:
            self._kinds[key] = kind or "activations", size, weakref.ref(storage, lambda _: self._free(key))
            self.memory.add(kind or "activations", size)

    def _free(self, key: int) -> None:
        kind, size, _ = self._kinds.pop(key)
        self.memory.add(kind, -size)

    def _count_gradient(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self.count(parameter.grad, "gradients")


@contextmanager
def planned(device: Literal["cuda", "cpu"]) -> Iterator[Plan]:
    """In the block, what is computed with the plan's tensors is counted instead of computed.

    On ``cuda``, autocast follows CUDA's rules, and attention takes what torch's memory-efficient kernel does. On
    ``cpu`` there is no autocast (fp32 alone). Left out are the workspaces of single kernels, what the allocator loses
    between blocks, and the half gigabyte of a CUDA context.
    """
    plan = Plan(device)
    with ExitStack() as stack:
        if device == "cuda":
            stack.enter_context(cuda_autocast())
        stack.enter_context(patch("torch.nn.functional.scaled_dot_product_attention", planned_attention))
        calls = _Calls(plan.device)
        run_backward = torch.autograd._engine_run_backward  # type: ignore[attr-defined]
        stack.enter_context(patch("torch.autograd._engine_run_backward", calls.also_in(run_backward)))
        stack.enter_context(calls)
        stack.enter_context(_Operations(plan))
        yield plan


class _Calls(TorchFunctionMode):
    """Has what asks for the device make tensors on ``meta``."""

    def __init__(self, on: torch.device) -> None:
        super().__init__()
        self.on = on

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "device" in kwargs and self._is_meant(kwargs["device"]):
            kwargs = {**kwargs, "device": META}
        if func is Tensor.new_tensor and args[0].device.type == self.on.type:
            return torch.empty(torch.tensor(args[1]).shape, dtype=args[0].dtype, device=META)
        if func is Tensor.to and len(args) > 1 and self._is_meant(args[1]):
            args = (args[0], META, *args[2:])
        return func(*args, **kwargs)

    def also_in(self, run_backward: Callable[..., Any]) -> Callable[..., Any]:
        """torch leaves the mode when it begins a backward pass, in which checkpointed blocks are computed again."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return run_backward(*args, **kwargs)

        return run

    def _is_meant(self, device: Any) -> bool:
        return isinstance(device, str | torch.device) and torch.device(device).type == self.on.type


class _Operations(TorchDispatchMode):
    """Runs each operation on ``meta``, and counts what it makes.

    What an operation makes of tensors with the same shapes is remembered, also for the next plan: models repeat their
    blocks, and a plan is made of several.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._known = known_operations(torch.get_default_dtype())

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: nothing is compiled here, and torch puts more calls around each of these for it."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.mkldnn_convolution.default:  # which has no rule for shapes
            func, args = _convolution(*args)
        known = self._known.get(func)
        if known is None:
            known = self._known[func] = KnownOperation.of(func)
        with torch._C.DisableTorchFunction():  # else each look at a shape goes through ``_Calls``
            if known.only_writes and _has_no_values(args[0]):
                return args[0] if func._schema.returns else None
            if known.is_view and isinstance(args[0], PlannedTensor):  # nothing to count, and half of all operations
                return PlannedTensor(func(self._bare(args[0]), *args[1:], **kwargs), self.plan.device)
            key = key_of((args, kwargs)) if known.makes_new_tensors else None
            if key is not None and key in known.forms:
                return mapped(known.forms[key], Form, lambda form: self._made(form.empty()))
            found, given = self._run(func, args, kwargs)
            forms = mapped(found, Tensor, Form.of)
            if key is not None and are_known(forms):
                known.forms[key] = forms
            # what comes from the host is a batch
            kind: Kind | None = "batch" if func is torch.ops.aten._to_copy.default and not given else None
            return mapped(found, Tensor, lambda x: self._returned(x, given, kind))

    def _run(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, dict[int, tuple[Tensor, Tensor]]]:
        """The operation's result on ``meta``, and the planned tensors that it was given, by the id of what they were
        there."""
        given: dict[int, tuple[Tensor, Tensor]] = {}

        def bare(tensor: Tensor) -> Tensor:
            if real_device(tensor) != META:
                return tensor
            plain = self._bare(tensor)
            given[id(plain)] = plain, tensor
            return plain

        return func(*mapped(args, Tensor, bare), **mapped(kwargs, Tensor, bare)), given

    @staticmethod
    def _bare(tensor: Tensor) -> Tensor:
        """What a planned tensor is on ``meta``."""
        with torch._C._PreserveDispatchKeyGuard():
            torch._C._set_meta_in_tls_dispatch_include(True)
            plain: Tensor = Tensor._make_subclass(Tensor, tensor, False, device_for_backend_keys=META)
        return plain

    def _returned(self, value: Tensor, given: dict[int, tuple[Tensor, Tensor]], kind: Kind | None) -> Tensor:
        if real_device(value) != META:
            return value
        return given[id(value)][1] if id(value) in given else self._made(value, kind)

    def _made(self, meta: Tensor, kind: Kind | None = None) -> Tensor:
        self.plan.count(meta, kind)
        return PlannedTensor(meta, self.plan.device)


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any, stride: Any, dilation: Any, groups: int
) -> tuple[Any, tuple[Any, ...]]:
    """The operation for any device that does what oneDNN's does, and its arguments."""
    arguments = (x, weight, bias, stride, padding, dilation, False, [0] * len(stride), groups)
    return torch.ops.aten.convolution.default, arguments


def _has_no_values(written: Any) -> bool:
    """Of a tensor, or of the first of several."""
    first = written[0] if isinstance(written, list | tuple) and written else written
    return isinstance(first, Tensor) and real_device(first) == META
