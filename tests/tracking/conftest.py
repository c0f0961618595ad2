from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG
from walt.core.storage import write_bytes
from walt.tracking.server import connect


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database takes seconds; a copy of one takes none."""
    root = tmp_path_factory.mktemp("mlflow")
    connect(CONFIG.model_copy(update={"experiment": "unused"}), root)
    return root / "mlflow.db"


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
