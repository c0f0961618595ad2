"""What sampling and the held-out loss hold in memory: the sampler's own code runs with tensors without values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor

from walt.commands.describe.planned_steps import Peaks, by_layers
from walt.diffusion.schedule import Schedule
from walt.nn.planned_memory import Plan, planned
from walt.project.params import Params
from walt.sampling.denoise import Conditioning, Guidance, LowResolution, sample_latents
from walt.sampling.prompt_inputs import Conditions, TextCondition
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

_STEPS = 2
"""Of DDIM: from the second on, the model has its own estimate as one more input."""


def sampling_peaks(params: Params, name: str, device: Literal["cuda", "cpu"] = "cuda") -> Peaks:
    """Of one transformer of the cascade when it denoises a batch: the weights are its own alone.

    Args:
        name: of ``params.transformers()``.
    """
    architecture, _ = params.transformers()[name]
    schedule, settings = Schedule.from_config(params.diffusion), params.sample
    base = architecture.super_resolution is None
    guidance = Guidance.of_base(settings) if base else Guidance.of_super_resolution(settings)
    config = settings.model_copy(update={"steps": _STEPS})

    def of_layers(layers: int) -> Peaks:
        with planned(device) as plan, torch.inference_mode():
            model = _placed(plan, architecture.model_copy(update={"layers": layers}))
            conditioning = _conditioning(plan, params, architecture)
            stream: Any = SimpleNamespace(
                noise=lambda _purpose, _step, shape: plan.tensor(settings.batch_size, *shape, kind="batch"),
                device=device,
            )
            plan.memory.begin()
            sample_latents(model, schedule, conditioning, guidance, config, stream, name)
            return {name: plan.memory.peaks["forward"]}

    return by_layers(architecture.layers, of_layers)


def held_out_peaks(params: Params, name: str, device: Literal["cuda", "cpu"] = "cuda") -> Peaks:
    """Of one transformer when the loss of a held-out batch is measured."""
    architecture, _ = params.transformers()[name]
    settings = params.evaluate

    def of_layers(layers: int) -> Peaks:
        with planned(device) as plan, torch.inference_mode():
            model = _placed(plan, architecture.model_copy(update={"layers": layers}))
            count = settings.batch_size
            latents = _latents(plan, architecture, count)
            timesteps = plan.tensor(count, dtype=torch.int64, kind="batch")
            given = _inputs(plan, params, architecture, count)
            plan.memory.begin()
            with torch.autocast(device, torch.bfloat16, enabled=settings.precision == "bf16"):
                output = model(latents, timesteps, images=architecture.latent_grid[0] == 1, **given)
                (output.float() - latents).double().square()
            return {name: plan.memory.peaks["forward"]}

    return by_layers(architecture.layers, of_layers)


def _placed(plan: Plan, architecture: TransformerConfig) -> WaltTransformer:
    with torch.device("meta"):
        model = WaltTransformer(architecture).eval()
    plan.place(model)
    return model


def _latents(plan: Plan, architecture: TransformerConfig, count: int) -> Tensor:
    return plan.tensor(count, architecture.latent_channels, *architecture.latent_grid, kind="batch")


def _low_resolution(plan: Plan, architecture: TransformerConfig, count: int) -> Tensor:
    assert architecture.super_resolution is not None
    frames, height, width = architecture.latent_grid
    factor = architecture.super_resolution.factor
    return plan.tensor(count, architecture.latent_channels, frames, height // factor, width // factor, kind="batch")


def _conditioning(plan: Plan, params: Params, architecture: TransformerConfig) -> Conditioning:
    """A batch's prompts, its low resolution and its first frames, where the stage gives some."""
    count = params.sample.batch_size
    conditions, low, known = Conditions(), None, None
    if architecture.conditioning == "text":
        conditions = Conditions(
            text=TextCondition(*_text(plan, params, architecture, count), *_text(plan, params, architecture, 1))
        )
    elif architecture.conditioning == "class":
        conditions = Conditions(labels=plan.tensor(count, dtype=torch.int64, kind="batch"))
    if architecture.super_resolution is not None:
        low = LowResolution(_low_resolution(plan, architecture, count), 0)
    if params.sample.beginning != "none" and architecture.frame_prediction:
        frames = {"image": 1, "video": 2}[params.sample.beginning]
        channels, (_, height, width) = architecture.latent_channels, architecture.latent_grid
        known = plan.tensor(count, channels, frames, height, width, kind="batch")
    return Conditioning(conditions, low, known)


def _inputs(plan: Plan, params: Params, architecture: TransformerConfig, count: int) -> dict[str, Tensor]:
    """The conditions of held-out clips, as the model's arguments."""
    given: dict[str, Tensor] = {}
    if architecture.conditioning == "text":
        given["text"], given["text_mask"] = _text(plan, params, architecture, count)
    elif architecture.conditioning == "class":
        given["labels"] = plan.tensor(count, dtype=torch.int64, kind="batch")
    if architecture.super_resolution is not None:
        given["low_resolution"] = _low_resolution(plan, architecture, count)
        given["noise_level"] = plan.tensor(count, dtype=torch.int64, kind="batch")
    return given


def _text(plan: Plan, params: Params, architecture: TransformerConfig, count: int) -> tuple[Tensor, Tensor]:
    assert params.text is not None
    assert architecture.text_width is not None
    length = params.text.max_tokens
    embeddings = plan.tensor(count, length, architecture.text_width, kind="batch")
    return embeddings, plan.tensor(count, length, dtype=torch.bool, kind="batch")
