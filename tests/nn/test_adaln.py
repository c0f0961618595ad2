"""Under autocast, what modulates is computed in fp32: a learned scale of a few thousandths is not rounded away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.tiny_models import BASE, drawn
from walt.nn.adaln import LowRankModulation, SharedModulation, TimestepEmbedding, modulate
from walt.transformer.model import WaltTransformer

WIDTH = 16


def in_bf16(function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return function(*arguments)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [0.003, -0.003, 1e-4])
def test_a_small_scale_changes_the_input_by_as_much(scale: float) -> None:
    x, scales = draw(2, 2, 4, 4, WIDTH), torch.full((2, 1, 1, 1, WIDTH), scale)
    found = in_bf16(modulate, x, scales, torch.zeros_like(scales))
    torch.testing.assert_close(found, F.layer_norm(x, (WIDTH,)) * (1 + scale), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "condition"),
    [
        (TimestepEmbedding(WIDTH), torch.arange(0, 1000, 37)),
        (SharedModulation(WIDTH), draw(3, WIDTH)),
        (LowRankModulation(WIDTH, 2), draw(3, WIDTH)),
    ],
)
def test_conditions_are_those_without_autocast(module: nn.Module, condition: Tensor) -> None:
    drawn(module, 0)
    assert torch.equal(in_bf16(module, condition), module(condition))


@pytest.mark.parametrize("adaln", ["lora", "separate"])
def test_a_model_is_moved_by_a_small_scale_in_each_place(adaln: str) -> None:
    """First at scales of zero, then at 0.003: attention, MLP and output layer see inputs that are larger by 0.3 %."""
    torch.manual_seed(0)
    model = WaltTransformer(BASE.model_copy(update={"adaln": adaln, "layers": 1, "adaln_rank": 2}))
    seen: list[Tensor] = []
    places = (model.blocks[0].self_attention, model.blocks[0].mlp, model.patch_out)
    for place in places:
        place.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().float()))
    layers = [
        module
        for name, module in model.named_modules()
        if "modulation" in name and isinstance(module, nn.Linear) and module.bias is not None
    ]
    inputs = (draw(1, BASE.latent_channels, *BASE.latent_grid), torch.tensor([500]), draw(1, 4, BASE.text_width or 0))
    for scale in (0.0, 0.003):
        with torch.no_grad():
            for layer in layers:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
                for number in range(0, len(layer.bias) // BASE.width, 3):  # scale, shift, gate, scale ...
                    layer.bias[number * BASE.width : (number + 1) * BASE.width] = scale
            in_bf16(model, *inputs, torch.ones(1, 4, dtype=torch.bool))
    assert len(seen) == 6
    for before, after in zip(seen[:3], seen[3:], strict=True):
        torch.testing.assert_close(after, 1.003 * before, rtol=1e-5, atol=1e-5)
