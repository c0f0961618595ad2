"""Stage finetune-aspect: the base transformer goes on at another shape of pictures (paper, Table 6)."""

from __future__ import annotations

from typing import Any

from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.diffusion.config import DiffusionConfig
from walt.nn.pretrained import load_config
from walt.project.code_identity import code_digest
from walt.stages.train_transformer import train_transformer
from walt.tracking.config import TrackingConfig
from walt.training.config import DiffusionTrainingConfig
from walt.transformer.config import AspectConfig, TransformerConfig


class Config(Section):
    """What this stage reads of ``params.yaml``."""

    seed: int
    diffusion: DiffusionConfig
    aspect: AspectConfig | None
    finetune_aspect: DiffusionTrainingConfig | None
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Train, publish and register ``models/aspect``; or leave it out."""
    if config.aspect is None or config.finetune_aspect is None:
        return leave_out(paths.aspect, "aspect")
    return train_transformer(
        name="finetune-aspect",
        code=code_digest(__name__),
        section="aspect",
        output=paths.aspect,
        architecture=config.aspect.of(load_config(paths.base, TransformerConfig)),
        training=config.finetune_aspect,
        diffusion=config.diffusion,
        seed=config.seed,
        compute=config.compute,
        tracking=config.tracking,
        paths=paths,
        start_from=paths.base,
    )
