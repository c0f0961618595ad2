"""Whole releases in the registry: all models that were evaluated together, by the address of their base model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.core.errors import ConfigurationError
from walt.core.log import warning
from walt.tracking import server
from walt.tracking.addresses import SCHEME, parse_address
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import given_model, version_at
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.paging import all_of
from walt.tracking.release_record import taken_down
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
    """Name in the registry, without the prefix -> folder; the base model first."""


def list_releases(config: TrackingConfig, root: Path) -> list[ListedRelease]:
    """All releases of the registry, the newest first.

    Raises:
        StorageError: MLflow cannot be reached. WaltError: it refuses the request.
    """
    with server.errors():
        connection = server.connect(config, root)
        name = f"{connection.model_prefix}-{_BASE}"
        if not connection.client.search_registered_models(f"name = '{name}'", max_results=1):
            return []
        aliases = connection.client.get_registered_model(name).aliases
        versions = [
            version
            for version in all_of(connection.client.search_model_versions, f"name = '{name}'")
            if MEASURED_TAG in version.tags
        ]
    return [
        ListedRelease(
            str(version.version),
            tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))),
            f"{SCHEME}{name}/{version.version}",
        )
        for version in sorted(versions, key=lambda version: int(version.version), reverse=True)
    ]


def base_version(connection: server.Connection, address: str) -> tuple[str, Any]:
    """The base model by which a release is named: its name in the registry, and MLflow's entry of the version.

    Args:
        address: ``walt-base@champion``, ``base/3`` or ``models:/walt-base/3``.

    Raises:
        ConfigurationError: it names another model or no version, or there is none.
    """
    name, given = f"{connection.model_prefix}-{_BASE}", parse_address(address, connection.model_prefix)
    if given is None or given.name != name or not given.is_of_a_version:
        raise ConfigurationError(f"{address}: a release is named by its base model: {name}@ALIAS or {name}/VERSION")
    return name, version_at(connection, address)


def given_release(config: TrackingConfig, root: Path, address: str, keep: Path) -> GivenRelease:
    """The release of a base model's address, such as ``walt-base@champion`` or ``base/3``, fetched.

    Args:
        keep: what was fetched stays there, a folder for each version.

    A release that was made with what was taken down since is given with a warning.

    Raises:
        ConfigurationError: there is no such version, or it was never evaluated as part of a release.
        CorruptArtifactError: the registry returns other files than were registered.
        StorageError: MLflow cannot be reached.
    """
    with server.errors():
        connection = server.connect(config, root)
        name, base = base_version(connection, address)
        version = str(base.version)
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
        addresses = {_BASE: (name, version), **addresses}
        if why := taken_down(connection, {member: found for member, (_, found) in addresses.items()}):
            warning(why)
    folders = {
        member: given_model(config, root, f"{SCHEME}{full_name}/{found}", keep / f"{full_name}-{found}").folder
        for member, (full_name, found) in addresses.items()
    }
    return GivenRelease(f"{SCHEME}{name}/{version}", folders)
