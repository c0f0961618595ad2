"""A project with tiny clips and an untrained autoencoder, for tests of ``encode-video``."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.settings import compute_settings
from tests.support.tiny_clips import write_clips
from tests.support.tiny_models import AUTOENCODER
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.paths import Paths
from walt.stages.encode_video import Config


def config(megapixels: float = 0.003, precision: str = "fp32", normalize: bool = True) -> Config:
    """The stage's settings, on the CPU; by default two clips of 5 frames at 16x16 are encoded at once."""
    compute = compute_settings(workers=1, megapixels_at_once=megapixels).model_dump()
    encoding = {"precision": precision, "normalize_latents": normalize}
    return Config.model_validate({"encode_video": encoding, "compute": compute})


def write_autoencoder(paths: Paths, seed: int = 0, mean: float = 0.5) -> None:
    """An untrained one in its place, with this mean for each channel."""
    torch.manual_seed(seed)
    statistics = LatentStatistics(torch.full((4,), mean), torch.tensor([1.0, 2.0, 3.0, 4.0]), 100)
    save_autoencoder(paths.autoencoder, CausalAutoencoder(AUTOENCODER), statistics)


def make_video_project(root: Path) -> Paths:
    """Clips and an autoencoder under ``root``."""
    paths = Paths(root)
    write_clips(paths.clips)
    write_autoencoder(paths)
    return paths
