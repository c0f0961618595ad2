"""AdamW, Adafactor and Muon, their learning rate, and their state as plain tensors and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from walt.training.config import OptimizerConfig
from walt.training.muon import Muon
from walt.training.parallel import part_like

_NO_DECAY_WORDS = ("bias", "norm", "embedding", "position")


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimizer of the model's trainable parameters; its learning rate is set again in each step.

    All decouple the weight decay from the gradient. Adafactor and Muon, which are our own (``walt.training.adafactor``,
    ``walt.training.muon``), have blocks of their own; ``betas`` are AdamW's, also of what Muon leaves to it.
    """
    groups = parameter_groups(model, config.weight_decay)
    match config.name:
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
        case "adafactor":
            from walt.training.adafactor import Adafactor  # here: what it needs of sharding takes half a second

            return Adafactor(groups, lr=config.learning_rate, **config.adafactor.model_dump())
        case "muon":
            return Muon(groups, lr=config.learning_rate, betas=config.betas, **config.muon.model_dump())
        case _:
            assert_never(config.name)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels, with weight decay, and norms, biases, embeddings and positions, without."""
    decayed: dict[int, nn.Parameter] = {}
    others: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            label = f"{type(module).__name__}.{name}".lower()  # "linear.weight", "relativepositionbias.table"
            plain = parameter.ndim < 2 or any(word in label for word in _NO_DECAY_WORDS)
            (others if plain else decayed)[id(parameter)] = parameter  # by id: a shared parameter counts once
    groups = (
        {"params": list(decayed.values()), "weight_decay": weight_decay, "matrices": True},
        {"params": list(others.values()), "weight_decay": 0.0, "matrices": False},
    )
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Use ``rate`` for all parameters from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """The rate of step ``step`` (from 0) of ``steps``.

    Linear warm-up to the peak, reached after ``warmup_steps``; then constant, or half a cosine that ends in the last
    step at ``final_fraction`` of the peak.
    """
    peak = config.learning_rate
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return peak
    progress = (step - config.warmup_steps) / max(1, steps - 1 - config.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    return peak * (config.final_fraction + (1.0 - config.final_fraction) * cosine)


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state as tensors and as JSON-able scalars, both named ``<parameter number>.<entry>``.

    Hyperparameters are left out: they follow from the configuration.
    """
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for number, entries in optimizer.state_dict()["state"].items():
        for entry, value in entries.items():
            (tensors if isinstance(value, Tensor) else scalars)[f"{number}.{entry}"] = value
    return tensors, scalars


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
    """Load a state from ``optimizer_state``."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in (*tensors.items(), *scalars.items()):
        number, entry = name.split(".", 1)
        state.setdefault(int(number), {})[entry] = _laid_out_like(parameters[int(number)], value)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_like(parameter: Tensor, value: Any) -> Any:
    """A moment in its parameter's memory layout: fused kernels go through both in parallel and ignore the strides."""
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        value = part_like(value, parameter)
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    return value
