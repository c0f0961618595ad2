"""What operations make of tensors without values, remembered by what it depends on.

Models repeat their blocks, so most was said before, and torch's own rules for shapes take longer than a look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

META = torch.device("meta")
real_device = torch.Tensor.device.__get__
"""Where a tensor is, also where its class says something else."""


@dataclass(frozen=True)
class Form:
    """What a result looks like; on the host where it has values.

    Attributes:
        stride: of each dimension, in numbers.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    has_values: bool

    @classmethod
    def of(cls, tensor: Tensor) -> Form:
        """What a tensor looks like."""
        return cls(tensor.shape, tensor.stride(), tensor.dtype, real_device(tensor) != META)

    def empty(self) -> Tensor:
        """A tensor without values that looks like that."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=META)


@dataclass(frozen=True)
class KnownOperation:
    """What is known of an operation.

    Attributes:
        only_writes: it changes values of what it is given, and nothing else.
        is_view: it returns one tensor, which is always of its first argument's memory.
        makes_new_tensors: it changes nothing that it is given, and returns no part of it.
        forms: of what it makes, by ``key_of`` its arguments.
    """

    only_writes: bool
    is_view: bool
    makes_new_tensors: bool
    forms: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, func: Any) -> KnownOperation:
        """What its schema says."""
        return cls(_only_writes(func), _is_view(func), _makes_new_tensors(func))


@cache
def known_operations(default: torch.dtype) -> dict[Any, KnownOperation]:
    """By operation, what this process has found so far where ``default`` is the type of numbers for which none is
    asked."""
    return {}


def are_known(forms: Any) -> bool:
    """Whether that is all of a result: tensors without values."""
    every = forms if isinstance(forms, list | tuple) else [forms]
    return all(isinstance(form, Form) and not form.has_values for form in every)


def mapped(value: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """The function's result in place of each value of this kind, in lists, tuples and mappings too."""
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, list | tuple):
        parts = [mapped(part, kind, function) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, dict):
        return {name: mapped(part, kind, function) for name, part in value.items()}
    return value


def _only_writes(func: Any) -> bool:
    """Whether an operation changes values of what it is given, and nothing else."""
    name = func._schema.name
    shapes = torch.Tag.inplace_view in func.tags or name in ("aten::resize_", "aten::set_", "aten::resize_as_")
    return name.endswith("_") and func._schema.is_mutable and len(func._schema.returns) < 2 and not shapes


def _is_view(func: Any) -> bool:
    """Whether an operation returns one tensor, which is always of its first argument's memory and of no other's, and
    changes none. Those that are made of others (``contiguous``, ``reshape``) copy at times."""
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return False
    arguments, returns = func._schema.arguments, func._schema.returns
    aliases = [bool(value.alias_info) for value in arguments]
    one = len(returns) == 1 and returns[0].alias_info is not None and not func._schema.is_mutable
    return one and aliases[:1] == [True] and not any(aliases[1:]) and str(returns[0].type) == "Tensor"


def _makes_new_tensors(func: Any) -> bool:
    """Whether an operation changes nothing that it is given, and returns no part of it."""
    schema = func._schema
    return not any(value.alias_info for value in (*schema.arguments, *schema.returns))


def key_of(value: Any) -> Any:
    """What a result's shape may depend on; None where that is not known: of values on the host."""
    if isinstance(value, Tensor):
        return (value.shape, value.stride(), value.dtype) if real_device(value) == META else None
    if isinstance(value, list | tuple):
        keys = tuple(map(key_of, value))
        return None if None in keys else keys
    if isinstance(value, dict):
        return key_of([part for item in sorted(value.items()) for part in item])
    return type(value), value
