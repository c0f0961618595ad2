"""What is kept with a release that takes the alias: by what it can be made again, and which release had it before.

The files are artifacts of the deciding model's run, in the folder ``release``: ``params.yaml``, ``dvc.lock`` and the
dataset's descriptor as they were, ``clips.parquet``, the table of the clips whose latents the models learned from, and
``release.json``, with the git commit. The tag ``walt.release`` of the deciding model's version says which run that is.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.scratch import scratch_folder
from walt.core.storage import atomic_directory, write_bytes, write_json
from walt.tracking import provenance, server
from walt.tracking.downloads import download_into
from walt.tracking.lineage import TAKEDOWN_TAG
from walt.tracking.releases import MODEL_ARTIFACTS
from walt.tracking.server import Connection

RELEASE_TAG = "walt.release"
"""On a version of the deciding model that has, or had, the alias: what ``Release`` says (JSON)."""
ROLLED_BACK_TAG = "walt.rolled_back"
"""On a version of the deciding model that lost the alias by ``walt rollback``: when, why, and to which (JSON)."""
FOLDER = "release"
PARAMS_FILE, LOCK_FILE = "params.yaml", "dvc.lock"
DESCRIPTOR_FILE = "descriptor.yaml"
"""The dataset's descriptor, whose own name is in ``params.yaml``."""
CLIPS_FILE, RELEASE_FILE = "clips.parquet", "release.json"
_NAMED = 10
_USER_IN_A_URL = re.compile(rb"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True)
class Release:
    """A release that took the alias."""

    models: Mapping[str, str]
    """Name of each model without the prefix -> its version, the deciding one first."""
    previous: Mapping[str, str] | None = None
    """The same, of the release that had the alias before; None: it was the first."""
    run: str | None = None
    """MLflow's id of the run that has the files."""
    git: Mapping[str, str] = field(default_factory=dict)
    """``git.commit`` and ``git.dirty``; empty outside of a repository."""
    uncommitted: tuple[str, ...] = ()
    """Files that the commit does not hold as they were, and that are not kept here either; of many the first ten, and
    how many more."""


def read_release(connection: Connection, name: str, version: str) -> Release | None:
    """Of a version of the deciding model (``name`` with the prefix); None where nothing was kept with it."""
    kept = connection.client.get_model_version(name, version).tags.get(RELEASE_TAG)
    return None if kept is None else Release(**json.loads(kept))


def keep_release(connection: Connection, root: Path, models: Mapping[str, str], aliased: Mapping[str, str]) -> None:
    """Keep with a release that is about to take the alias what it was made of. Doing it twice changes nothing.

    Args:
        models: as ``Release`` has them.
        aliased: likewise, the models that have the alias now; of a promotion that broke off, the deciding one counts.
    """
    short, version = next(iter(models.items()))
    name = f"{connection.model_prefix}-{short}"
    before = read_release(connection, name, aliased[short]) if short in aliased else None
    previous = None if short not in aliased else dict(aliased) if before is None else dict(before.models)
    run = _run_of(connection, name, version)
    files = _settings(root)
    uncommitted = [name for name in provenance.uncommitted(root) if name not in {LOCK_FILE, *files.values()}]
    if more := len(uncommitted[_NAMED:]):
        uncommitted[_NAMED:] = [f"{more} more"]
    release = Release(dict(models), previous, run, provenance.git_tags(root), tuple(uncommitted))
    for file in (root / LOCK_FILE, Paths(root).latents / CLIPS_FILE):
        if file.is_file():
            connection.client.log_artifact(run, str(file), FOLDER)
    with scratch_folder() as scratch:
        for kept, own in files.items():  # an address in it may have a password
            write_bytes(scratch / kept, _USER_IN_A_URL.sub(b"***", (root / own).read_bytes()))
        write_json(scratch / RELEASE_FILE, asdict(release))
        connection.client.log_artifacts(run, str(scratch), FOLDER)
    connection.client.set_model_version_tag(name, version, RELEASE_TAG, json.dumps(asdict(release)))


def _settings(root: Path) -> dict[str, str]:
    """Name that a file of settings is kept under -> its name in the project; without those that are not there."""
    if not (root / PARAMS_FILE).is_file():
        return {}
    descriptor = (read_yaml(root / PARAMS_FILE).get("dataset") or {}).get("descriptor", "")
    files = {PARAMS_FILE: PARAMS_FILE, DESCRIPTOR_FILE: str(descriptor)}
    return {kept: name for kept, name in files.items() if (root / name).is_file()}


def fetch_release(connection: Connection, name: str, version: str, target: Path) -> Release:
    """Copy the files that are kept with a version of the deciding model into the folder ``target``.

    Raises:
        ConfigurationError: nothing was kept with it.
    """
    release = read_release(connection, name, version)
    if release is None or release.run is None:
        raise ConfigurationError(f"{name} version {version}: it was never promoted, so nothing was kept with it")
    with atomic_directory(target) as folder:
        download_into(folder, connection.uri, run_id=release.run, artifact_path=FOLDER)
    return release


def deciding_version(connection: Connection, alias: str, version: str | None) -> tuple[str, str]:
    """Name and version of the deciding model: of the release with the alias, or the version that is named.

    Raises:
        ConfigurationError: there is none.
    """
    name = f"{connection.model_prefix}-{next(iter(MODEL_ARTIFACTS))}"
    try:
        with server.errors():
            if version is not None:
                return name, str(connection.client.get_model_version(name, version).version)
            return name, str(connection.client.get_model_version_by_alias(name, alias).version)
    except server.RefusedError as error:
        what = f"version {version}" if version is not None else f"version with the alias {alias}"
        raise ConfigurationError(f"{name} has no {what}: {error}") from error


def rolled_back(connection: Connection, name: str, version: str) -> dict[str, Any] | None:
    """What ``walt rollback`` noted of a version; None where it did not take the alias from it."""
    kept = connection.client.get_model_version(name, version).tags.get(ROLLED_BACK_TAG)
    return None if kept is None else dict(json.loads(kept))


def taken_down(connection: Connection, versions: Mapping[str, str]) -> str | None:
    """Which of a release's models were made with a source that was taken down since, in a few words; None: none was.

    Args:
        versions: name without the prefix -> version.
    """
    found = []
    for short, version in versions.items():
        name = f"{connection.model_prefix}-{short}"
        if kept := connection.client.get_model_version(name, version).tags.get(TAKEDOWN_TAG):
            found.append(f"{name} version {version} was made with what was taken down ({kept.replace(',', ', ')})")
    return " and ".join(found) or None


def _run_of(connection: Connection, name: str, version: str) -> str:
    """The run that made a version; a new one where there is none any more."""
    run = connection.client.get_model_version(name, version).run_id
    if run and server.is_there(connection, run):
        return str(run)
    at = int(time.time() * 1000)  # shown by MLflow
    record = {"name": "release", "params": {}, "inputs": {}, "timestamp": at, "tags": {"stage": "release"}}
    run = server.create_run(connection, {"kind": "run", **record}, f"release of {name} version {version}")
    connection.client.set_terminated(run, "FINISHED", end_time=at)
    return run
