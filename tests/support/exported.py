"""Tiny projects whose models can be exported, and a process without ``walt`` that loads what was exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

for line in sys.stdin:
    request = json.loads(line)
    pipeline = DiffusionPipeline.from_pretrained(request["folder"], trust_remote_code=True)
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline(**{name: given(value) for name, value in request["call"].items()}).frames
    if request["call"].get("output_type", "pil") == "pil":
        frames = [[np.asarray(picture) for picture in video] for video in frames]
    np.save(request["out"], np.asarray(frames))
    sys.__stdout__.write(request["out"] + "\\n")
    sys.__stdout__.flush()
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


class Elsewhere:
    """A process that cannot import ``walt``, in which diffusers loads folders. Made by ``elsewhere``."""

    def __init__(self, process: subprocess.Popen[str], scratch: Path) -> None:
        self._process, self._scratch, self._count = process, scratch, 0

    def frames(self, folder: Path | str, call: dict[str, Any]) -> NDArray[Any]:
        """What diffusers makes of a folder (or a name at an endpoint): the frames of a call. A path in the call is that
        of a picture, or of an array with the frames of a video (``.npy``)."""
        assert self._process.stdin
        assert self._process.stdout
        self._count += 1
        out = str(self._scratch / f"{self._count}.npy")
        self._process.stdin.write(json.dumps({"folder": str(folder), "call": _as_json(call), "out": out}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:  # libraries may print, too
            if line == f"{out}\n":
                return np.load(out)  # type: ignore[no-any-return]
        raise AssertionError((self._scratch / "errors").read_text(encoding="utf-8"))


@contextmanager
def elsewhere(scratch: Path, **environment: str) -> Iterator[Elsewhere]:
    """Such a process; it imports diffusers once, for seconds."""
    own = {"HF_HOME": str(scratch / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    with (
        open(scratch / "errors", "w", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-P", "-c", _ELSEWHERE], cwd=scratch, env={**os.environ, **own, **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdin
        yield Elsewhere(process, scratch)
        process.stdin.close()


def frames_elsewhere(
    scratch: Path, *calls: tuple[Path | str, dict[str, Any]], **environment: str
) -> list[NDArray[Any]]:
    """The frames of each call, of one such process."""
    with elsewhere(scratch, **environment) as process:
        return [process.frames(folder, call) for folder, call in calls]


def _as_json(call: dict[str, Any]) -> dict[str, Any]:
    return {name: {"file": str(value)} if isinstance(value, Path) else value for name, value in call.items()}


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }
