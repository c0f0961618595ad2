"""Where the tests' runs are tracked: one for processes that a test starts, too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.memory_folder import folder_of_run
from walt.tracking import schema
from walt.tracking.config import TrackingConfig
from walt.tracking.lineage import TAKEDOWN_TAG
from walt.tracking.server import connect

CONFIG = TrackingConfig(uri="sqlite:///mlflow.db", experiment="walt", model_prefix="walt", system_metrics=False)
DOWN = CONFIG.model_copy(update={"uri": "http://127.0.0.1:9"})  # the discard port: nobody listens


@pytest.fixture
def mlflow_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is not asked again after pauses."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database takes seconds; a copy of one takes none. The processes of a test run share it."""
    kept = folder_of_run(tmp_path_factory) / "mlflow-empty.db"
    if not kept.is_file():
        root = tmp_path_factory.mktemp("mlflow")
        connect(CONFIG.model_copy(update={"experiment": "unused"}), root)
        (root / "mlflow.db").replace(kept)
    return kept


def client_of(root: Path) -> MlflowClient:
    """Of the project's database."""
    return connect(CONFIG, root).client


def runs_of(root: Path) -> list[Run]:
    """All runs of the project, the newest first."""
    connection = connect(CONFIG, root)
    return list(connection.client.search_runs([connection.experiment_id]))


def tag_taken_down(root: Path, name: str, version: str, sources: str = "abc,def") -> None:
    """Note on a model version, as ``walt takedown`` does, that these sources were taken down."""
    connect(CONFIG, root).client.set_model_version_tag(name, version, TAKEDOWN_TAG, sources)


def set_version(database: Path, which: str) -> None:
    """Have a database say that an ``older`` or a ``newer`` MLflow made it."""
    known, newest = schema._versions()
    version = {"older": min(known - {newest}), "newer": "0123456789ab"}[which]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
