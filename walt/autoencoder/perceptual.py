"""The network whose logits the perceptual loss compares: a frozen image classifier from a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from walt.autoencoder.losses import at_least_fp32
from walt.core.errors import ConfigurationError
from walt.core.sizes import Size
from walt.core.storage import read_json

KEY = "train_autoencoder.perceptual_network"
PREPROCESSOR = "preprocessor_config.json"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PerceptualNetwork(nn.Module):
    """Frames to logits: any image classifier of transformers, ResNet-50 in the original (MAGVIT-v2).

    Frozen, in evaluation mode. Frames are classified at their own size, so the network must accept it.

    Args:
        folder: ``config.json`` and safetensors weights; ``preprocessor_config.json`` may give the mean and the std of
            an image's channels, for pixels in [0, 1]; without it they are ImageNet's.

        setting: where the folder was named, for messages.

    Raises:
        ConfigurationError: there is no such folder, or no complete classifier with safetensors weights in it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, folder: Path, setting: str = KEY) -> None:
        super().__init__()
        self.folder, self.setting = folder, setting
        self.network: nn.Module = _load(folder, setting).eval().requires_grad_(False)
        for name, values in _normalisation(folder, setting).items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> PerceptualNetwork:
        """Stays in evaluation mode: its running statistics are part of the network."""
        return super().train(False)

    def forward(self, video: Tensor) -> Tensor:
        """Video (B, 3, T, H, W) in [-1, 1] -> logits (B T, classes)."""
        frames = video.transpose(1, 2).flatten(0, 1)  # (B T, 3, H, W)
        return self.network(((at_least_fp32(frames) + 1.0) / 2.0 - self.mean) / self.std).logits

    @torch.no_grad()
    def check_sizes(self, sizes: Iterable[Size]) -> None:
        """Raises ConfigurationError for the first (height, width) that the network does not accept."""
        for height, width in sizes:
            try:
                logits = self(torch.zeros(1, 3, 1, height, width, device=self.mean.device))
            except (RuntimeError, ValueError) as error:
                cause = str(error).strip().splitlines()[0]
                what = f"'{self.folder}' does not accept {height}x{width} frames: {cause}"
                raise ConfigurationError(f"{self.setting}: {what}") from error
            assert logits.dim() == 2, f"logits of shape {tuple(logits.shape)}"

    def digest(self) -> str:
        """Hex SHA-256 over the names, formats and values of all weights, mean and std."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.state_dict().items()):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _load(folder: Path, setting: str) -> Any:
    """The classifier; typed loosely, as transformers' model types are."""
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    if not folder.is_dir():
        raise ConfigurationError(f"{setting}: no folder '{folder}'")
    untyped: Any = logging
    untyped.disable_progress_bar()
    try:
        model, report = AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:  # import: a dependency
        cause = str(error).strip().splitlines()[0]
        raise ConfigurationError(f"{setting}: no image classifier can be loaded from '{folder}': {cause}") from error
    if missing := sorted(report["missing_keys"]):  # transformers would fill them with random numbers
        raise ConfigurationError(f"{setting}: '{folder}' lacks the weight {missing[0]} (and {len(missing) - 1} more)")
    return model


def _normalisation(folder: Path, setting: str) -> dict[str, tuple[float, ...]]:
    """The mean and the std of an image's channels, for pixels in [0, 1]."""
    path = folder / PREPROCESSOR
    try:
        settings = read_json(path) if path.is_file() else {}
        found = {
            "mean": tuple(map(float, settings.get("image_mean", IMAGENET_MEAN))),
            "std": tuple(map(float, settings.get("image_std", IMAGENET_STD))),
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{setting}: {path}: {error}") from error
    for name, values in found.items():
        if len(values) != 3 or (name == "std" and min(values) <= 0):
            raise ConfigurationError(f"{setting}: {path}: image_{name} must be three numbers, not {values}")
    return found
