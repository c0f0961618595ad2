"""Models that came from elsewhere, as versions in the registry that say where they are from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from walt.tracking import server
from walt.tracking.config import TrackingConfig

IMPORTED_TAG = "walt.imported"
"""On a model version: where it came from, and the digest of the folder's list of files (JSON)."""


def register_imported(
    config: TrackingConfig, root: Path, folders: Mapping[str, Path], origin: Mapping[str, str]
) -> dict[str, str]:
    """Register each model, once; name -> version. Versions that were there before keep what they say of themselves.

    Raises:
        StorageError: MLflow cannot be reached.
    """
    versions = {}
    with server.errors():
        connection = server.connect(config, root)
        for name, folder in folders.items():
            full_name = f"{connection.model_prefix}-{name}"
            known = _known(connection, full_name, folder)
            versions[name] = known or server.register(connection, None, folder, name)
            if known is None:
                text = json.dumps(dict(origin), sort_keys=True)
                connection.client.set_model_version_tag(full_name, versions[name], IMPORTED_TAG, text)
    return versions


def _known(connection: server.Connection, full_name: str, folder: Path) -> str | None:
    registered = connection.client.search_registered_models(f"name = '{full_name}'")
    return server.find_version(connection, full_name, server.folder_digest(folder)) if registered else None
