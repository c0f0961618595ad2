"""Where tensors live."""

from __future__ import annotations

from typing import Literal

import torch

from walt.core.errors import ConfigurationError


def select_device(name: Literal["auto", "cpu", "cuda"]) -> str:
    """The device that ``compute.device`` names. Raises ConfigurationError when it asks for a GPU that is not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("compute.device is cuda, but torch finds no GPU")
    return "cuda" if available and name != "cpu" else "cpu"


def prefetch_depth(device: str) -> int:
    """Batches to prepare ahead: some for a GPU, none where the model needs the processor itself."""
    return 0 if device == "cpu" else 2
