"""One batch is memorised and sampled back from pure noise, with every kind of condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.transformers import CLASS, TINY, UNCONDITIONAL
from walt.diffusion.config import DiffusionConfig
from walt.diffusion.samplers import ddim, trailing_timesteps
from walt.diffusion.schedule import Schedule
from walt.training.diffusion_objective import DiffusionBatch, prediction_loss
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.model import WaltTransformer

GRID = (3, 4, 4)
LARGER: dict[str, Any] = {
    "width": 64, "mlp_width": 128, "layers": 2, "latent_grid": GRID, "spatiotemporal_window": (3, 2, 2)
}  # fmt: skip
"""A block with windows of each kind, wide enough to learn three latents by heart."""
SCHEDULE = Schedule.from_config(
    DiffusionConfig(num_steps=1000, beta_start=1e-4, beta_end=0.02, zero_terminal_snr=True, prediction="v")
)
COUNT, REPEATS, STEPS = 3, 2, 400


def learned(
    config: TransformerConfig, clean: Tensor, conditions: Mapping[str, Tensor], steps: int = STEPS
) -> WaltTransformer:
    """A model that was trained on ``clean`` (B, c, t, h, w) and what it is conditioned on, in many noises."""
    model = WaltTransformer(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99), fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    latents = torch.cat([clean] * REPEATS)
    batch = DiffusionBatch(
        latents, latents, torch.zeros(len(latents), dtype=torch.int64), None, None, images=False, low_resolution=None,
        noise_level=None,
    )  # fmt: skip
    batch = replace(batch, **{name: torch.cat([value] * REPEATS) for name, value in conditions.items()})
    for step in range(steps):
        drawn: dict[str, Any] = {
            "noise": torch.randn_like(latents), "timesteps": torch.randint(0, SCHEDULE.num_steps, (len(latents),))
        }  # fmt: skip
        if "known_frames" in conditions:
            drawn["known_frames"] = torch.randint(1, 3, (len(latents),))
        loss = prediction_loss(model, SCHEDULE, replace(batch, **drawn), self_conditioning=step % 2 == 0).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    return model.eval()


def psnr_of_samples(model: WaltTransformer, clean: Tensor, conditions: Mapping[str, Tensor]) -> float:
    """In dB, of what DDIM makes of pure noise, against ``clean``; the peak is the latents' range."""

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        return model(x_t, torch.full((len(x_t),), timestep), **conditions)

    sampled = ddim(predict, torch.randn_like(clean), SCHEDULE, trailing_timesteps(SCHEDULE.num_steps, 50))
    peak = clean.max() - clean.min()
    return float(10 * torch.log10(peak**2 / (sampled - clean).square().mean()))


@pytest.mark.slow
def test_by_text() -> None:
    torch.manual_seed(0)
    clean, text = torch.randn(COUNT, 3, *GRID), torch.randn(COUNT, 7, 6)
    conditions = {"text": text, "text_mask": torch.ones(COUNT, 7, dtype=torch.bool)}
    model = learned(TINY.model_copy(update=LARGER), clean, conditions)
    assert psnr_of_samples(model, clean, conditions) > 25
    assert psnr_of_samples(model, clean, {**conditions, "text": text.roll(1, 0)}) < 15, "the text decides"


@pytest.mark.slow
def test_by_class() -> None:
    torch.manual_seed(0)
    clean, labels = torch.randn(COUNT, 3, *GRID), torch.arange(COUNT)
    model = learned(CLASS.model_copy(update=LARGER), clean, {"labels": labels})
    assert psnr_of_samples(model, clean, {"labels": labels}) > 25
    assert psnr_of_samples(model, clean, {"labels": labels.roll(1)}) < 15, "the class decides"


@pytest.mark.slow
def test_by_the_first_frames() -> None:
    """Image-to-video (one frame is known) and continuation (two), with one model, which has no other condition."""
    torch.manual_seed(0)
    clean = torch.randn(COUNT, 3, *GRID)
    config = UNCONDITIONAL.model_copy(update={**LARGER, "frame_prediction": True})
    model = learned(config, clean, {"known_frames": torch.ones(COUNT, dtype=torch.int64)}, steps=600)
    for count in (1, 2):
        known = torch.cat([clean[:, :, :count], torch.full_like(clean[:, :, count:], torch.nan)], dim=2)
        conditions = {"known": known, "known_frames": torch.full((COUNT,), count)}
        assert psnr_of_samples(model, clean, conditions) > 25, f"{count} known"


@pytest.mark.slow
def test_by_the_low_resolution() -> None:
    torch.manual_seed(0)
    clean = torch.randn(COUNT, 3, *GRID)
    low = F.avg_pool3d(clean, (1, 2, 2))
    config = UNCONDITIONAL.model_copy(
        update={
            **LARGER,
            "super_resolution": SuperResolutionConfig(factor=2, max_noise_level=0, sampling_noise_level=0),
        }
    )
    conditions = {"low_resolution": low, "noise_level": torch.zeros(COUNT, dtype=torch.int64)}
    model = learned(config, clean, conditions)
    assert psnr_of_samples(model, clean, conditions) > 25
