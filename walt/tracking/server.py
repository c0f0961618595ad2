"""The connection to MLflow: where it is, what its failures mean, and its runs, versions, inputs and pictures.

MLflow is imported inside ``connect``: it takes seconds, and must see the environment's settings first.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import warnings
from collections.abc import Iterator
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
from walt.tracking.spool import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_TAG = "walt.digest"
"""On a model version: the hash of its files. The same files are registered once."""

MODEL_TAG = "walt.model_id"
"""On a model version: MLflow's id of the logged model that holds the files."""

_SPOOL_TAG = "walt.spool"
_PARAMS_A_REQUEST, _PARAM_CHARACTERS = 100, 6000  # MLflow's limits
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


def create_run(connection: Connection, record: Record, spool_name: str | None = None) -> str:
    """Make the run that a ``run`` record describes, or find it where it was made from this spool before; its id."""
    client = connection.client
    tags = dict(record["tags"])
    if spool_name is not None:
        tags[_SPOOL_TAG] = spool_name
        if found := run_of_spool(connection, spool_name):
            return found
    run = client.create_run(
        connection.experiment_id, start_time=record["timestamp"], tags=tags, run_name=record["name"]
    )  # fmt: skip
    run_id = str(run.info.run_id)
    _log_params(client, run_id, record["params"])
    log_inputs(client, run_id, record["inputs"], "evaluation" if record["name"] == "evaluate" else "training")
    return run_id


def run_of_spool(connection: Connection, name: str | None) -> str | None:
    """The run that was made from this spool; None where there is none."""
    query = f"tags.`{_SPOOL_TAG}` = '{name}'"
    found = connection.client.search_runs([connection.experiment_id], query, max_results=1) if name else []
    return str(found[0].info.run_id) if found else None


def reopen_run(connection: Connection, run_id: str, tags: dict[str, str]) -> bool:
    """Reopen a run that was cut off, with the tags of this start; False where it was deleted since."""
    if not is_there(connection, run_id):
        return False
    known = connection.client.get_run(run_id).data.tags
    for name, value in tags.items():
        if known.get(name) != value:
            connection.client.set_tag(run_id, name, value)
    connection.client.update_run(run_id, status="RUNNING")
    return True


def close_run(connection: Connection, run_id: str, timestamp: int) -> None:
    """Mark a run whose process was killed, and that will not continue, as KILLED; one that ended is left alone."""
    if is_there(connection, run_id) and connection.client.get_run(run_id).info.status == "RUNNING":
        connection.client.set_terminated(run_id, "KILLED", end_time=timestamp)


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over the names and bytes of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_json({path.relative_to(folder).as_posix(): sha256_file(path) for path in files})


def find_version(connection: Connection, name: str, digest: str) -> str | None:
    """The version of a registered model whose files have this digest."""
    found = connection.client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
    return str(max(found, key=lambda version: int(version.version)).version) if found else None


def register(connection: Connection, run_id: str | None, folder: Path, name: str) -> str:
    """Store a folder of safetensors and JSON as the next version of ``<prefix>-<name>``, once; the version's number.

    No pickled flavour: MLflow keeps the files as they are.
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
        tags={DIGEST_TAG: digest, MODEL_TAG: model.model_id},
        # a server asks for the run or the model that holds the files; a database without a run would look for the model
        # in MLflow's global store instead of this client's
        model_id=model.model_id if run_id or connection.uri.startswith("http") else None,
        await_creation_for=0,  # it is there at once; only Databricks' registry takes time
    )
    link = json.dumps([{"name": full_name, "version": registered.version}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
    return str(registered.version)


def is_there(connection: Connection, run_id: str) -> bool:
    """Whether there is such a run, and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        return str(connection.client.get_run(run_id).info.lifecycle_stage) == "active"
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def _log_params(client: MlflowClient, run_id: str, params: dict[str, Any]) -> None:
    from mlflow.entities import Param

    entries = [Param(key, str(value)[:_PARAM_CHARACTERS]) for key, value in _flat(params)]
    for start in range(0, len(entries), _PARAMS_A_REQUEST):
        client.log_batch(run_id, params=entries[start : start + _PARAMS_A_REQUEST])


def log_missing_params(connection: Connection, run_id: str, params: dict[str, Any]) -> None:
    """Add those parameters that a run does not have: MLflow lets none be changed."""
    present = connection.client.get_run(run_id).data.params
    _log_params(connection.client, run_id, {key: value for key, value in _flat(params) if key not in present})


def log_inputs(client: MlflowClient, run_id: str, inputs: dict[str, str], context: str) -> None:
    """Link the data that the run reads: MLflow's page shows each with its hash, and with what it was used for."""
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    datasets = []
    for path, digest in inputs.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two kinds of source take a local path; they are the same class
            source = resolve_dataset_source(path)
        # MLflow takes at most 36 characters of a digest; the run's tag has all of it
        dataset = MetaDataset(source, name=path, digest=digest[:36])  # type: ignore[abstract]
        datasets.append(
            DatasetInput(
                dataset._to_mlflow_entity(),
                [InputTag("mlflow.data.context", context)],
            )
        )
    if datasets:
        client.log_inputs(run_id, datasets)


def log_picture(client: MlflowClient, run_id: str, path: Path, name: str, step: int, timestamp: int) -> None:
    """Add a PNG to the run's pictures of that name, which MLflow shows by step, and side by side for several runs;
    nothing where there is one of that step.

    Args:
        name: of letters, digits, ``_-./`` and spaces.
    """
    from PIL import Image

    begins = f"images/{name.replace('/', '~')}+step+{step}+"
    if any(file.path.startswith(begins) for file in client.list_artifacts(run_id, "images")):
        return
    with Image.open(path) as picture:
        client.log_image(run_id, picture, key=name, step=step, timestamp=timestamp, synchronous=True)


def _flat(params: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested sections as dotted names: ``optimizer.learning_rate``."""
    entries: list[tuple[str, Any]] = []
    for key, value in params.items():
        if isinstance(value, dict):
            entries += _flat(value, f"{prefix}{key}.")
        else:
            entries.append((f"{prefix}{key}", value))
    return entries


def _first_line(error: Exception) -> str:
    text = (
        (in_words(error) if isinstance(error, OSError) else str(error)).strip() or type(error).__name__
    ).splitlines()[0]
    return text if len(text) <= 300 else text[:297] + "..."
