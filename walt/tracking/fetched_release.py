"""The models of a release in the registry, as folders: by its alias, or by the version of its base model."""

from __future__ import annotations

from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.log import warning
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import given_model
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.release_record import taken_down
from walt.tracking.releases import MODEL_ARTIFACTS, measured_models

_BASE = next(iter(MODEL_ARTIFACTS))


def fetch_release(config: TrackingConfig, root: Path, release: str, keep: Path) -> dict[str, Path]:
    """Name of the model -> its folder below ``keep``, the base model first; what was fetched before stays as it is.

    Args:
        release: an alias, such as ``champion``, or a number: a version of the base model, which says by its evaluation
            which models it belongs with.

    Raises:
        ConfigurationError: there is no such release, or it was not evaluated. StorageError: MLflow cannot be reached.
        CorruptArtifactError: the registry returns other files than were registered.
    """
    with server.errors():
        connection = server.connect(config, root)
    number = release.isdecimal()
    versions = _measured_with(connection, release) if number else _with_alias(connection, release)
    if _BASE not in versions:
        raise ConfigurationError(f"{connection.model_prefix}-{_BASE} has no version with the alias {release}")
    with server.errors():
        why = taken_down(connection, versions)
    if why is not None:
        warning(why)
    return {
        name: given_model(config, root, f"models:/{connection.model_prefix}-{name}/{version}", keep / name).folder
        for name, version in versions.items()
    }


def _with_alias(connection: server.Connection, alias: str) -> dict[str, str]:
    found = {}
    for name in MODEL_ARTIFACTS:
        try:
            with server.errors():
                version = connection.client.get_model_version_by_alias(f"{connection.model_prefix}-{name}", alias)
        except server.RefusedError:
            continue  # it is not in this release
        found[name] = str(version.version)
    return found


def _measured_with(connection: server.Connection, number: str) -> dict[str, str]:
    """The versions of the models that a version of the base model was evaluated with."""
    full_name = f"{connection.model_prefix}-{_BASE}"
    try:
        with server.errors():
            version = connection.client.get_model_version(full_name, number)
    except server.RefusedError as error:
        raise ConfigurationError(f"{full_name} has no version {number}: {error}") from error
    digests = measured_models(version.tags.get(MEASURED_TAG))
    if not digests:
        raise ConfigurationError(f"{full_name} version {number} was not evaluated: what it belongs with is not known")
    found = {}
    for name, digest in digests.items():
        with server.errors():
            own = server.find_version(connection, f"{connection.model_prefix}-{name}", digest)
        if own is None:
            raise ConfigurationError(f"{full_name} version {number}: the {name} that it belongs with is gone")
        found[name] = own
    return {**found, _BASE: number}
