"""What turns clips into features, between whose sets a distance is taken, and the checks of what it gives.

An extractor must not change with the models that are evaluated by it. Numbers of two extractors cannot be compared;
only the one on the I3D network is called FVD (Unterthiner et al., arXiv 1812.01717). Which there are:
``walt.evaluation.named_networks``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from walt.core.errors import ConfigurationError
from walt.core.sizes import Size, size_folder


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
        raise ConfigurationError(f"{said}: {reason(error)}") from error
    if features.shape != (1, extractor.num_features) or not bool(features.isfinite().all()):
        shape = "x".join(map(str, features.shape))
        raise ConfigurationError(f"{said}: it gives {shape} features of zeros, not 1x{extractor.num_features} numbers")


def reason(error: Exception) -> str:
    """The last line of an error that says something: TorchScript puts a traceback of its own before it."""
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
