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
    tags = {IMPORTED_TAG: json.dumps(dict(origin), sort_keys=True)}
    with server.errors():
        connection = server.connect(config, root)
        return {name: server.register(connection, None, folder, name, tags) for name, folder in folders.items()}
