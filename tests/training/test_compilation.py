"""Compiled blocks: the same numbers, the same names, and no block that quietly runs as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch._dynamo
from torch import Tensor

from tests.support.transformers import CLASS, inputs, stirred
from walt.training.compilation import compile_blocks, missing_for_processors


@pytest.fixture
def dynamo() -> Iterator[None]:
    """torch.compile's settings and memory are the process's: given back as they were."""
    with torch._dynamo.config.patch():
        yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # half a minute on an idle core
@pytest.mark.skipif(missing_for_processors() is not None, reason=f"torch.compile needs {missing_for_processors()}")
@pytest.mark.usefixtures("dynamo")
def test_compiled_equals_eager() -> None:
    """Output and gradients, in float32 to 1e-4 of the largest; with activation checkpointing too."""
    model = stirred(CLASS.model_copy(update={"layers": 2})).float().train()  # one block of each window
    names = list(model.state_dict())
    given = {
        name: value.float() if value.is_floating_point() else value for name, value in inputs(config=CLASS).items()
    }

    def results() -> list[Tensor]:
        model.zero_grad()
        output = model(**given)
        output.square().mean().backward()
        return [output.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]

    def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))

    eager = results()
    compile_blocks(model.blocks, "cpu", "train_base.compile")
    torch._dynamo.utils.counters.clear()
    compiled = results()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2, "a window of each kind was compiled, whole"
    assert_close(compiled, eager)
    assert list(model.state_dict()) == names
    model.activation_checkpointing = True
    assert_close(results(), eager)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "there is no 'no-such-compiler'" in (missing_for_processors() or "")
