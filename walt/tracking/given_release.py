"""Whole releases in the registry: all models that were evaluated together, by the address of their base model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.core.errors import ConfigurationError
from walt.tracking import server
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import given_model, no_such_version
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.releases import measured_models

_BASE = "base"


@dataclass(frozen=True)
class ListedRelease:
    """A release that the registry offers."""

    version: str
    """Of its base model."""
    aliases: tuple[str, ...]
    address: str
    """``models:/walt-base/3``: always the same models, also when an alias moves."""


@dataclass(frozen=True)
class GivenRelease:
    """The models of a release, fetched."""

    address: str
    """With the version's number."""
    folders: Mapping[str, Path]
    """Name in the registry, without the prefix -> folder."""


def list_releases(config: TrackingConfig, root: Path) -> list[ListedRelease]:
    """All releases of the registry, the newest first.

    Raises:
        StorageError: MLflow cannot be reached. WaltError: it refuses the request.
    """
    with server.errors():
        connection = server.connect(config, root)
        name = f"{connection.model_prefix}-{_BASE}"
        if not connection.client.search_registered_models(f"name = '{name}'"):
            return []
        aliases = connection.client.get_registered_model(name).aliases
        versions = [
            version
            for version in connection.client.search_model_versions(f"name = '{name}'")
            if MEASURED_TAG in version.tags
        ]
    return [
        ListedRelease(
            str(version.version),
            tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))),
            f"models:/{name}/{version.version}",
        )
        for version in sorted(versions, key=lambda version: int(version.version), reverse=True)
    ]


def given_release(config: TrackingConfig, root: Path, address: str, keep: Path) -> GivenRelease:
    """The release of a base model's address, ``models:/walt-base@champion`` or ``models:/walt-base/3``, fetched.

    Args:
        keep: what was fetched stays there, a folder for each version.

    Raises:
        ConfigurationError: there is no such version, or it was never evaluated as part of a release.
        CorruptArtifactError: the registry returns other files than were registered.
        StorageError: MLflow cannot be reached.
    """
    with server.errors():
        connection = server.connect(config, root)
        base = _base_version(connection, address)
        name, version = str(base.name), str(base.version)
        measured = measured_models(base.tags.get(MEASURED_TAG))
        if not measured:
            raise ConfigurationError(
                f"{address}: version {version} was never evaluated with other models, so it is not a release; "
                "`walt promote` makes one"
            )
        addresses = {}
        for member, digest in measured.items():
            full_name = f"{connection.model_prefix}-{member}"
            found = server.find_version(connection, full_name, digest)
            if found is None:
                raise ConfigurationError(f"{address}: its {full_name} is no longer in the registry")
            addresses[member] = (full_name, found)
    folders = {
        member: given_model(config, root, f"models:/{full_name}/{found}", keep / f"{full_name}-{found}").folder
        for member, (full_name, found) in addresses.items()
    }
    return GivenRelease(f"models:/{name}/{version}", folders)


def _base_version(connection: server.Connection, address: str) -> Any:
    """MLflow's entry. Raises ConfigurationError."""
    prefix = f"models:/{connection.model_prefix}-{_BASE}"
    rest = address.removeprefix(prefix)
    if rest == address or rest[:1] not in ("/", "@") or not rest[1:]:
        raise ConfigurationError(f"{address}: a release is named by its base model: {prefix}@ALIAS or {prefix}/VERSION")
    name = f"{connection.model_prefix}-{_BASE}"
    try:
        with server.errors():
            if rest.startswith("@"):
                return connection.client.get_model_version_by_alias(name, rest[1:])
            return connection.client.get_model_version(name, rest[1:])
    except server.RefusedError as error:
        raise ConfigurationError(f"{address}: {no_such_version(connection, name)}") from error
