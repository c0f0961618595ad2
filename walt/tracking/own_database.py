"""MLflow's database where it is a file of the project: made by one process, and its paths follow the project.

MLflow makes its tables without asking whether another process is making them too, and keeps the place of every artifact
as a whole path (MLflow 3.17): a project that was copied would write into the one that it was copied from.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from walt.core.log import info
from walt.tracking import schema

_PREFIX = "sqlite:///"
_ARTIFACTS = "mlartifacts"
_PATIENCE_SECONDS = 120.0
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns in which MLflow keeps where artifacts are."""


def artifacts_here(root: Path) -> str:
    """Where the artifacts of a project without a tracking server are, as MLflow writes it."""
    return (root / _ARTIFACTS).resolve().as_uri()


def has_begun(uri: str) -> bool:
    """Whether there may be something to read, so that who only reads need not make a database.

    False: it would be a file, and that is not there.

    Args:
        uri: resolved, as ``server.resolve_uri`` gives it.
    """
    return not uri.startswith(_PREFIX) or Path(uri.removeprefix(_PREFIX)).is_file()


@contextmanager
def prepared(uri: str, root: Path, experiment: str) -> Iterator[None]:
    """While the block connects for the first time, no other process does; before it, a database of another version is
    refused, and the paths in one that is in the project are brought up to date.

    Tracking servers look after their databases themselves.

    Args:
        uri: resolved, as ``server.resolve_uri`` gives it.
        experiment: whose artifacts are in the project.

    Raises:
        ConfigurationError: another version of MLflow made the database.
        TimeoutError: another process connects, and does not come to an end.
    """
    if not uri.startswith(_PREFIX):
        if not uri.startswith("http"):
            schema.check(uri)
        yield
        return
    file = Path(uri.removeprefix(_PREFIX))
    with _alone(file.with_name(f"{file.name}.lock")):
        schema.check(uri)
        if file.is_file() and file.resolve().is_relative_to(root.resolve()):  # others may be of several projects
            _follow(file, root, experiment)
        yield


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with open(path, "a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path}: held by another process for {_PATIENCE_SECONDS:.0f} s") from None
                time.sleep(0.05)
        yield


def _follow(file: Path, root: Path, experiment: str) -> None:
    """Where the project was copied or moved: have the database name the artifacts that lie beside it.

    Artifacts that were not copied along stay where they are; new ones come here.
    """
    here = artifacts_here(root)
    with closing(sqlite3.connect(file, timeout=_PATIENCE_SECONDS)) as database:
        try:
            query = "SELECT artifact_location FROM experiments WHERE name = ?"
            found = database.execute(query, (experiment,)).fetchone()
        except sqlite3.Error:  # no tables yet: MLflow makes them, or says what is wrong
            return
        before = found[0] if found else here
        if before == here or not str(before).endswith(f"/{_ARTIFACTS}"):
            return
        came_along = (root / _ARTIFACTS).is_dir()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        with database:
            for table, column in _PLACES if came_along else _PLACES[:1]:
                if table not in tables:  # its making was cut short
                    continue
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (here, len(before) + 1, before, len(before) + 1, f"{before}/"),
                )
    info(f"tracking: the project was {Path(before.removeprefix('file://')).parent} before; MLflow's paths follow it")
