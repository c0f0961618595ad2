"""The connection to MLflow: where it is, what its failures mean, and the model versions of its registry.

MLflow is imported inside ``connect``: it takes seconds, and must see the environment's settings first.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walt.core import environment
from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, StorageError, WaltError
from walt.core.storage import in_words
from walt.tracking import own_database, schema
from walt.tracking.config import TrackingConfig
from walt.tracking.experiments import lasting_root
from walt.tracking.paging import all_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_TAG = "walt.digest"
"""On a model version: the hash of its files. The same files are registered once."""

MODEL_TAG = "walt.model_id"
"""On a model version: MLflow's id of the logged model that holds the files."""

_VERSIONS_TAG = "mlflow.modelVersions"
_CALLER_ERRORS = (
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "INVALID_STATE",
    "RESOURCE_ALREADY_EXISTS",
    "NOT_FOUND",
    "RESOURCE_DOES_NOT_EXIST",
)


class UnreachableError(StorageError):
    """MLflow cannot be reached."""


class RefusedError(WaltError):
    """MLflow refuses a request: a name it does not allow, a run that was deleted."""


@dataclass(frozen=True)
class Connection:
    """A client, the experiment that runs go to, and the prefix of the registered models' names."""

    client: MlflowClient
    uri: str
    experiment_id: str
    model_prefix: str


def resolve_uri(uri: str, root: Path) -> str:
    """``sqlite:///mlflow.db`` is relative to the project, not to the current folder, and of a copy for an experiment to
    the project that it was made from; other URIs are left alone."""
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(prefix + "/"):
        return prefix + str((lasting_root(root) / uri.removeprefix(prefix)).resolve())
    return uri


def load(config: TrackingConfig) -> None:
    """Import what ``connect`` needs of MLflow, which takes seconds, while something else is waited for."""
    environment.set_defaults()
    import mlflow.tracking

    if not config.uri.startswith("http"):
        import mlflow.store.model_registry.sqlalchemy_store
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 a database is asked through these
        from sqlalchemy.orm import configure_mappers

        configure_mappers()


def connect(config: TrackingConfig, root: Path) -> Connection:
    """Connect, and make the database and the experiment where they do not exist yet.

    Raises:
        ConfigurationError: MLflow does not know this kind of URI, or another version of it made the database.
        TimeoutError: another process is at this, and does not come to an end.
    """
    environment.set_defaults()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database logs each of its 50 migrations
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    root = lasting_root(root)
    uri = resolve_uri(config.uri, root)
    if uri.partition(":")[0].split("+")[0] not in ("http", "https", "sqlite", "postgresql", "mysql", "mssql"):
        raise ConfigurationError(
            f"tracking.uri: '{config.uri}' is not an http(s) or database URI; try sqlite:///mlflow.db"
        )
    with own_database.prepared(uri, root, config.experiment), schema.own_version(uri):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return Connection(client, uri, _experiment_id(client, uri, config.experiment, root), config.model_prefix)


def _experiment_id(client: MlflowClient, uri: str, name: str, root: Path) -> str:
    """Of the experiment, which is made where there is none."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # a server chooses where files go; without one they are beside the database, in the project
        location = None if uri.startswith("http") else own_database.artifacts_here(root)
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # another machine was faster
            assert experiment is not None
    return str(experiment.experiment_id)


@contextmanager
def errors() -> Iterator[None]:
    """Sort MLflow's failures into two kinds.

    Raises:
        UnreachableError: MLflow does not answer, is busy for too long, or refuses the credentials.
        RefusedError: it answers that the request was wrong.
    """
    environment.set_defaults()
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        kind = RefusedError if error.error_code in _CALLER_ERRORS else UnreachableError
        raise kind(_first_line(error)) from error
    except (RequestException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise UnreachableError(_first_line(error)) from error


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over the names and bytes of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_json({path.relative_to(folder).as_posix(): sha256_file(path) for path in files})


def find_version(connection: Connection, name: str, digest: str) -> str | None:
    """The version of a registered model whose files have this digest."""
    query = f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'"
    found = [int(version.version) for version in all_of(connection.client.search_model_versions, query)]
    return str(max(found)) if found else None


def register(
    connection: Connection, run_id: str | None, folder: Path, name: str, tags: Mapping[str, str] | None = None
) -> str:
    """Store a folder of safetensors and JSON as the next version of ``<prefix>-<name>``, once; the version's number.

    No pickled flavour: MLflow keeps the files as they are.

    Args:
        tags: of the version, where it is a new one.
    """
    from mlflow.exceptions import MlflowException

    client, full_name = connection.client, f"{connection.model_prefix}-{name}"
    digest = folder_digest(folder)
    try:
        client.create_registered_model(full_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = find_version(connection, full_name, digest)
    if version is not None:
        _link(client, full_name, client.get_model_version(full_name, version))
        return version
    model = client.create_logged_model(
        connection.experiment_id,
        name=name,
        source_run_id=run_id,
        tags={DIGEST_TAG: digest},
        model_type="safetensors",
    )
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    registered = client.create_model_version(
        full_name,
        source=model.artifact_location,
        run_id=run_id,
        tags={**(tags or {}), DIGEST_TAG: digest, MODEL_TAG: model.model_id},
        # a server asks for the run or the model that holds the files; a database without a run would look for the model
        # in MLflow's global store instead of this client's
        model_id=model.model_id if run_id or connection.uri.startswith("http") else None,
        await_creation_for=0,  # it is there at once; only Databricks' registry takes time
    )
    _link(client, full_name, registered)
    return str(registered.version)


def _link(client: MlflowClient, full_name: str, version: Any) -> None:
    """Say on the logged model that holds a version's files which version that is; MLflow's page shows it."""
    model_id = version.tags.get(MODEL_TAG)
    if model_id is not None and _VERSIONS_TAG not in client.get_logged_model(model_id).tags:
        link = json.dumps([{"name": full_name, "version": version.version}])
        client.set_logged_model_tags(model_id, {_VERSIONS_TAG: link})


def _first_line(error: Exception) -> str:
    text = (
        (in_words(error) if isinstance(error, OSError) else str(error)).strip() or type(error).__name__
    ).splitlines()[0]
    return text if len(text) <= 300 else text[:297] + "..."
