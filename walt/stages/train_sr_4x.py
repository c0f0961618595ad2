"""Stage train-sr-4x: pairs of latents and text -> the second super-resolution transformer, to 4 times the base's."""

from __future__ import annotations

from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.left_out import leave_out
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
    sr_4x: TransformerConfig | None
    train_sr_4x: DiffusionTrainingConfig | None
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Train, publish and register ``models/sr-4x``; or leave it out."""
    if config.sr_4x is None or config.train_sr_4x is None:
        return leave_out(paths.sr_4x, "sr_4x")
    return train_transformer(
        name="train-sr-4x",
        code=code_digest(__name__),
        section="sr_4x",
        output=paths.sr_4x,
        architecture=config.sr_4x,
        training=config.train_sr_4x,
        diffusion=config.diffusion,
        seed=config.seed,
        compute=config.compute,
        tracking=config.tracking,
        paths=paths,
    )
