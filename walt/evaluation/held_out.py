"""Held-out diffusion loss by bands of timesteps: does the model generalise, or memorise?

Timesteps and noise are functions of (seed, batch, key), so that two models are evaluated on exactly the same inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from walt.core.digests import canonical_json
from walt.core.ranks import ranks
from walt.diffusion.noise import sample_noise, sample_uniform
from walt.diffusion.schedule import Schedule
from walt.nn.collectives import gather_shares
from walt.nn.device import arithmetic
from walt.transformer.model import WaltTransformer


@dataclass(frozen=True)
class HeldOutBatch:
    """Videos, or images for a model of one frame, that the model was not trained on."""

    keys: Sequence[str]
    latents: Tensor
    """(B, c, t, h, w), normalised."""
    conditions: Mapping[str, Tensor]
    """Their conditions, as arguments of the model: (B, ...) each."""
    low_resolution: Tensor | None
    """(B, c, t, h / f, w / f) without noise; None for a base model."""


def held_out_inputs(batches: Sequence[HeldOutBatch]) -> str:
    """One hex digest of all that the batches hold: keys, latents and conditions."""
    digest = hashlib.sha256()
    for batch in batches:
        tensors = {"latents": batch.latents, **batch.conditions}
        if batch.low_resolution is not None:
            tensors["low_resolution"] = batch.low_resolution
        digest.update(canonical_json(list(batch.keys)).encode())
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def held_out_errors(
    model: WaltTransformer,
    schedule: Schedule,
    batches: Sequence[HeldOutBatch],
    bands: int,
    seed: int,
    precision: str = "fp32",
    in_step: bool = False,
) -> Tensor:
    """Each clip's mean squared error of the model's output in each of ``bands`` equal bands of steps; the first is the
    least noisy. The loss of a band is the mean of its column.

    Each clip is evaluated once in each band, at its own step, without self-conditioning. A super-resolution model
    gets its low-resolution latents at its sampling noise level. Of several ranks each evaluates its share of the
    batches; all get the result.

    Args:
        precision: "fp32" or "bf16", of the model's arithmetic; the errors are fp32, their sums fp64.
        in_step: whether all ranks must call the model equally often, since each holds a share of it: who has fewer
            batches computes its last one, or the first of all, once more.

    Returns:
        (clips, bands) float64, the clips in the order of the batches.

    Raises:
        ValueError: there is no batch.
    """
    if not batches:
        raise ValueError("no held-out batches")
    with arithmetic(next(model.parameters()).device.type, precision):
        numbers = list(ranks().share(range(len(batches))))
        again = [numbers[-1] if numbers else 0] if in_step and len(numbers) * ranks().count < len(batches) else []
        found = [
            _errors_in_bands(model, schedule, batches[number], bands, seed, number) for number in [*numbers, *again]
        ]
    rows = [row for of_batch in gather_shares(found[: len(numbers)]) for row in of_batch]
    return torch.tensor(rows, dtype=torch.float64)


def _errors_in_bands(
    model: WaltTransformer, schedule: Schedule, batch: HeldOutBatch, bands: int, seed: int, number: int
) -> list[list[float]]:
    """A row for each clip, with its error in each band."""
    device = next(model.parameters()).device
    uniform = sample_uniform(seed, number, batch.keys, bands)  # (B, bands) in [0, 1)
    columns = []
    for band in range(bands):
        timesteps = ((band + uniform[:, band]) * schedule.num_steps / bands).long()
        keys = [f"{band}:{key}" for key in batch.keys]
        columns.append(_errors(model, schedule, batch, timesteps, keys, seed, number, str(device)))
    rows: list[list[float]] = torch.stack(columns, dim=1).tolist()
    return rows


def _errors(
    model: WaltTransformer,
    schedule: Schedule,
    batch: HeldOutBatch,
    timesteps: Tensor,
    keys: Sequence[str],
    seed: int,
    number: int,
    device: str,
) -> Tensor:
    """Squared error of each clip, averaged over its latents: (B,) float64 on the CPU."""
    latents, timesteps = batch.latents.to(device), timesteps.to(device)
    noise = sample_noise(seed, number, keys, tuple(latents.shape[1:]), device)
    given = {name: tensor.to(device) for name, tensor in batch.conditions.items()}
    if batch.low_resolution is not None:
        assert model.config.super_resolution is not None
        low, level = batch.low_resolution.to(device), model.config.super_resolution.sampling_noise_level
        low_noise = sample_noise(seed, number, [f"low:{key}" for key in keys], tuple(low.shape[1:]), device)
        given["noise_level"] = torch.full_like(timesteps, level)
        given["low_resolution"] = schedule.add_noise(low, low_noise, given["noise_level"])
    noisy = schedule.add_noise(latents, noise, timesteps)
    output: Tensor = model(noisy, timesteps, images=latents.shape[2] == 1, **given)
    error = (output.float() - schedule.target(latents, noise, timesteps)).double().square()
    return error.flatten(1).mean(1).cpu()
