"""What operations make of tensors without values is the same where it is remembered."""

from __future__ import annotations

import torch
from torch import Tensor

from walt.nn.known_operations import key_of, known_operations
from walt.nn.planned_memory import Plan, planned


def activations(plan: Plan) -> int:
    """Bytes at the peak of what was made so far."""
    return plan.memory.peaks["forward"]["activations"]


def product(rows: int) -> int:
    """Bytes of a product of (rows, 8) and (8, 8), and of its operands."""
    with planned("cuda") as plan:
        made = plan.tensor(rows, 8) @ plan.tensor(8, 8)
        assert made.shape == (rows, 8)
        return activations(plan)


def test_a_second_plan_takes_what_the_first_found() -> None:
    known = known_operations(torch.get_default_dtype())
    sizes = [product(rows) for rows in (3, 3, 5)]
    forms = known[torch.ops.aten.mm.default].forms
    before = len(forms)
    assert sizes == [4 * (24 + 64 + 24), 4 * (24 + 64 + 24), 4 * (40 + 64 + 40)]
    assert product(5) == sizes[2]
    assert len(forms) == before, "nothing was found anew"


def test_another_type_of_what_asks_for_none_is_another_result() -> None:
    def numbers() -> Tensor:
        with planned("cuda") as plan:
            return torch.arange(0, 1, 0.25, device=plan.device)

    first, default = numbers(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        second = numbers()
    finally:
        torch.set_default_dtype(default)
    assert (first.dtype, second.dtype, numbers().dtype) == (torch.float32, torch.float64, torch.float32)


def test_of_values_on_the_host_nothing_is_remembered() -> None:
    meta = torch.empty(2, 3, device="meta")
    assert key_of((meta, 1)) == key_of([torch.ones(2, 3, device="meta"), 1]), "the same shapes"
    assert key_of((meta.T, 1)) != key_of((meta, 1)), "other strides"
    assert key_of((meta, 1)) != key_of((meta, True)), "equal numbers of other types"
    assert key_of((meta, {"index": torch.zeros(2)})) is None
