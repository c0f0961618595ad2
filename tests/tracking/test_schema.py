"""An MLflow database of another version is named at once, with what to do, by whatever connects to it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG, set_version
from tests.support.warm import WarmCommand
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


@pytest.fixture
def of_mlflow_2(tmp_path: Path) -> Path:
    """A database as MLflow 2.22 leaves it, by MLflow's own migrations, with one run."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    database = tmp_path / "mlflow.db"
    engine = create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    command.upgrade(_get_alembic_config(f"sqlite:///{database}"), "0584bdc529eb")
    engine.dispose()
    with closing(sqlite3.connect(database)) as connection, connection:
        assert not connection.execute("SELECT name FROM sqlite_master WHERE name = 'logged_models'").fetchall()
        place = (tmp_path / "elsewhere/mlartifacts").as_uri()
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (1, 'walt', ?, 'active')", (place,),
        )  # fmt: skip
        connection.execute(
            "INSERT INTO runs "
            "(run_uuid, name, user_id, experiment_id, status, lifecycle_stage, artifact_uri, start_time, end_time) "
            "VALUES ('0123', 'train-base', 'me', 1, 'FINISHED', 'active', ?, 1, 2)", (f"{place}/0123/artifacts",),
        )  # fmt: skip
    return database


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_database_of_mlflow_2_is_refused_as_it_is_and_works_after_its_upgrade(
    of_mlflow_2: Path, warm_walt: WarmCommand
) -> None:
    """It lacks tables, which MLflow would add without asking. The project was moved, too."""
    root = of_mlflow_2.parent
    (root / "mlartifacts").mkdir()
    before = of_mlflow_2.read_bytes()
    with pytest.raises(ConfigurationError, match=r"copy it, then `mlflow db upgrade sqlite:///.*mlflow.db`"):
        server.connect(CONFIG, root)
    assert of_mlflow_2.read_bytes() == before
    command = [str(warm_walt.python), "-m", "mlflow", "db", "upgrade", f"sqlite:///{of_mlflow_2}"]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    connection = server.connect(CONFIG, root)
    (run,) = connection.client.search_runs([connection.experiment_id])
    assert (run.info.run_id, run.info.artifact_uri) == ("0123", f"{(root / 'mlartifacts').as_uri()}/0123/artifacts")


@pytest.mark.slow
def test_one_without_runs_whose_making_was_cut_short_is_gone_on_with(of_mlflow_2: Path) -> None:
    with closing(sqlite3.connect(of_mlflow_2)) as connection, connection:
        connection.execute("DELETE FROM runs")
    assert server.connect(CONFIG, of_mlflow_2.parent).client.search_runs(["1"]) == []


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
