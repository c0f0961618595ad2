"""The held-out loss: on which inputs the model is evaluated, and that they are always the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.tiny_models import BASE, DIFFUSION, SUPER_RESOLUTION, drawn
from walt.diffusion.schedule import Schedule
from walt.evaluation.held_out import HeldOutBatch, held_out_errors, held_out_inputs
from walt.transformer.model import WaltTransformer

SCHEDULE = Schedule.from_config(DIFFUSION)


def batch(keys: list[str], low_resolution: bool = False) -> HeldOutBatch:
    grid = (2, 4, 4) if low_resolution else (2, 2, 2)
    latents = torch.stack([torch.full((4, *grid), float(ord(key[0]) % 7)) for key in keys])
    mask = torch.ones(len(keys), 8, dtype=torch.bool)
    low = latents[..., ::2, ::2] if low_resolution else None
    return HeldOutBatch(keys, latents, {"text": torch.ones(len(keys), 8, 16), "text_mask": mask}, low)


def held_out_loss(*arguments: Any, **named: Any) -> list[float]:
    """The loss of each band."""
    losses: list[float] = held_out_errors(*arguments, **named).mean(0).tolist()
    return losses


class Recorder(nn.Module):
    """Returns zeros and records its inputs."""

    config = BASE

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.timesteps: list[Tensor] = []

    def forward(self, x: Tensor, timesteps: Tensor, *rest: Any, **given: Any) -> Tensor:
        self.timesteps.append(timesteps)
        return torch.zeros_like(x)


def test_each_clip_is_asked_in_each_band() -> None:
    model = Recorder()
    errors = held_out_errors(model, SCHEDULE, [batch(["a", "b"]), batch(["c"])], bands=5, seed=0)  # type: ignore[arg-type]
    assert errors.shape == (3, 5)
    by_band = [torch.cat([model.timesteps[band], model.timesteps[5 + band]]) for band in range(5)]
    for band, steps in enumerate(by_band):
        assert len(steps) == 3
        assert (steps // 20 == band).all()


def test_the_loss_is_the_error_of_v() -> None:
    """For an answer of zero and latents of constant 1, E|v|^2 = a^2 + s^2 * 1 = 1 in every band."""
    keys = [f"b{i}" for i in range(64)]  # ord("b") % 7 == 0
    ones = batch(keys)
    ones = HeldOutBatch(keys, torch.ones_like(ones.latents), ones.conditions, None)
    losses = held_out_loss(Recorder(), SCHEDULE, [ones], bands=4, seed=0)
    assert losses == pytest.approx([1.0] * 4, abs=0.15)


def test_a_function_of_the_seed() -> None:
    torch.manual_seed(0)
    model = WaltTransformer(BASE).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1
    batches = [batch(["a", "b"]), batch(["c", "d"])]
    first = held_out_loss(model, SCHEDULE, batches, 3, seed=1)
    assert held_out_loss(model, SCHEDULE, batches, 3, seed=1) == first
    assert held_out_loss(model, SCHEDULE, batches, 3, seed=2) != first


def test_super_resolution_gets_its_low_resolution() -> None:
    torch.manual_seed(0)
    model = WaltTransformer(SUPER_RESOLUTION).eval()
    losses = held_out_loss(model, SCHEDULE, [batch(["a", "b"], low_resolution=True)], 2, seed=0)
    assert len(losses) == 2
    assert all(loss > 0 for loss in losses)


def test_what_is_evaluated_has_a_digest() -> None:
    batches = [batch(["a", "b"]), batch(["c"], low_resolution=True)]
    text = {**batches[0].conditions, "text": torch.zeros(2, 8, 16)}
    others = [
        batches[:1], [batch(["a", "c"]), batches[1]], [batches[0], batch(["c"])],
        [replace(batches[0], conditions=text), batches[1]],
        [replace(batches[0], latents=batches[0].latents + 1), batches[1]],
    ]  # fmt: skip
    assert held_out_inputs(batches) == held_out_inputs([batch(["a", "b"]), batch(["c"], low_resolution=True)])
    assert len({held_out_inputs(found) for found in (batches, *others)}) == 6


def test_no_batches() -> None:
    with pytest.raises(ValueError, match="no held-out"):
        held_out_loss(Recorder(), SCHEDULE, [], 2, seed=0)


@pytest.mark.usefixtures("bf16_on_any_processor")
def test_bf16_changes_the_loss_by_rounding_alone() -> None:
    torch.manual_seed(0)
    model = drawn(WaltTransformer(BASE), 1).eval()
    exact, rounded = (
        held_out_loss(model, SCHEDULE, [batch(["a", "b"])], bands=3, seed=0, precision=precision)
        for precision in ("fp32", "bf16")
    )
    assert exact != rounded
    assert rounded == pytest.approx(exact, rel=0.02)
