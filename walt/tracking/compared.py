"""Models that are to be compared: where they are, which others they go with, and what MLflow says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import given_model, version_at
from walt.tracking.models import MEASURED_TAG
from walt.tracking.release_runs import MODELS_TAG, RELEASE_TAG, ReleaseRun, find_release, models_digest
from walt.tracking.releases import MODEL_ARTIFACTS, release_digests, release_folders

_VERSION = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
_RELEASE = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Compared:
    """One side of a comparison: all models that make its videos."""

    label: str
    folders: Mapping[str, Path]
    """Name in the registry without the prefix -> folder."""
    release: ReleaseRun | None
    """What MLflow has of them; None where they were never evaluated, or MLflow cannot be reached."""


def find_compared(config: TrackingConfig, paths: Paths, given: str, keep: Path) -> Compared:
    """The models that ``given`` names.

    Args:
        given: a version of the base model (``walt-base@champion``, ``walt-base/3``); a release, by the twelve
            characters of the tag ``walt.release``; or a folder: a project, or a trained base transformer, which is then
            used with the other models of this project.
        keep: where models of the registry are fetched to; what is there is not fetched again.

    Raises:
        ConfigurationError: there is no such model, or it is not known which others it goes with.
        StorageError: MLflow cannot be reached, and a version is asked for.
        CorruptArtifactError: the registry returns other files than were registered.
    """
    place = paths.root / Path(given).expanduser()
    if place.is_dir():
        return _of_folder(config, paths, given, place)
    if _RELEASE.fullmatch(given):
        return _of_release(config, paths, given, keep)
    match = _VERSION.fullmatch(given)
    if match is None:
        raise ConfigurationError(f"{given}: no such folder, and no version such as walt-base@champion or walt-base/3")
    name = match["name"]
    if name != f"{config.model_prefix}-base":
        raise ConfigurationError(f"{given}: name a version of the base model, {config.model_prefix}-base/...")
    with server.errors():
        connection = server.connect(config, paths.root)
        number = str(version_at(connection, f"models:/{given.removeprefix('models:/')}").version)
        release = find_release(connection, f"version.{name}", number)
        versions = release.versions if release else _measured_with(connection, name, number)
    if name not in versions:
        raise ConfigurationError(
            f"{given}: it was never evaluated, so it is not known which autoencoder it goes with; name the project "
            "that it was trained in"
        )
    return Compared(f"{name} version {number}", _fetch(config, paths.root, versions, keep), release)


def _of_folder(config: TrackingConfig, paths: Paths, given: str, place: Path) -> Compared:
    if (place / "models").is_dir():
        folders = release_folders(Paths(place))
    elif (place / "config.json").is_file():
        folders = {**release_folders(paths), "base": place}
    else:
        raise ConfigurationError(f"{given}: neither a project with models nor a trained base transformer")
    try:
        with server.errors():
            connection = server.connect(config, paths.root)
            release = find_release(connection, MODELS_TAG, models_digest(release_digests(folders)))
    except server.UnreachableError:
        release = None
    base = f"{config.model_prefix}-base"
    number = release.versions.get(base) if release else None
    name = "this project" if place.resolve() == paths.root.resolve() else given
    return Compared(f"{name} ({base} version {number})" if number else name, folders, release)


def _of_release(config: TrackingConfig, paths: Paths, given: str, keep: Path) -> Compared:
    with server.errors():
        release = find_release(server.connect(config, paths.root), RELEASE_TAG, given)
    if release is None:
        raise ConfigurationError(f"{given}: MLflow has no such release")
    return Compared(release.name, _fetch(config, paths.root, release.versions, keep), release)


def _fetch(config: TrackingConfig, root: Path, versions: Mapping[str, str], keep: Path) -> dict[str, Path]:
    """The folders of all models of a release."""
    folders = {}
    for name in MODEL_ARTIFACTS:
        full_name = f"{config.model_prefix}-{name}"
        if full_name in versions:
            address = f"{full_name}/{versions[full_name]}"
            folders[name] = given_model(config, root, f"models:/{address}", keep / _safe(address)).folder
    return folders


def _measured_with(connection: server.Connection, name: str, number: str) -> dict[str, str]:
    """The versions that a promotion measured together with this one: of releases before they had a run of their own."""
    tags = connection.client.get_model_version(name, number).tags
    digests = json.loads(tags[MEASURED_TAG])["models"] if MEASURED_TAG in tags else {}
    full_names = {f"{connection.model_prefix}-{short}": digest for short, digest in digests.items()}
    found = {full: server.find_version(connection, full, digest) for full, digest in full_names.items()}
    return {full: version for full, version in found.items() if version is not None}


def _safe(address: str) -> str:
    """As the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", address)
