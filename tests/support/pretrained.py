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


class NeedsTenFrames(nn.Module):
    """As ``FakeI3D``, with a layer over ten frames: shorter clips are an error of the network's own."""

    def __init__(self) -> None:
        super().__init__()
        self.over_time = nn.Conv3d(3, 4, kernel_size=(10, 1, 1))

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        assert return_features
        assert resize
        assert not rescale
        found = nn.functional.adaptive_avg_pool3d(self.over_time(x), (1, 10, 10))
        return found.flatten(1)
