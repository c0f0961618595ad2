"""Tables whose stages only note that they were run: for tests of what is run, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from walt.commands.table import stage_folders
from walt.core.errors import StorageError
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import read_json, write_json
from walt.project.recorded_outputs import RECORD
from walt.project.registry import Stage
from walt.project.runner import PARAMS_FILE


@dataclass
class FakeStages:
    """Takes the place of ``run_stage``."""

    score: Callable[[dict[str, Any]], float] = lambda data: float(data["seed"])
    """The Frechet distance by the parameters that the stage ``evaluate`` gets."""
    fails: Callable[[Stage, dict[str, Any]], bool] = lambda stage, data: False
    """Whether a stage breaks off."""
    ran: list[str] = field(default_factory=list)
    """Name and folder of each run."""
    clips: str = "first"
    """What ingest makes."""

    def run(self, stage: Stage, root: Path) -> dict[str, Any]:
        """Check that the inputs are there, and leave outputs and the record that the real runner leaves last."""
        paths, data = Paths(root), read_json(root / PARAMS_FILE)
        self.ran.append(stage.name)
        for name in stage.inputs:
            assert (root / ARTIFACTS[name]).exists(), f"{stage.name} has no {name}"
        if self.fails(stage, data):
            raise StorageError(f"{stage.name}: the disk is full")
        for name in stage.outputs:
            (root / ARTIFACTS[name]).parent.mkdir(parents=True, exist_ok=True)
            (root / ARTIFACTS[name]).write_text(f"{name} {self.clips}")
        if stage.name == "evaluate":
            write_json(paths.evaluation, {"figures": self._figures(data)})
        write_json(paths.work(stage.name) / "result.json", {"psnr/video/32x32": 20.0 + data["seed"]})
        write_json(paths.work(stage.name) / RECORD, {"files": self.clips if stage.name == "ingest" else ""})
        return {}

    def _figures(self, data: dict[str, Any]) -> dict[str, Any]:
        latents = json.dumps(data["encode_video"]["normalize_latents"])
        loss = {"value": 0.5, "conditions": {"held-out clips": latents}}
        distance = {"value": self.score(data), "conditions": {"sampling": json.dumps(data["diffusion"])}}
        return {"held_out_loss/base": loss, "frechet_distance/random_network": distance}

    def count(self, name: str) -> int:
        """How often a stage was run."""
        return self.ran.count(name)


def use_fake_stages(monkeypatch: pytest.MonkeyPatch, stages: FakeStages) -> None:
    """From now on."""
    monkeypatch.setattr(stage_folders, "run_stage", stages.run)
    monkeypatch.setattr(stage_folders, "prepare", lambda *_: "")
