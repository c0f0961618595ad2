"""Stage train-base: latents and text -> the base transformer."""

from __future__ import annotations

from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.paths import Paths
from walt.diffusion.config import DiffusionConfig
from walt.project.code_identity import code_digest
from walt.stages.train_transformer import train_transformer
from walt.tracking.config import TrackingConfig
from walt.training.config import DiffusionTrainingConfig
from walt.transformer.config import TransformerConfig


class Config(Section):
    """What this stage reads of ``params.yaml``."""

    seed: int
    diffusion: DiffusionConfig
    base: TransformerConfig
    train_base: DiffusionTrainingConfig
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Train, publish and register ``models/base``."""
    return train_transformer(
        name="train-base",
        code=code_digest(__name__),
        section="base",
        output=paths.base,
        architecture=config.base,
        training=config.train_base,
        diffusion=config.diffusion,
        seed=config.seed,
        compute=config.compute,
        tracking=config.tracking,
        paths=paths,
    )
