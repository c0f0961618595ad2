"""Stage train-sr-2x: pairs of latents and text -> the first super-resolution transformer, to twice the base's side."""

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
    sr_2x: TransformerConfig | None
    train_sr_2x: DiffusionTrainingConfig | None
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Train, publish and register ``models/sr-2x``; or leave it out."""
    if config.sr_2x is None or config.train_sr_2x is None:
        return leave_out(paths.sr_2x, "sr_2x")
    return train_transformer(
        name="train-sr-2x",
        code=code_digest(__name__),
        section="sr_2x",
        output=paths.sr_2x,
        architecture=config.sr_2x,
        training=config.train_sr_2x,
        diffusion=config.diffusion,
        seed=config.seed,
        compute=config.compute,
        tracking=config.tracking,
        paths=paths,
    )
