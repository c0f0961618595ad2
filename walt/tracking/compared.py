"""Models that are to be compared: where they are, which others they go with, and what MLflow says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths, located
from walt.tracking import server
from walt.tracking.addresses import not_found, parse_address
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import given_model, version_at
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.release_runs import MODELS_TAG, RELEASE_TAG, ReleaseRun, find_release, models_digest
from walt.tracking.releases import MODEL_ARTIFACTS, measured_models, release_digests, release_folders

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
        given: a version of the base model (``walt-base@champion``, ``base/3``); a release, by the twelve
            characters of the tag ``walt.release``; or a folder: a project, or a trained base transformer, which is then
            used with the other models of this project.
        keep: where models of the registry are fetched to; what is there is not fetched again.

    Raises:
        ConfigurationError: there is no such model, or it is not known which others it goes with.
        StorageError: MLflow cannot be reached, and a version is asked for.
        CorruptArtifactError: the registry returns other files than were registered.
    """
    place = located(paths.root, given)
    if place.is_dir():
        return _of_folder(config, paths, given, place)
    if _RELEASE.fullmatch(given):
        return _of_release(config, paths, given, keep)
    address = parse_address(given, config.model_prefix)
    if address is None or not address.is_of_a_version:
        raise ConfigurationError(not_found(given, config.model_prefix))
    name = address.name
    if name != f"{config.model_prefix}-base":
        raise ConfigurationError(f"{given}: name a version of the base model, {config.model_prefix}-base/...")
    with server.errors():
        connection = server.connect(config, paths.root)
        number = str(version_at(connection, given).version)
        release = find_release(connection, f"version.{name}", number)
    digests = _digests(connection, paths, given, number, release)
    if not digests:
        raise ConfigurationError(
            f"{given}: it was never evaluated, so it is not known which autoencoder it goes with; name the project "
            "that it was trained in"
        )
    return Compared(f"{name} version {number}", _fetch(config, connection, paths, given, digests, keep), release)


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
        connection = server.connect(config, paths.root)
        release = find_release(connection, RELEASE_TAG, given)
    if release is None:
        raise ConfigurationError(f"{given}: MLflow has no such release")
    number = release.versions.get(f"{config.model_prefix}-base")
    digests = _digests(connection, paths, given, number, release)
    return Compared(release.name, _fetch(config, connection, paths, given, digests, keep), release)


def _digests(
    connection: server.Connection, paths: Paths, given: str, number: str | None, release: ReleaseRun | None
) -> Mapping[str, str]:
    """Name of each model that was evaluated together with a version of the base model -> its digest; empty: of none it
    is known. Raises ConfigurationError where it is known of some alone."""
    if release is not None and release.models:
        return release.models
    prefix = f"{connection.model_prefix}-"
    with server.errors():
        tags = {} if number is None else connection.client.get_model_version(f"{prefix}base", number).tags
        measured = measured_models(tags.get(MEASURED_TAG))
        if release is None:
            return measured
        registered = {
            name: str(connection.client.get_model_version(prefix + name, release.versions[prefix + name]).tags.get(
                server.DIGEST_TAG
            ))
            for name in MODEL_ARTIFACTS if prefix + name in release.versions
        }  # fmt: skip
    for known in (measured, registered, {**_own_digests(paths, MODEL_ARTIFACTS), **registered}):
        if models_digest(known) == release.together:
            return known
    raise ConfigurationError(
        f"{given}: an earlier version of walt evaluated it, and MLflow does not have all models that it goes with; "
        "name the project that it was trained in"
    )


def _fetch(
    config: TrackingConfig, connection: server.Connection, paths: Paths, given: str, digests: Mapping[str, str],
    keep: Path,
) -> dict[str, Path]:  # fmt: skip
    """The folders of all models of a release; a text encoder, which a promotion registers, may be this project's."""
    folders = {}
    for name, digest in digests.items():
        full_name = f"{config.model_prefix}-{name}"
        with server.errors():
            number = server.find_version(connection, full_name, digest)
        if number is not None:
            address = f"{full_name}/{number}"
            folders[name] = given_model(config, paths.root, f"models:/{address}", keep / _safe(address)).folder
        elif _own_digests(paths, [name]).get(name) == digest:
            folders[name] = getattr(paths, MODEL_ARTIFACTS[name])
        else:
            raise ConfigurationError(
                f"{given}: the {name} that it was evaluated with is neither in the registry nor in this project; "
                "`walt promote` in the project that it was trained in registers it"
            )
    return folders


def _own_digests(paths: Paths, names: Iterable[str]) -> dict[str, str]:
    """Of this project's models with these names, as far as there are any."""
    places = {name: getattr(paths, MODEL_ARTIFACTS[name]) for name in names}
    return release_digests({name: place for name, place in places.items() if place.exists() and not is_left_out(place)})


def _safe(address: str) -> str:
    """As the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", address)
