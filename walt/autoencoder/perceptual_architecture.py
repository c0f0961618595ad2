"""The perceptual network's shape, without its weights: for counting what it costs. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, ResNetConfig

from walt.autoencoder.perceptual import IMAGENET_MEAN, IMAGENET_STD, PerceptualNetwork


class _WithoutWeights(PerceptualNetwork):
    """As the network, of a configuration."""

    def __init__(self, config: Any) -> None:
        nn.Module.__init__(self)
        untyped: Any = AutoModelForImageClassification
        self.network = untyped.from_config(config).eval().requires_grad_(False)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))


def perceptual_architecture(folder: Path) -> PerceptualNetwork:
    """The network on the ``meta`` device: of the folder's ``config.json``, or where it is not here yet ResNet-50, the
    original's (MAGVIT-v2), 25.6 M parameters."""
    there = (folder / "config.json").is_file()
    with torch.device("meta"):
        return _WithoutWeights(AutoConfig.from_pretrained(folder, local_files_only=True) if there else ResNetConfig())
