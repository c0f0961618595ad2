from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from walt.core.storage import write_bytes


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    """A project with an empty MLflow database."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """``model("base", b"weights")``: a folder of safetensors and JSON with that content."""

    def make(name: str, weights: bytes) -> Path:
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "model.safetensors", weights)  # replaced, as everywhere: never changed in place
        (folder / "config.json").write_text("{}")
        return folder

    return make
