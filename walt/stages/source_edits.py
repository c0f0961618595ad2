"""What ``walt prepare`` tells DVC of source files that changed without its notice (``walt/data/edits.py``)."""

from __future__ import annotations

from walt.core.paths import Paths
from walt.core.storage import sha256_json
from walt.data.config import DatasetConfig
from walt.data.edits import edits_since
from walt.data.sources.folders import LocalFolder, open_folder
from walt.stages import pipeline


def tell_dvc(dataset: DatasetConfig, paths: Paths) -> list[str]:
    """Make DVC look at what it would pass over.

    Returns:
        A line for each kind of thing that was found. None for a bucket: DVC asks it for ETags.

    Raises:
        StorageError: the folder cannot be listed, or the record of it not be written.
    """
    folder, lines = open_folder(paths.root, dataset.path), []
    if not isinstance(folder, LocalFolder):
        return []
    record = paths.work("prepare") / f"{sha256_json(dataset.path)[:16]}.jsonl"
    with edits_since(folder, record) as edits:
        if edits.stamped.count:
            lines.append(
                f"{dataset.path}: DVC reads again what was touched with size and time of change as before: "
                f"{edits.stamped} ({edits.stamped.count} in all)"
            )
        if edits.unseen.count and pipeline.forget(paths.root, "ingest"):
            lines.append(
                f"{dataset.path}: ingest is stale, since files came, changed or went where DVC does not look: "
                f"{edits.unseen} ({edits.unseen.count} in all)"
            )
    return lines
