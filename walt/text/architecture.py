"""The text encoder's shape, without its weights: for counting what it costs. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, T5EncoderModel

from walt.core.errors import ConfigurationError
from walt.text.config import TextConfig
from walt.text.encoder import TINY, locate
from walt.text.tiny import tiny_architecture


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
