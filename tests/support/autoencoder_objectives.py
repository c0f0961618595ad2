"""The autoencoder's step on tiny models, with all the terms of the paper or some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.support.pretrained import write_resnet
from tests.support.tiny_clips import write_clips
from tests.support.tiny_models import AUTOENCODER
from tests.support.trainings import NO_TERMS, autoencoder_training
from walt.autoencoder.config import DiscriminatorConfig
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual import PerceptualNetwork
from walt.core.paths import Paths
from walt.training.autoencoder_config import AutoencoderLossConfig, AutoencoderTrainingConfig
from walt.training.autoencoder_objective import AutoencoderObjective

DISCRIMINATOR = DiscriminatorConfig(base_channels=2, channel_multipliers=(2, 2))
PAPER = {"reconstruction": 5.0, "adversarial": 0.1, "lecam": 0.001, "r1": 10.0}


def training(loss: dict[str, float], **changes: Any) -> AutoencoderTrainingConfig:
    """A section with these weights and no others, and the networks that they need."""
    networks = {
        "discriminator": DISCRIMINATOR if loss.get("adversarial") else None,
        "perceptual_network": "resnet" if loss.get("perceptual") else None,
    }
    return autoencoder_training(loss=AutoencoderLossConfig(**{**NO_TERMS, **loss}), **networks, **changes)


def objective(root: Path, config: AutoencoderTrainingConfig) -> AutoencoderObjective:
    if not (root / "data/clips").is_dir():
        write_clips(root / "data/clips")
    torch.manual_seed(0)
    model = CausalAutoencoder(AUTOENCODER)
    discriminator = Discriminator(config.discriminator) if config.discriminator else None
    perceptual = PerceptualNetwork(write_resnet(root / "resnet")) if config.perceptual_network else None
    return AutoencoderObjective(model, config, Paths(root), 0, discriminator, perceptual)
