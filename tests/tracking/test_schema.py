"""An MLflow database of another version is named at once, with what to do, by whatever connects to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG, set_version
from walt.core.errors import ConfigurationError, StorageError
from walt.tracking import schema, server
from walt.tracking.runs import start_run


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))


def test_the_newest_version_is_that_of_a_new_database(database: Path) -> None:
    found = schema.look(f"sqlite:///{database}")
    assert found.version == schema._versions()[1]
    assert (found.advice, found.runs) == (None, 0)
    assert schema.look(f"sqlite:///{database}.none") == schema.Database(f"sqlite:///{database}.none", None, 0)
    assert not Path(f"{database}.none").exists()


@pytest.mark.parametrize(
    ("which", "advice"),
    [("older", "copy it, then `mlflow db upgrade sqlite:///"), ("newer", "a newer MLflow made it")],
)
def test_to_connect_is_refused_with_what_to_do(database: Path, which: str, advice: str) -> None:
    set_version(database, which)
    before = database.read_bytes()
    with pytest.raises(ConfigurationError, match=f"^tracking.uri: sqlite:///.*{advice}"), server.errors():
        server.connect(CONFIG, database.parent)
    assert database.read_bytes() == before


def test_a_stage_that_keeps_a_run_is_refused_before_it_begins(database: Path) -> None:
    set_version(database, "older")
    with (
        pytest.raises(ConfigurationError, match="mlflow db upgrade"),
        start_run(CONFIG, database.parent, "train-base", {}, {}),
    ):
        pytest.fail("it has begun")
    assert not (database.parent / "work/tracking").exists()


def test_what_cannot_be_read_is_said_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=r"mlflow.db: .*not a database"):
        schema.look(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(StorageError, match=r"^postgresql://\*\*\*@127.0.0.1:9/db: ") as refused:
        schema.look("postgresql://user:word@127.0.0.1:9/db")
    assert "word" not in str(refused.value)
