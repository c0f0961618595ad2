"""A project with clips, latents, text and registered models whose runs keep what they were trained on."""

from __future__ import annotations

from pathlib import Path

from tests.support.tracking import CONFIG
from tests.support.verified_project import make_verified_project
from walt.core.paths import Paths
from walt.tracking.runs import start_run

MODELS = {"train-autoencoder": ("autoencoder", "models/autoencoder"), "train-base": ("base", "models/base")}


def register(paths: Paths, *stages: str) -> None:
    """Register the models that these stages published, each with a run as its training leaves one."""
    for stage in stages:
        name, folder = MODELS[stage]
        with start_run(CONFIG, paths.root, stage, {"seed": 3, "training": {"steps": 7}}, {}) as run:
            run.register_model(paths.root / folder, name)


def make_lineage_project(root: Path) -> Paths:
    """The project, with both models registered."""
    paths = make_verified_project(root)
    register(paths, *MODELS)
    return paths
