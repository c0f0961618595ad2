"""Replacements for pretrained networks: their architecture, with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification


def write_resnet(folder: Path, seed: int = 0) -> Path:
    """A random classifier of five classes, 16x16 and larger, as transformers saves it."""
    torch.manual_seed(seed)
    config = ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=5,
    )  # fmt: skip
    ResNetForImageClassification(config).save_pretrained(folder)
    return folder


class FakeI3D(nn.Module):
    """Has the signature of the published TorchScript file."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        assert return_features
        assert resize
        assert not rescale
        return x.flatten(1)[:, :400]
