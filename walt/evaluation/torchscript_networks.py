"""Networks from TorchScript files, called as StyleGAN-V (I3D, C3D) and StyleGAN3 (Inception) call theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.evaluation.extractors import Classifier, reason


class TorchScriptFeatures(Classifier):
    """A network from a TorchScript file. Each of those that are known has classes.

    Args:
        settings: where file and digest were named, for messages.

    Raises:
        ConfigurationError: the file is missing, or is not TorchScript.
        CorruptArtifactError: its SHA-256 differs; then it is not opened, as TorchScript is a program.
    """

    def __init__(self, path: str | Path, sha256: str, settings: tuple[str, str]) -> None:
        super().__init__()
        if not Path(path).is_file():
            raise ConfigurationError(f"{settings[0]}: no file '{path}'")
        if sha256_file(path) != sha256:
            raise CorruptArtifactError(f"{path}: its sha256 is not {settings[1]}")
        load: Any = torch.jit.load  # untyped
        try:
            self.network = load(str(path)).eval()
        except (RuntimeError, ValueError) as error:  # such as weights alone
            raise ConfigurationError(f"{settings[0]}: '{path}' is not TorchScript: {reason(error)}") from error
        self.digest = sha256


class I3DFeatures(TorchScriptFeatures):
    """The 400 logits of the I3D network, from the TorchScript file that StyleGAN-V's FVD uses."""

    num_features = 400

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1], T >= 10 -> (B, 400); the network itself resizes to 224 x 224."""
        features: Tensor = self.network(clips, rescale=False, resize=True, return_features=True)
        return features

    def classes(self, clips: Tensor) -> Tensor:
        return self.forward(clips)


class C3DFeatures(TorchScriptFeatures):
    """The 101 probabilities of the C3D network of UCF-101, from StyleGAN-V's TorchScript file."""

    num_features = 101

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B, 101); the network takes pixels from 0 to 255."""
        return _probabilities(self.network(_bytes_of(clips)))

    def classes(self, clips: Tensor) -> Tensor:
        return self.forward(clips).log()


class InceptionFeatures(TorchScriptFeatures):
    """The 2048 pooled features of the Inception network of the original FID, from StyleGAN3's TorchScript file.

    It sees pictures, and resizes them itself to 299 x 299.
    """

    num_features = 2048

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, 1, H, W) in [-1, 1] -> (B, 2048)."""
        features: Tensor = self.network(_pictures(clips), return_features=True)
        return features

    def classes(self, clips: Tensor) -> Tensor:
        """The logarithms of its probabilities, without the bias of the last layer, as the original score has it."""
        return _probabilities(self.network(_pictures(clips), no_output_bias=True)).log()


def _bytes_of(clips: Tensor) -> Tensor:
    return (clips * 127.5 + 127.5).round().clamp(0.0, 255.0).to(torch.uint8)


def _pictures(clips: Tensor) -> Tensor:
    if clips.shape[2] != 1:
        raise ValueError("it measures pictures, not videos")
    return _bytes_of(clips)[:, :, 0]


def _probabilities(found: Tensor) -> Tensor:
    if not bool((found >= 0.0).all() and ((found.sum(dim=-1) - 1.0).abs() <= 1e-3).all()):  # NaN is neither
        raise ValueError("it gives no probabilities of classes")
    return found
