"""Runs as MLflow stores them: made once, reopened, closed; their parameters, inputs and pictures.

Each of these may be broken off, and completes what is there when it is done again.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walt.tracking.server import Connection
from walt.tracking.spool import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ORIGIN_TAG = "walt.origin"
_PARAMS_A_REQUEST, _PARAM_CHARACTERS = 100, 6000  # MLflow's limits


def create_run(connection: Connection, record: Record, origin: str) -> str:
    """Make the run that a ``run`` record describes, or find and complete it where that was broken off; its id.

    Args:
        origin: unique name of what the run is made of: a start of a stage, a spool. A tag of the run, so that it is
            made once.
    """
    run_id = run_of(connection, origin)
    if run_id is None:
        tags = {**record["tags"], _ORIGIN_TAG: origin}
        run = connection.client.create_run(
            connection.experiment_id, start_time=record["timestamp"], tags=tags, run_name=record["name"]
        )
        run_id = str(run.info.run_id)
    _log_causes(connection, run_id, record)
    return run_id


def run_of(connection: Connection, origin: str | None) -> str | None:
    """The run that was made of this; None where there is none."""
    query = f"tags.`{_ORIGIN_TAG}` = '{origin}'"
    found = connection.client.search_runs([connection.experiment_id], query, max_results=1) if origin else []
    return str(found[0].info.run_id) if found else None


def reopen_run(connection: Connection, run_id: str, record: Record) -> bool:
    """Reopen a run that was cut off, with the tags of this start's ``run`` record; False where it was deleted since."""
    if not is_there(connection, run_id):
        return False
    known = connection.client.get_run(run_id).data.tags
    for name, value in record["tags"].items():
        if known.get(name) != value:
            connection.client.set_tag(run_id, name, value)
    _log_causes(connection, run_id, record)
    connection.client.update_run(run_id, status="RUNNING")
    return True


def _log_causes(connection: Connection, run_id: str, record: Record) -> None:
    """Parameters and inputs of a ``run`` record, as far as the run has none of these names."""
    log_missing_params(connection, run_id, record["params"])
    context = "evaluation" if record["name"] == "evaluate" else "training"
    log_inputs(connection.client, run_id, record["inputs"], context)


def close_run(connection: Connection, run_id: str, timestamp: int) -> None:
    """Mark a run whose process was killed, and that will not continue, as KILLED; one that ended is left alone."""
    if is_there(connection, run_id) and connection.client.get_run(run_id).info.status == "RUNNING":
        connection.client.set_terminated(run_id, "KILLED", end_time=timestamp)


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
    files = [file.path for file in client.list_artifacts(run_id, "images") if file.path.startswith(begins)]
    if any(file.endswith(".webp") for file in files):  # the second of a picture's two
        client.set_tag(run_id, "mlflow.loggedImages", True)  # which is written last
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
