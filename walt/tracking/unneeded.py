"""What of MLflow's files in a project nothing needs any more, and what of DVC's cache promoted releases need.

``mlflow gc`` is not used: given some runs, it removes all deleted experiments and models as well (by the
source of MLflow 3.17).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from walt.tracking.paging import all_of
from walt.tracking.release_record import LOCK_FILE, releases_in
from walt.tracking.releases import MODEL_ARTIFACTS
from walt.tracking.server import Connection


def files_of_deleted_runs(connection: Connection, folder: Path) -> list[Path]:
    """Folders below ``folder`` with the files of runs that somebody deleted in MLflow, without those that a model's
    version may be asked for: of the run that made it, and of the one that has the files of its release."""
    from mlflow.entities import ViewType

    needed = {str(version.run_id) for version in _versions(connection) if version.run_id}
    needed |= {run for run, _ in _kept_with_releases(connection)}
    deleted = all_of(connection.client.search_runs, [connection.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    places = (_local(run.info.artifact_uri, folder) for run in deleted if run.info.run_id not in needed)
    return [place for place in places if place is not None]


def models_without_version(connection: Connection, folder: Path, settled_seconds: float) -> list[Path]:
    """Folders below ``folder`` with the files of models that no version is made of.

    Args:
        settled_seconds: how old one must be; a younger one may be about to be registered.
    """
    sources = (f"{one.source}/{getattr(one, 'storage_location', '')}" for one in _versions(connection))
    needed = {name for source in sources for name in source.split("/")}
    latest = time.time() - settled_seconds
    models = [path for path in sorted(folder.glob("models/m-*")) if path.stat().st_mtime < latest]
    return [path for path in models if path.name not in needed]


def fetch_locks(connection: Connection, target: Path) -> list[Path]:
    """Copy the ``dvc.lock`` of each release that has or had the alias into a folder of its own below ``target``."""
    from mlflow.artifacts import download_artifacts

    files = []
    for number, (run, place) in enumerate(_kept_with_releases(connection)):
        if LOCK_FILE not in {Path(file.path).name for file in connection.client.list_artifacts(run, place)}:
            continue  # it was made without DVC
        folder = target / str(number)
        folder.mkdir()
        found = download_artifacts(
            run_id=run, artifact_path=f"{place}/{LOCK_FILE}", dst_path=str(folder),
            tracking_uri=connection.uri,
        )  # fmt: skip
        files.append(Path(found).rename(folder / LOCK_FILE))
    return files


def _kept_with_releases(connection: Connection) -> list[tuple[str, str]]:
    """(run, folder of its artifacts) with the files of each release that has or had the alias."""
    name = f"{connection.model_prefix}-{next(iter(MODEL_ARTIFACTS))}"
    of_versions = [releases_in(one.tags) for one in _versions(connection) if one.name == name]
    return [(release.run, release.folder) for releases in of_versions for release in releases if release.run]


def _versions(connection: Connection) -> Iterator[Any]:
    return all_of(connection.client.search_model_versions)


def _local(uri: str, folder: Path) -> Path | None:
    """The folder of a run's artifacts, where it is there and below ``folder``."""
    path = Path(unquote(urlsplit(uri).path))
    is_below = uri.startswith("file://") and path.is_dir() and path.resolve().is_relative_to(folder.resolve())
    return path if is_below else None
