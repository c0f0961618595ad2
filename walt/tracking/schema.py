"""Which version an MLflow database has: MLflow works only with its own, and upgrades none by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from walt.core.errors import ConfigurationError, StorageError
from walt.core.secrets import without_secrets

_MIGRATIONS = Path("store/db_migrations/versions")
_REVISION = re.compile(r"^(down_)?revision(?:: [^=]*)? = [\"']?(\w+)", re.MULTILINE)
_TABLE = "alembic_version"
_OTHER_VERSION = "out-of-date database schema"


@dataclass(frozen=True)
class Database:
    """What is in a database that may be MLflow's."""

    uri: str
    version: str | None
    """Of its tables; None where MLflow has made none."""
    runs: int

    @property
    def advice(self) -> str | None:
        """What has to be done before the installed MLflow works with it; None: nothing."""
        known, newest = _versions()
        if self.version in (None, newest):
            return None
        if self.version not in known:
            return f"a newer MLflow made it (version {self.version}): install that one"
        keep = "copy it" if self.uri.startswith("sqlite:") else "make a backup of it"
        return f"an older MLflow made it: {keep}, then `mlflow db upgrade {without_secrets(self.uri)}`"


def look(uri: str) -> Database:
    """Read what is there. A file is not made, nothing is written.

    Raises:
        StorageError: it cannot be read, or its driver is not installed.
    """
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.exc import SQLAlchemyError

    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return Database(uri, None, 0)
    try:
        engine = create_engine(uri)
        try:
            with engine.connect() as connection:
                tables = set(inspect(connection).get_table_names())
                version = (
                    connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar() if _TABLE in tables else None
                )
                runs = connection.execute(text("SELECT count(*) FROM runs")).scalar() if "runs" in tables else 0
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        line = without_secrets(str(error).strip().splitlines()[0])
        raise StorageError(f"{without_secrets(uri)}: {line}") from error
    return Database(uri, version, int(runs or 0))


def check(uri: str) -> None:
    """Raise ConfigurationError where another version of MLflow made a database and kept runs in it.

    MLflow refuses only one that has all its tables (``own_version``). One that lacks some, since it is older, it
    upgrades without a word (MLflow 3.17), and whoever uses it with the older version is refused from then on. One
    without runs may be a new one whose making was cut short: MLflow goes on with it.
    """
    try:
        found = look(uri)
    except StorageError:
        return  # MLflow says what is wrong
    if found.runs and found.advice is not None:
        raise ConfigurationError(f"tracking.uri: {without_secrets(uri)}: {found.advice}")


@contextmanager
def own_version(uri: str) -> Iterator[None]:
    """Raise ConfigurationError where MLflow says in the block that the database is none of its version: no repetition
    helps."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        advice = look(uri).advice if _OTHER_VERSION in str(error) else None
        if advice is None:
            raise
        raise ConfigurationError(f"tracking.uri: {without_secrets(uri)}: {advice}") from error


@cache
def _versions() -> tuple[frozenset[str], str]:
    """All versions that the installed MLflow knows, and its own. Its migrations are read as files, which takes
    milliseconds; to import them takes seconds."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    known, before = set[str](), set[str]()
    for file in (Path(spec.origin).parent / _MIGRATIONS).glob("*.py"):
        for down, version in _REVISION.findall(file.read_text(encoding="utf-8")):
            (before if down else known).add(version)
    [newest] = known - before
    return frozenset(known), newest
