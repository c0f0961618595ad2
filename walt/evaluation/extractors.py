"""Networks that turn clips into features, between whose sets a distance is taken.

An extractor must not change with the models that are judged by it. Numbers of two extractors cannot be compared; only
the one on the I3D network is called FVD (Unterthiner et al., arXiv 1812.01717).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.sizes import Size, size_folder
from walt.evaluation.metric_names import FRECHET_DISTANCE
from walt.evaluation.random_network import RandomNetwork


class Extractor(nn.Module):
    """Clips (B, 3, T, H, W) in [-1, 1] -> features (B, ``num_features``)."""

    num_features: int
    digest: str
    """Hex SHA-256 of what it computes with."""


class RandomNetworkFeatures(Extractor):
    """Those of ``walt.evaluation.random_network``."""

    num_features = RandomNetwork.num_features

    def __init__(self) -> None:
        super().__init__()
        self.network = RandomNetwork()
        self.digest = sha256_json([kernel.tolist() for kernel in self.network.kernels])

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1], H and W of 4 or more -> (B, 72)."""
        features: Tensor = self.network(clips)
        return features


class I3DFeatures(Extractor):
    """The 400 logits of the I3D network, from the TorchScript file that StyleGAN-V's FVD uses.

    Args:
        settings: where file and digest were named, for messages.

    Raises:
        ConfigurationError: the file is missing.
        CorruptArtifactError: its SHA-256 differs; then it is not opened, as TorchScript is a program.
    """

    num_features = 400

    def __init__(
        self, path: str | Path, sha256: str, settings: tuple[str, str] = ("evaluate.i3d_path", "evaluate.i3d_sha256")
    ) -> None:
        super().__init__()
        if not Path(path).is_file():
            raise ConfigurationError(f"{settings[0]}: no file '{path}'")
        if sha256_file(path) != sha256:
            raise CorruptArtifactError(f"{path}: its sha256 is not {settings[1]}")
        load: Any = torch.jit.load  # untyped
        self.network = load(str(path)).eval()
        self.digest = sha256

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1], T >= 10 -> (B, 400); the network itself resizes to 224 x 224."""
        features: Tensor = self.network(clips, rescale=False, resize=True, return_features=True)
        return features


def make_extractor(
    name: Literal["random_network", "i3d"], i3d_path: str | Path | None, i3d_sha256: str | None
) -> tuple[str, Extractor]:
    """(the metric's name, the extractor): ``frechet_distance/random_network`` or ``fvd``. Raises as ``I3DFeatures``."""
    if name == "random_network":
        return FRECHET_DISTANCE[name], RandomNetworkFeatures()
    if i3d_path is None or i3d_sha256 is None:
        raise ConfigurationError("evaluate.features is i3d: evaluate.i3d_path and evaluate.i3d_sha256 are needed")
    return FRECHET_DISTANCE[name], I3DFeatures(i3d_path, i3d_sha256)


@torch.inference_mode()
def check_extractor(extractor: Extractor, name: str, num_frames: int, size: Size) -> None:
    """Call the extractor once, on zeros of that shape, so that clips which it cannot take are found before any work.

    Args:
        name: what ``evaluate.features`` says, for the message.
        size: (height, width) in pixels.

    Raises:
        ConfigurationError: it fails on clips of that shape, or gives other features than it says.
    """
    said = f"evaluate.features is {name}, which cannot judge clips of {num_frames} frames of {size_folder(size)}"
    device = next(iter(extractor.parameters()), torch.zeros(1)).device
    try:
        features = extractor(torch.zeros(1, 3, num_frames, *size, device=device))
    except (RuntimeError, ValueError, IndexError) as error:  # RuntimeError includes all that TorchScript raises
        raise ConfigurationError(f"{said}: {_reason(error)}") from error
    if features.shape != (1, extractor.num_features) or not bool(features.isfinite().all()):
        shape = "x".join(map(str, features.shape))
        raise ConfigurationError(f"{said}: it gives {shape} features of zeros, not 1x{extractor.num_features} numbers")


def _reason(error: Exception) -> str:
    """The last line that says something: TorchScript puts a traceback of its own before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@torch.inference_mode()
def features_of(extractor: Extractor, clip: Tensor) -> Tensor:
    """Of one clip (3, T, H, W) in [-1, 1], on any device: (``num_features``,) float32 on the processor.

    One clip at a time: in a batch its features could depend on the others by rounding.
    """
    device = next(iter(extractor.parameters()), clip).device
    features: Tensor = extractor(clip[None].to(device))
    return features[0].float().cpu()
