"""Networks that turn clips into features, between whose sets a distance is taken.

An extractor must not change with the models that are evaluated by it. Numbers of two extractors cannot be compared;
only the one on the I3D network is called FVD (Unterthiner et al., arXiv 1812.01717). TorchScript files are called as
StyleGAN-V (I3D, C3D) and StyleGAN3 (Inception) call theirs; networks of transformers are in
``walt.evaluation.pretrained_folders``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import Paths
from walt.core.sizes import Size, size_folder
from walt.evaluation.config import NetworkFile, NetworkName
from walt.evaluation.motion import BANDS, FLOOR, Motion
from walt.evaluation.random_network import RandomNetwork


class FeaturesError(ConfigurationError):
    """A network that cannot measure a clip: no distance of what it gives says anything."""


class Extractor(nn.Module):
    """Clips (B, 3, T, H, W) in [-1, 1] -> features (B, ``num_features``)."""

    num_features: int
    digest: str
    """Hex SHA-256 of what it computes with."""


class Classifier(Extractor):
    """An extractor that also names classes, of which an inception score is taken."""

    @abstractmethod
    def classes(self, clips: Tensor) -> Tensor:
        """Clips (B, 3, T, H, W) in [-1, 1] -> logits, or logarithms of probabilities, of classes (B, C)."""


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


class MotionFeatures(Extractor):
    """Those of ``walt.evaluation.motion``."""

    num_features = Motion.num_features

    def __init__(self) -> None:
        super().__init__()
        self.network = Motion()
        self.digest = sha256_json(["frame differences", BANDS, FLOOR])

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B, 4)."""
        features: Tensor = self.network(clips)
        return features


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
            raise ConfigurationError(f"{settings[0]}: '{path}' is not TorchScript: {_reason(error)}") from error
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


_OF_FILES: dict[NetworkName, type[TorchScriptFeatures]] = {
    "i3d": I3DFeatures,
    "c3d": C3DFeatures,
    "inception": InceptionFeatures,
}


def make_extractor(name: NetworkName, networks: Mapping[NetworkName, NetworkFile], project: Paths) -> Extractor:
    """The network of that name.

    Args:
        networks: ``evaluate.networks``; their paths are relative to the project.

    Raises:
        ConfigurationError: the network is not among them, or its file is missing.
        CorruptArtifactError: its file has another SHA-256; then it is not opened.
    """
    if name == "random_network":
        return RandomNetworkFeatures()
    if name == "motion":
        return MotionFeatures()
    if name not in networks:
        raise ConfigurationError(f"{name} is asked for: evaluate.networks.{name} is needed, with path and sha256")
    path, sha256 = project.resolve(networks[name].path), networks[name].sha256
    settings = (f"evaluate.networks.{name}.path", f"evaluate.networks.{name}.sha256")
    if name in _OF_FILES:
        return _OF_FILES[name](path, sha256, settings)
    from walt.evaluation.pretrained_folders import CLIPFeatures, VideoMAEFeatures  # imports transformers

    return (CLIPFeatures if name == "clip" else VideoMAEFeatures)(path, sha256, settings)


@torch.inference_mode()
def check_extractor(extractor: Extractor, name: str, num_frames: int, size: Size, classes: bool = False) -> None:
    """Call the extractor once, on zeros of that shape, so that clips which it cannot take are found before any work.

    Args:
        name: of the network, for the message.
        size: (height, width) in pixels.
        classes: whether its classes will be asked for too.

    Raises:
        ConfigurationError: it fails on clips of that shape, gives other features than it says, or has no classes.
    """
    said = f"evaluate: {name} cannot measure clips of {num_frames} frames of {size_folder(size)}"
    device = next(iter(extractor.parameters()), torch.zeros(1)).device
    zeros = torch.zeros(1, 3, num_frames, *size, device=device)
    try:
        features = extractor(zeros)
        if classes:
            if not isinstance(extractor, Classifier):
                raise ValueError("it names no classes, which an inception score needs")
            extractor.classes(zeros)
        if not isinstance(features, Tensor):
            raise TypeError(f"it gives {type(features).__name__} and not a tensor")
    # RuntimeError includes all that TorchScript raises; the others are of what it gives
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
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

    Raises FeaturesError: they are not finite.
    """
    found = _of_one(extractor, extractor, clip)
    return _numbers(extractor, found, bool(found.isfinite().all()))


@torch.inference_mode()
def classes_of(extractor: Classifier, clip: Tensor) -> Tensor:
    """As ``features_of``, the logits of the network's classes: (C,). Minus infinity is that of a probability of 0."""
    found = _of_one(extractor, extractor.classes, clip)
    return _numbers(extractor, found, bool((found < torch.inf).all() and found.isfinite().any()))


def _of_one(extractor: Extractor, see: Callable[[Tensor], Tensor], clip: Tensor) -> Tensor:
    device = next(iter(extractor.parameters()), clip).device
    try:
        return see(clip[None].to(device))[0].float().cpu()
    except ValueError as error:  # as ``check_extractor`` says it of zeros
        raise FeaturesError(f"evaluate: {type(extractor).__name__} of a clip: {error}") from error


def _numbers(extractor: Extractor, found: Tensor, are_numbers: bool) -> Tensor:
    if not are_numbers:
        raise FeaturesError(f"evaluate: {type(extractor).__name__} of a clip are not finite numbers")
    return found
