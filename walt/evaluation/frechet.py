"""Frechet distance between two sets of clips, on a named feature extractor.

d^2 = |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), with mean and covariance of the clips' features. Numbers of
two extractors cannot be compared; only the one on the I3D network is called FVD (Unterthiner et al., arXiv 1812.01717).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.ranks import ranks
from walt.evaluation.metric_names import FRECHET_DISTANCE
from walt.nn.collectives import gather_tensors

_DIFFERENCE_SCALE = 10.0  # frames differ by a few percent: without it the distance would see colour and not motion


class Extractor(nn.Module):
    """Clips (B, 3, T, H, W) in [-1, 1] -> features (B, ``num_features``)."""

    num_features: int


class ThumbnailFeatures(Extractor):
    """Features without a learned model: what a clip looks like at low resolution, and where it moves.

    36 values: RGB averaged over 3 spans of time x 2 x 2 fields of the picture. 12 values: absolute difference of
    neighbouring frames, averaged over time in 2 x 2 fields, times 10. 48 in all, so that the covariance of 64 clips
    has full rank. A picture has no motion: zeros.
    """

    num_features = 48

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] -> (B, 48)."""
        colours = F.adaptive_avg_pool3d(clips, (3, 2, 2))  # (B, 3, 3, 2, 2)
        before = clips[:, :, :-1] if clips.shape[2] > 1 else clips
        motion = F.adaptive_avg_pool3d((clips[:, :, -before.shape[2] :] - before).abs(), (1, 2, 2))  # (B, 3, 1, 2, 2)
        return torch.cat([colours.flatten(1), _DIFFERENCE_SCALE * motion.flatten(1)], dim=1)


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

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1], T >= 10 -> (B, 400); the network itself resizes to 224 x 224."""
        features: Tensor = self.network(clips, rescale=False, resize=True, return_features=True)
        return features


def make_extractor(
    name: Literal["thumbnail", "i3d"], i3d_path: str | Path | None, i3d_sha256: str | None
) -> tuple[str, Extractor]:
    """(the metric's name, the extractor): ``frechet_distance/thumbnail`` or ``fvd``. Raises as ``I3DFeatures``."""
    if name == "thumbnail":
        return FRECHET_DISTANCE[name], ThumbnailFeatures()
    if i3d_path is None or i3d_sha256 is None:
        raise ConfigurationError("evaluate.features is i3d: evaluate.i3d_path and evaluate.i3d_sha256 are needed")
    return FRECHET_DISTANCE[name], I3DFeatures(i3d_path, i3d_sha256)


class RunningFrechetDistance:
    """The Frechet distance between two sets that come side by side, batch by batch. Memory does not grow.

    Only sums over the features are kept, in float64 on the processor, by torchmetrics.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        features = _Features(extractor.num_features)
        # torchmetrics would add up the sums of all ranks, each of which has those of all clips already
        self._metric = FrechetInceptionDistance(feature=features, normalize=False, sync_on_compute=False)

    def update(self, clips: Tensor, real: bool) -> None:
        """Add clips (B, 3, T, H, W) in [-1, 1], on any device, to one of the sets."""
        self.add(self.features(clips), real)

    @torch.no_grad()
    def features(self, clips: Tensor) -> Tensor:
        """Of clips (B, 3, T, H, W) in [-1, 1], on any device: (B, ``num_features``) on the processor."""
        device = next((weight.device for weight in self.extractor.parameters()), clips.device)
        features: Tensor = self.extractor(clips.to(device))
        return features.cpu()

    def add(self, features: Tensor, real: bool) -> None:
        """Add the features of a batch to one of the sets. Their order counts for the last bits."""
        self._metric.update(features, real=real)

    def copy(self) -> RunningFrechetDistance:
        """An independent copy of the sums; the extractor is shared."""
        other = RunningFrechetDistance(self.extractor)
        other._metric = copy.deepcopy(self._metric)
        return other

    @property
    def num_clips(self) -> int:
        """Of the smaller set."""
        return int(min(self._metric.real_features_num_samples, self._metric.fake_features_num_samples))

    def compute(self) -> float:
        """The distance; ``num_clips`` must be two or more."""
        return max(float(self._metric.compute()), 0.0)  # equal sets may give -1e-16


class _Features(nn.Module):
    """Takes the place of torchmetrics' network: the features are computed before."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class Batches(Protocol):
    """Batches of clips (B, 3, T, H, W) in [-1, 1] by number: a list, or what reads a batch when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Tensor: ...


def frechet_distance(real: Batches, generated: Batches, extractor: Extractor) -> float:
    """Frechet distance between two sets of clips; two clips or more on each side.

    Of several ranks each asks for its share of the batches alone, and computes their features; all get the result,
    which the number of ranks does not change by a bit.
    """
    running = RunningFrechetDistance(extractor)
    for batches, are_real in ((real, True), (generated, False)):
        own = [running.features(batches[number]) for number in ranks().share(range(len(batches)))]
        for features in gather_tensors(own):
            running.add(features, are_real)
    return running.compute()
