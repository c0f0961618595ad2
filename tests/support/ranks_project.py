"""A project of clips, latents and text that are as small as they can be, whose stages run on several devices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from tests.support.forked_stages import ForkedStage
from tests.support.settings import recipe
from tests.support.tiny_clips import write_clips
from tests.support.tiny_latents import write_latents
from tests.support.waiting import SECONDS
from walt.core.config import parse_section
from walt.project.params import Params

ROOT = Path(__file__).resolve().parents[2]


def parameters(**changes: Any) -> dict[str, Any]:
    """The whole of ``params.yaml``; ``changes`` are of sections, key by key: ``train_base={"steps": 3}``."""
    values = recipe().model_dump(mode="json")
    clips = {"num_frames": 5, "sizes": [[16, 16], [32, 32]]}
    window = {"spatial_window": [1, 2, 2], "spatiotemporal_window": [2, 2, 2]}
    base = {"resolution": [16, 16], "latent_grid": [2, 2, 2], "latent_channels": 4, **window}
    finer = {"resolution": [32, 32], "latent_grid": [2, 4, 4], "latent_channels": 4, **window}
    forms = [
        {"resolution": [16, 16], "num_frames": 5, "batch_size": 4, "weight": 1.0},
        {"resolution": [32, 32], "num_frames": 1, "batch_size": 4, "weight": 1.0},
    ]
    smallest: dict[str, dict[str, Any]] = {
        "ingest": clips,
        "autoencoder": {
            "patch_size": 1, "channel_multipliers": [1, 1, 1, 1], "temporal_downsample": [False, True, True],
            "latent_channels": 4, "groups": 2,
        },
        "train_autoencoder": {"forms": forms, "steps": 4, "checkpoint_every": 1, "log_every": 1},
        "base": base,
        "sr_2x": finer,
        "train_base": {"batch_size": 8, "checkpoint_every": 1, "log_every": 1},
        "train_sr_2x": {"batch_size": 8, "checkpoint_every": 1, "log_every": 1},
        "text": {"max_tokens": 8},
        "compute": {"device": "cpu", "devices": 1},
    }  # fmt: skip
    for more in (smallest, changes):
        for section, keys in more.items():
            values[section] = {**values[section], **keys}
    values |= dict.fromkeys(("aspect", "finetune_aspect", "sr_4x", "train_sr_4x"))
    parse_section(values, Params, "params.yaml")
    return values


def write_project(root: Path, database: Path, **changes: Any) -> Path:
    """Clips, latents, text and parameters of a project at ``root``.

    ``database`` is an empty one of MLflow, which takes seconds to make, and longer beside other processes.
    """
    write_clips(root / "data/clips")
    shutil.copy(database, root / "mlflow.db")
    write_latents(root / "data")
    set_parameters(root, **changes)
    return root


def set_parameters(root: Path, **changes: Any) -> None:
    """Write ``params.yaml``, which may be JSON."""
    (root / "params.yaml").write_text(json.dumps(parameters(**changes)), encoding="utf-8")


def start(root: Path, stage: str, *options: str) -> subprocess.Popen[str]:
    """Start ``walt STAGE`` as a person would; both outputs are pipes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "walt.cli", stage, *options]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def weights(folder: Path) -> dict[str, Tensor]:
    """A published model's weights."""
    return load_file(folder / "model.safetensors")


def steps_saved(work: Path) -> list[int]:
    """Steps of the checkpoints in ``work/<stage>``."""
    names = (folder.name.removeprefix("step-") for folder in work.glob("step-*"))
    return sorted(int(name) for name in names if name.isdigit())


def wait_for(process: subprocess.Popen[str] | ForkedStage, condition: Callable[[], object]) -> None:
    """Wait until something is so; the process must not end before."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
