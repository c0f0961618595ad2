"""Trainings of the tiny models that are looked at, and what was seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.ranks_project import parameters
from tests.support.tiny_clips import ROWS as CLIPS
from tests.support.tiny_clips import clip_row, write_clips
from tests.support.tiny_latents import ROWS as LATENTS
from tests.support.tiny_latents import write_latents
from tests.support.tiny_models import write_models
from walt.core.config import parse_section
from walt.core.paths import Paths
from walt.project.in_process import run_here
from walt.project.params import Params
from walt.project.registry import get_stage
from walt.stages import train_autoencoder, train_transformer

VALIDATION = {"every": 2, "clips": 3, "samples": 2}
HELD_OUT = tuple(clip_row(f"v{number}", "video", "held_out", 0) for number in range(6, 9))


class Recorder:
    """Takes the place of an MLflow run."""

    def __init__(self, keep: Path) -> None:
        self.keep = keep
        self.curves: dict[str, dict[int, float]] = {}
        self.pictures: list[tuple[str, int]] = []

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.curves.setdefault(name, {})[step] = value

    def log_artifact(self, path: Path, folder: str = "") -> None:
        shutil.copytree(path, self.keep / folder)

    def log_picture(self, path: Path, name: str, step: int) -> None:
        assert path.suffix == ".png"
        self.pictures.append((name, step))

    def register_model(self, folder: Path, name: str) -> None:
        """Nothing."""


def train(
    stage: str,
    root: Path,
    replace: Callable[[Any, str, Any], object],
    validation: dict[str, Any] | None,
    compute: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> Recorder:
    """Run a stage that trains as the runner does; ``replace`` puts a recorder in the place of a run of MLflow."""
    recorder = Recorder(root / "artifacts")

    @contextmanager
    def start_run(*_: object, **__: object) -> Iterator[Recorder]:
        yield recorder

    for module in (train_transformer, train_autoencoder):
        replace(module, "start_run", start_run)
    section = stage.replace("-", "_")
    values = parameters(**{section: {"validation": validation, **more}}, compute=compute)
    run_here(get_stage(stage), parse_section(values, Params, "params.yaml"), root)
    return recorder


def write_project(root: Path) -> Paths:
    write_clips(root / "data/clips", (*CLIPS, clip_row("v5", "video", "held_out", 1)))
    write_latents(root / "data", (*LATENTS, *HELD_OUT))
    write_models(root)
    return Paths(root)


Curves = dict[str, dict[int, float]]


def trained_on_ranks(stage: str, root: Path, sharding: str) -> list[Curves]:
    """The curves that this rank wrote in a training that was looked at, and in one that was not: in the projects
    ``with`` and ``without`` under ``root``."""
    found = []
    for name, validation in (("with", VALIDATION), ("without", None)):
        if validation and stage != "train-autoencoder":
            validation = {**validation, "sampling_steps": 2}
        # the tiny models have one stack of images a batch, which two ranks do not share equally
        more = {"image_fraction": 0.25} if stage != "train-autoencoder" else {}
        compute = {"sharding": sharding, "devices": 2}
        found.append(train(stage, root / name, setattr, validation, compute, **more).curves)
    return found
