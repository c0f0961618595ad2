"""Tiny projects whose models can be exported, and a process without ``walt`` that loads what was exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.tiny_models import BASE, SUPER_RESOLUTION, drawn, write_models
from walt.core.paths import Paths
from walt.project.recipes import recipe_text
from walt.transformer.model import WaltTransformer, save_transformer

REPOSITORY = Path(__file__).resolve().parents[2]
FRAMES = {"frame_prediction": True, "spatiotemporal_window": (5, 2, 2), "latent_grid": (5, 2, 2)}
CLASSES = {"conditioning": "class", "num_classes": 3, "text_width": None, "cross_attention": None}

_ELSEWHERE = """
import json, sys
sys.modules["walt"] = None  # importing it fails

import numpy as np
from diffusers import DiffusionPipeline
from PIL import Image

def given(value):
    if not isinstance(value, dict):
        return value
    return np.load(value["file"]) if value["file"].endswith(".npy") else Image.open(value["file"])

for request in json.loads(sys.argv[1]):
    pipeline = DiffusionPipeline.from_pretrained(request["folder"], trust_remote_code=True)
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline(**{name: given(value) for name, value in request["call"].items()}).frames
    if request["call"].get("output_type", "pil") == "pil":
        frames = [[np.asarray(picture) for picture in video] for video in frames]
    np.save(request["out"], np.asarray(frames))
"""


def write_project(root: Path, base: dict[str, Any] | None = None, high: dict[str, Any] | None = None) -> Path:
    """A project of a few thousand weights, untrained; ``base`` and ``high`` change the two transformers' settings."""
    (root / "datasets").mkdir(parents=True)
    (root / "params.yaml").write_text(recipe_text("tiny"), encoding="utf-8")
    shutil.copy(REPOSITORY / "datasets/shapes-few.yaml", root / "datasets")
    write_models(root)
    if base:
        save_transformer(Paths(root).base, drawn(WaltTransformer(BASE.model_copy(update=base)), 2))
    if high:
        save_transformer(Paths(root).sr_2x, drawn(WaltTransformer(SUPER_RESOLUTION.model_copy(update=high)), 3))
    return root


def frames_elsewhere(
    scratch: Path, *calls: tuple[Path | str, dict[str, Any]], **environment: str
) -> list[NDArray[Any]]:
    """What diffusers makes of folders (or names at an endpoint) in one process that cannot import ``walt``: the frames
    of each call. A path in a call is that of a picture, or of an array with the frames of a video (``.npy``)."""
    requests = [
        {"folder": str(folder), "call": _as_json(call), "out": str(scratch / f"{number}.npy")}
        for number, (folder, call) in enumerate(calls)
    ]
    own = {"HF_HOME": str(scratch / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _ELSEWHERE, json.dumps(requests)],
        check=False, capture_output=True, text=True, cwd=scratch, env={**os.environ, **own, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [np.load(request["out"]) for request in requests]


def _as_json(call: dict[str, Any]) -> dict[str, Any]:
    return {name: {"file": str(value)} if isinstance(value, Path) else value for name, value in call.items()}


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }
