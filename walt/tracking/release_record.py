"""What is kept with a release that takes the alias: by what it can be made again, and which release had it before.

The files are artifacts of the deciding model's run, in the folder ``release``: ``params.yaml``, ``dvc.lock`` and the
dataset's descriptor as they were, ``clips.parquet``, the table of the clips whose latents the models learned from, and
``release.json``, with the git commit. The tag ``walt.release`` of the deciding model's version says which run that is.

Releases may share a version of the deciding model, where only another model is new. Each has a tag of its own, whose
name ends with a digest of its versions, and, from the second on, a folder of its own; ``walt.release`` is the newest's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.scratch import scratch_folder
from walt.core.secrets import without_secrets
from walt.core.storage import atomic_directory, write_bytes, write_json
from walt.tracking import provenance, stored_runs
from walt.tracking.downloads import download_into
from walt.tracking.lineage import TAKEDOWN_TAG
from walt.tracking.releases import tag_of
from walt.tracking.server import Connection

RELEASE_TAG = "walt.release"
"""On a version of the deciding model that has, or had, the alias: what ``Release`` says (JSON)."""
ROLLED_BACK_TAG = "walt.rolled_back"
"""On a version of the deciding model that lost the alias by ``walt rollback``: when, why, of which release and to
which (JSON); ``before``: the same of other releases with this version."""
FOLDER = "release"
PARAMS_FILE, LOCK_FILE = "params.yaml", "dvc.lock"
DESCRIPTOR_FILE = "descriptor.yaml"
"""The dataset's descriptor, whose own name is in ``params.yaml``."""
CLIPS_FILE, RELEASE_FILE = "clips.parquet", "release.json"
_NAMED = 10


@dataclass(frozen=True)
class Release:
    """A release that took the alias."""

    models: Mapping[str, str]
    """Name of each model without the prefix -> its version, the deciding one first."""
    previous: Mapping[str, str] | None = None
    """The same, of the release that had the alias before; None: it was the first."""
    run: str | None = None
    """MLflow's id of the run that has the files."""
    folder: str = FOLDER
    """Where the files are among the run's artifacts."""
    git: Mapping[str, str] = field(default_factory=dict)
    """``git.commit`` and ``git.dirty``; empty outside of a repository."""
    uncommitted: tuple[str, ...] = ()
    """Files that the commit does not hold as they were, and that are not kept here either; of many the first ten, and
    how many more."""


def read_release(
    connection: Connection, name: str, version: str, models: Mapping[str, str] | None = None
) -> Release | None:
    """Of a version of the deciding model (``name`` with the prefix); None where nothing was kept with it.

    Args:
        models: as ``Release`` has them: of the releases with this version the one with these; None, or where there is
            no such one: the newest.
    """
    tags = connection.client.get_model_version(name, version).tags
    kept = tags.get(tag_of(RELEASE_TAG, models or {})) or tags.get(RELEASE_TAG)
    return None if kept is None else Release(**json.loads(kept))


def releases_in(tags: Mapping[str, str]) -> list[Release]:
    """All releases that the tags of a version of the deciding model tell of."""
    kept = {text for name, text in tags.items() if name == RELEASE_TAG or name.startswith(f"{RELEASE_TAG}.")}
    return [Release(**json.loads(text)) for text in sorted(kept)]


def keep_release(connection: Connection, root: Path, models: Mapping[str, str], aliased: Mapping[str, str]) -> None:
    """Keep with a release that is about to take the alias what it was made of. Doing it twice changes nothing.

    Args:
        models: as ``Release`` has them.
        aliased: likewise, the models that have the alias now; of a promotion that broke off, the deciding one counts.
    """
    short, version = next(iter(models.items()))
    name = f"{connection.model_prefix}-{short}"
    run, files = _run_of(connection, name, version), _settings(root)
    uncommitted = [name for name in provenance.uncommitted(root) if name not in {LOCK_FILE, *files.values()}]
    if more := len(uncommitted[_NAMED:]):
        uncommitted[_NAMED:] = [f"{more} more"]
    release = Release(
        dict(models), _previous(connection, name, short, models, aliased), run, _folder(connection, name, models),
        provenance.git_tags(root), tuple(uncommitted),
    )  # fmt: skip
    if (clips := Paths(root).latents / CLIPS_FILE).is_file():
        connection.client.log_artifact(run, str(clips), release.folder)
    with scratch_folder() as scratch:
        for kept, own in files.items():  # an address in it may have a password, and dvc.lock has it from params.yaml
            text = (root / own).read_text(encoding="utf-8", errors="surrogateescape")
            write_bytes(scratch / kept, without_secrets(text).encode("utf-8", "surrogateescape"))
        write_json(scratch / RELEASE_FILE, asdict(release))
        connection.client.log_artifacts(run, str(scratch), release.folder)
    for tag in (tag_of(RELEASE_TAG, models), RELEASE_TAG):
        connection.client.set_model_version_tag(name, version, tag, json.dumps(asdict(release)))


def _previous(
    connection: Connection, name: str, short: str, models: Mapping[str, str], aliased: Mapping[str, str]
) -> dict[str, str] | None:
    """The release that has the alias, which ``models`` take it from; None: none has."""
    if short not in aliased:
        return None
    before = read_release(connection, name, aliased[short], aliased)
    if before is None:
        return dict(aliased)
    if before.models != models:
        return dict(before.models)
    return None if before.previous is None else dict(before.previous)  # these are about to take it for a second time


def _folder(connection: Connection, name: str, models: Mapping[str, str]) -> str:
    """Where a release's files are kept: where they were, or where no other one's are."""
    version = next(iter(models.values()))
    kept = {
        release.folder: release.models
        for release in releases_in(connection.client.get_model_version(name, version).tags)
    }
    own = [folder for folder, of in kept.items() if of == models]
    return own[0] if own else FOLDER if FOLDER not in kept else tag_of(RELEASE_TAG, models).removeprefix("walt.")


def _settings(root: Path) -> dict[str, str]:
    """Name that a file of settings is kept under -> its name in the project; without those that are not there."""
    files = {LOCK_FILE: LOCK_FILE}
    if (root / PARAMS_FILE).is_file():
        descriptor = (read_yaml(root / PARAMS_FILE).get("dataset") or {}).get("descriptor", "")
        files |= {PARAMS_FILE: PARAMS_FILE, DESCRIPTOR_FILE: str(descriptor)}
    return {kept: name for kept, name in files.items() if (root / name).is_file()}


def fetch_release(
    connection: Connection, name: str, version: str, target: Path, models: Mapping[str, str] | None = None
) -> Release:
    """Copy the files that are kept with a version of the deciding model into the folder ``target``.

    Args:
        models: as ``read_release`` has them.

    Raises:
        ConfigurationError: nothing was kept with it.
    """
    release = read_release(connection, name, version, models)
    if release is None or release.run is None:
        raise ConfigurationError(f"{name} version {version}: it was never promoted, so nothing was kept with it")
    with atomic_directory(target) as folder:
        download_into(folder, connection.uri, run_id=release.run, artifact_path=release.folder)
    return release


def note_rolled_back(
    connection: Connection, name: str, version: str, models: Mapping[str, str], note: Mapping[str, Any]
) -> None:
    """Keep with a version of the deciding model that the release ``models`` lost the alias."""
    before = [one for one in _rolled_back(connection, name, version) if one.get("models") != models]
    kept = {**note, "models": dict(models), **({"before": before} if before else {})}
    connection.client.set_model_version_tag(name, version, ROLLED_BACK_TAG, json.dumps(kept))


def rolled_back(connection: Connection, name: str, version: str, models: Mapping[str, str]) -> dict[str, Any] | None:
    """What ``walt rollback`` noted of a release; None where it did not take the alias from it."""
    notes = _rolled_back(connection, name, version)
    return next((note for note in notes if note.get("models", models) == models), None)


def _rolled_back(connection: Connection, name: str, version: str) -> list[dict[str, Any]]:
    """The notes with a version, the newest first; those of an earlier walt name no ``models``."""
    kept = connection.client.get_model_version(name, version).tags.get(ROLLED_BACK_TAG)
    if kept is None:
        return []
    newest = dict(json.loads(kept))
    return [newest, *newest.pop("before", [])]


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
    if run and stored_runs.is_there(connection, run):
        return str(run)
    at = int(time.time() * 1000)  # shown by MLflow
    record = {"name": "release", "params": {}, "inputs": {}, "timestamp": at, "tags": {"stage": "release"}}
    run = stored_runs.create_run(connection, {"kind": "run", **record}, f"release of {name} version {version}")
    connection.client.set_terminated(run, "FINISHED", end_time=at)
    return run
