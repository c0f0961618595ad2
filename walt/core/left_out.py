"""Artefacts of stages that a project leaves out: a folder with a note that says so, no numbers and no curve.

A parameter file may set a whole model to null: the class-conditional recipes have no text, most have no second
super-resolution model. Their stages still run, so that the pipeline is always the same, and publish such a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from walt.core.log import info
from walt.core.storage import atomic_directory, write_json

NOTE = "left-out.json"
METRICS_FILE, HISTORY_FILE = "metrics.json", "history.json"
"""What a training leaves beside a model's weights: its figures, and what it logged, step by step."""


def leave_out(folder: Path, key: str) -> dict[str, Any]:
    """Publish ``folder`` as left out, since ``key`` of ``params.yaml`` is null. Returns the stage's figures."""
    with atomic_directory(folder) as temporary:
        write_json(temporary / NOTE, {"left_out": f"{key} is null in params.yaml"})
        write_json(temporary / METRICS_FILE, {})  # `dvc metrics` and `dvc plots` ask for them
        write_json(temporary / HISTORY_FILE, [])
    info(f"{key} is null in params.yaml: nothing to do")
    return {"left_out": key}


def is_left_out(folder: Path) -> bool:
    """Whether the artefact's stage had nothing to do."""
    return (folder / NOTE).is_file()
