"""Plans of memory: what is counted, and that autocast on tensors without values is CUDA's."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from walt.nn.attention import WindowSelfAttention
from walt.nn.planned_autocast import named_rules, registered_names, rule
from walt.nn.planned_memory import Plan, PlannedTensor, planned


@pytest.fixture(scope="module", autouse=True)
def _only_what_tests_make_is_collected() -> None:
    """Else each search for garbage goes through all libraries."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def cuda() -> Iterator[Plan]:
    with planned("cuda") as plan:
        yield plan


def alive(plan: Plan) -> int:
    gc.collect()
    return sum(plan.memory.alive.values())


def layer(plan: Plan, width: int = 8, bias: bool = False) -> nn.Linear:
    with torch.device("meta"):
        made = nn.Linear(width, width, bias=bias)
    plan.place(made)
    return made


def test_what_is_alive_is_counted_until_nothing_refers_to_it(cuda: Plan) -> None:
    x = cuda.tensor(10, 10)
    assert alive(cuda) == 400
    y = x + 1
    assert alive(cuda) == 800
    view = y[2:].t()
    del y
    assert alive(cuda) == 800  # a view keeps all of its storage
    view.add_(1)
    assert alive(cuda) == 800
    del view
    assert alive(cuda) == 400
    assert sum(cuda.memory.peaks["forward"].values()) == 800


def test_tensors_say_that_they_are_on_the_device(cuda: Plan) -> None:
    x = cuda.tensor(2, 3)
    assert x.device.type == "cuda"
    made = (x * 2, torch.zeros(3, device=x.device), torch.ones(2).to("cuda"), x.new_tensor([1, 2]), torch.empty_like(x))
    assert all(isinstance(tensor, PlannedTensor) and tensor.device == x.device for tensor in made)
    assert torch.arange(3).tolist() == [0, 1, 2]  # what is on the host has values
    host = torch.ones(3)
    host.mul_(2)
    assert host.tolist() == [2, 2, 2]


def test_what_comes_from_the_host_is_a_batch(cuda: Plan) -> None:
    batch = torch.zeros(100).to("cuda")
    assert cuda.memory.alive["batch"] == 400
    del batch
    assert alive(cuda) == 0


def test_gradients_and_saved_activations(cuda: Plan) -> None:
    model = layer(cuda)
    x = cuda.tensor(100, 8, kind="batch")
    y = model(x).tanh()
    # both the input, counted as the batch, and tanh's result are kept; the product is not
    assert cuda.memory.alive["activations"] == 100 * 8 * 4
    y.sum().backward()
    del y
    gc.collect()
    assert cuda.memory.alive == {
        "weights": 256, "optimizer": 0, "gradients": 256, "batch": 3200, "activations": 0
    }  # fmt: skip
    assert sum(cuda.memory.peaks["backward"].values()) > sum(cuda.memory.alive.values())


def test_checkpointed_blocks_are_computed_again_and_keep_their_input_alone(cuda: Plan) -> None:
    models = [layer(cuda) for _ in range(3)]
    x = cuda.tensor(100, 8)
    for model in models:
        with torch.autocast("cuda", torch.bfloat16):
            x = checkpoint(lambda x, model=model: F.gelu(model(x).tanh()).sigmoid(), x, use_reentrant=False)
    gc.collect()
    kept = cuda.memory.alive["activations"]
    assert kept == 100 * 8 * (4 + 2 + 2 + 2)  # three inputs, the first in fp32, and the result
    x.float().sum().backward()
    assert all(model.weight.grad is not None for model in models)


