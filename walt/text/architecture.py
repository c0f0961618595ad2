"""The text encoder's shape, without its weights: for counting what it costs. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, T5Config, T5EncoderModel

from walt.core.errors import ConfigurationError
from walt.text.config import TextConfig
from walt.text.encoder import TINY, locate
from walt.text.tiny import tiny_architecture

T5_XL = "google/t5-v1_1-xl"
"""The paper's text encoder, by its name on the hub."""


def t5_xl() -> nn.Module:
    """T5-XL's encoder on the ``meta`` device, as its ``config.json`` on the hub describes it: 1.224 B parameters."""
    config = T5Config(
        d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu", vocab_size=32128
    )
    with torch.device("meta"):
        model: nn.Module = T5EncoderModel(config)
    return model.eval()


def text_architecture(config: TextConfig, root: Path) -> nn.Module | None:
    """The T5 encoder on the ``meta`` device; None where its configuration is not on this machine.

    ``tiny`` follows from its settings, with the largest vocabulary that they allow. A local folder (relative to
    ``root``) needs its ``config.json`` alone. For a hub name, only the local cache is read.

    Raises:
        ConfigurationError: the folder is missing, or does not hold a T5.
    """
    if config.encoder == TINY:
        architecture = tiny_architecture(config.tiny, config.tiny.vocabulary)
    else:
        name, local = locate(config.encoder, root, root)
        try:
            architecture = AutoConfig.from_pretrained(name, local_files_only=True)
        except (OSError, ValueError) as error:
            if not local:
                return None
            cause = str(error).strip().splitlines()[0]
            raise ConfigurationError(f"text.encoder: cannot read the configuration of '{name}': {cause}") from None
        if architecture.model_type not in ("t5", "mt5", "umt5"):
            raise ConfigurationError(f"text.encoder: '{config.encoder}' is a {architecture.model_type} model, not a T5")
    with torch.device("meta"):
        model: nn.Module = T5EncoderModel(architecture)
    return model.eval()
