"""Models that a setting names: a folder, or an address in the registry such as ``models:/walt-base@champion``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.log import info
from walt.core.paths import located
from walt.core.storage import atomic_directory, read_json, write_json
from walt.tracking import server
from walt.tracking.addresses import SCHEME, is_registered, parse_address
from walt.tracking.config import TrackingConfig
from walt.tracking.downloads import download_into
from walt.tracking.paging import all_of

_MOST_LISTED = 10
_FETCHED, _NOTE = "fetched", "fetched.json"


@dataclass(frozen=True)
class GivenModel:
    """A folder of safetensors and JSON, and where it comes from."""

    folder: Path
    provenance: dict[str, str]
    """``address`` as it was given, and of a registered model ``version``: for the record."""

    def tags(self, key: str, digest: str) -> dict[str, str]:
        """For the run that is trained from it: what the setting ``key`` says, the version, the hash of the weights."""
        return {key: self.provenance["address"], f"{key}.sha256": digest} | {
            f"{key}.{name}": value for name, value in self.provenance.items() if name != "address"
        }


def given_model(config: TrackingConfig, root: Path, address: str, keep: Path) -> GivenModel:
    """The model at ``address``: a folder, relative to ``root``, or a version in the registry, which is fetched.

    What was fetched stays in ``keep`` until ``forget``, and the same address gives the same files until then: a run
    that is killed goes on with the weights it began with, also when the alias has moved.

    Raises:
        ConfigurationError: there is no such folder or version; names the address.
        CorruptArtifactError: the registry returns other files than were registered.
        StorageError: MLflow cannot be reached.
    """
    if not is_registered(address):
        folder = located(root, address)
        if not folder.is_dir():
            raise ConfigurationError(_no_such_folder(address, config.model_prefix))
        return GivenModel(folder, {"address": address})
    folder, note = keep / _FETCHED, _read(keep / _NOTE)
    if note.get("address") == address and folder.is_dir() and server.folder_digest(folder) == note.get("digest"):
        return GivenModel(folder, {"address": address, "version": note["version"]})
    with server.errors():
        connection = server.connect(config, root)
        version = version_at(connection, address)
        digest = str(version.tags.get(server.DIGEST_TAG))
        with atomic_directory(folder) as target:
            download_into(target, connection.uri, artifact_uri=str(version.source))
            if server.folder_digest(target) != digest:
                raise CorruptArtifactError(f"{address}: the registry returns other files than were registered")
    write_json(keep / _NOTE, {"address": address, "version": str(version.version), "digest": digest})
    info(f"{address} is version {version.version}")
    return GivenModel(folder, {"address": address, "version": str(version.version)})


def present_version(config: TrackingConfig, root: Path, address: str, keep: Path) -> Path:
    """The folder of the version that ``address`` names now, fetched into a folder of its own in ``keep``.

    Raises:
        ConfigurationError, CorruptArtifactError, StorageError: as ``given_model``.
    """
    with server.errors():
        version = version_at(server.connect(config, root), address)
    name, number = version.name, version.version
    return given_model(config, root, f"{SCHEME}{name}/{number}", keep / f"{name}-{number}").folder


def forget(keep: Path) -> None:
    """Remove what was fetched into ``keep``: the next run asks the registry again."""
    (keep / _NOTE).unlink(missing_ok=True)
    shutil.rmtree(keep / _FETCHED, ignore_errors=True)


def version_at(connection: server.Connection, address: str) -> Any:
    """MLflow's entry of the version at an address (``walt.tracking.addresses``). Raises ConfigurationError where there
    is none, or where it names no version."""
    given = parse_address(address, connection.model_prefix)
    if given is None or not given.is_of_a_version:
        raise ConfigurationError(f"{address}: an address in the registry is models:/NAME@ALIAS or models:/NAME/VERSION")
    try:
        with server.errors():
            if given.alias is not None:
                return connection.client.get_model_version_by_alias(given.name, given.alias)
            return connection.client.get_model_version(given.name, str(given.version))
    except server.RefusedError as error:
        raise ConfigurationError(f"{address}: {_no_such_version(connection, given.name)}") from error


def _no_such_folder(setting: str, prefix: str) -> str:
    """What is wrong with a setting that names no folder; how a version is written there, where it looks like one."""
    given = parse_address(setting, prefix)
    meant = f"; a version in the registry is {given}" if given is not None and given.is_of_a_version else ""
    return f"{setting}: no such folder{meant}"


def _no_such_version(connection: server.Connection, name: str) -> str:
    """What is wrong where a model has no such version or alias, with the newest that it has: ``1 (champion), 2``."""
    try:
        with server.errors():
            aliases = connection.client.get_registered_model(name).aliases
            versions = sorted(
                int(one.version) for one in all_of(connection.client.search_model_versions, f"name = '{name}'")
            )
    except server.RefusedError:
        return f"the registry has no such model version, and no model {name}"
    named = {
        version: sorted(alias for alias, of in aliases.items() if int(of) == version)
        for version in versions[-_MOST_LISTED:]
    }
    listed = [f"{version} ({', '.join(found)})" if found else str(version) for version, found in named.items()]
    return f"the registry has no such model version; of {name} it has {', '.join(listed) or 'none'}"


def _read(note: Path) -> dict[str, Any]:
    return dict(read_json(note)) if note.is_file() else {}