@pytest.mark.parametrize(
    ("compute", "dtype"),
    [
        (lambda x: F.linear(x, x), torch.bfloat16),
        (lambda x: F.conv3d(x.view(1, 1, 4, 4, 1), x.view(1, 1, 4, 4, 1)), torch.bfloat16),
        (lambda x: x.to(torch.bfloat16) @ x, torch.bfloat16),
        (lambda x: F.layer_norm(x.to(torch.bfloat16), (4,)), torch.float32),
        (lambda x: F.group_norm(x.to(torch.bfloat16), 2), torch.float32),
        (lambda x: x.to(torch.bfloat16).sum(), torch.float32),
        (lambda x: x.to(torch.bfloat16).softmax(-1), torch.float32),
        (lambda x: x.to(torch.bfloat16).exp(), torch.float32),
        (lambda x: F.gelu(x.to(torch.bfloat16)), torch.bfloat16),
        (lambda x: x.to(torch.bfloat16) * 2, torch.bfloat16),
        (lambda x: torch.addcmul(x, x.to(torch.bfloat16), x.to(torch.bfloat16)), torch.float32),
        (lambda x: torch.addcmul(*[x.to(torch.bfloat16)] * 3), torch.bfloat16),
    ],
)
def test_autocast_follows_cudas_rules(cuda: Plan, compute: object, dtype: torch.dtype) -> None:
    x = cuda.tensor(4, 4)
    with torch.autocast("cuda", torch.bfloat16):
        assert compute(x).dtype == dtype  # type: ignore[operator]
        with torch.autocast("cuda", enabled=False):
            assert F.linear(x, x).dtype == torch.float32
    assert F.linear(x, x).dtype == torch.float32


def test_a_sum_in_fp32_needs_no_copy_of_what_is_added(cuda: Plan) -> None:
    x = cuda.tensor(1000, dtype=torch.bfloat16)
    with torch.autocast("cuda", torch.bfloat16):
        x.sum()
    assert sum(cuda.memory.peaks["forward"].values()) == 2004


def test_copies_of_weights_are_kept_to_the_end_of_the_outermost_block(cuda: Plan) -> None:
    model, x = layer(cuda, width=100), cuda.tensor(1, 100)
    before = alive(cuda)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        for _ in range(2):
            with torch.autocast("cuda", torch.bfloat16):
                model(x)
        assert alive(cuda) - before == 2 * 100 * 100
    assert alive(cuda) == before
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
        model(x)
        assert alive(cuda) == before


def test_a_weight_gets_its_gradient_after_a_pass_without(cuda: Plan) -> None:
    model, x = layer(cuda), cuda.tensor(1, 8)
    with torch.autocast("cuda", torch.bfloat16):
        with torch.no_grad():
            model(x)
        loss = model(x).sum()
    loss.backward()
    assert model.weight.grad is not None


def test_every_rule_is_one_of_torchs() -> None:
    assert named_rules() <= registered_names()


def test_rules_are_those_that_torch_tests_on_a_gpu() -> None:
    """torch's own lists of what is computed in what, by names without overloads."""
    file = Path(torch.__file__).parent / "testing" / "_internal" / "autocast_test_lists.py"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if "torch.testing._internal" not in line]  # what needs packages for tests
    names: dict[str, Any] = {"TEST_WITH_ROCM": False, "TestCase": object}
    exec("\n".join(kept), names)
    lists = names["AutocastTestLists"](torch.device("cpu"))
    ours: dict[str, set[str]] = {}
    for name in registered_names():
        ours.setdefault(name.split(".")[0], set()).add(rule(name))
    expected = {
        "lower": [*lists.torch_fp16, *lists.nn_fp16, *lists.linalg_fp16],
        "fp32": [*lists.torch_fp32, *lists.nn_fp32],
        "widest": lists.torch_need_autocast_promote,
    }
    for kind, entries in expected.items():
        assert len(entries) > 2
        for entry in entries:
            assert ours[entry[0]] == {kind}, entry[0]


def test_nothing_is_left_behind() -> None:
    with planned("cuda"):
        pass
    assert torch.nn.functional.scaled_dot_product_attention.__module__ != "walt.nn.planned_attention"
    dump = torch._C._dispatch_dump("aten::linear")
    line = next(line for line in dump.splitlines() if line.startswith("AutocastCUDA"))
    assert "autocast_mode.cpp" in line


def test_attention_never_holds_the_scores_but_for_a_biass_gradient(cuda: Plan) -> None:
    windows, tokens, width = 64, 256, 32
    with torch.device("meta"):
        attention = WindowSelfAttention(width, 2, (1, 16, 16), qk_norm=False, relative_position_bias=True)
    cuda.place(attention)
    x = cuda.tensor(windows, 1, 16, 16, width)
    scores = windows * 2 * tokens * tokens * 2
    cuda.memory.begin()
    with torch.autocast("cuda", torch.bfloat16):
        loss = attention(x).sum()
    assert cuda.memory.peaks["forward"]["activations"] < scores
    loss.backward()
    assert cuda.memory.peaks["backward"]["activations"] > scores
    assert all(parameter.grad is not None for parameter in attention.parameters())
