"""A transformer as a folder of safetensors and JSON."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from walt.nn.pretrained import load_config, load_weights, save_weights
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer


def save_transformer(folder: Path, model: WaltTransformer, state_dict: dict[str, Tensor] | None = None) -> None:
    """Write weights and configuration; ``state_dict`` takes the place of the model's own weights (an EMA's, say)."""
    save_weights(folder, model.state_dict() if state_dict is None else state_dict, model.config)


def load_transformer(folder: Path, device: str = "cpu") -> WaltTransformer:
    """Read a folder written by ``save_transformer``; in eval mode. Raises as ``walt.nn.pretrained``."""
    model = WaltTransformer(load_config(folder, TransformerConfig))
    load_weights(folder, model)
    return model.to(device).eval()
