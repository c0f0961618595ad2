"""``walt prepare``: the source files are made or looked for, and DVC is told of those that changed without its notice.

Such changes are found by ``walt/ingest/hidden_edits.py``.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.paths import Paths
from walt.core.storage import sha256_json, write_bytes
from walt.ingest.config import DatasetConfig
from walt.ingest.hidden_edits import edits_since
from walt.ingest.prepare import prepare
from walt.ingest.sources.folders import LocalFolder, open_folder
from walt.project.dataset_fit import check_dataset
from walt.project.runner import load_params

_LOCK_FILE = "dvc.lock"


def command() -> None:
    """Make the dataset's source files if they are generated, else check that they are there; find hidden edits."""
    root = Path.cwd()
    params = load_params(root)
    check_dataset(params, root)
    info(prepare(params.dataset, params.compute, Paths(root)))
    for line in tell_dvc(params.dataset, Paths(root)):
        info(line)


def tell_dvc(dataset: DatasetConfig, paths: Paths) -> list[str]:
    """Make DVC look at what it would pass over.

    Returns:
        A line for each kind of thing that was found. None for a bucket: DVC asks it for ETags.

    Raises:
        StorageError: the folder cannot be listed, or the record of it not be written.
        ConfigurationError: there is no such folder, or ``dvc.lock`` is not what DVC writes.
    """
    folder, lines = open_folder(paths.root, dataset.path), []
    if not isinstance(folder, LocalFolder):
        return []
    record = paths.work("prepare") / f"{sha256_json(dataset.path)[:16]}.jsonl"
    with edits_since(folder, record) as edits:
        if edits.stamped.count:
            lines.append(
                f"{dataset.path}: DVC reads again what may have changed without its notice: "
                f"{edits.stamped} ({edits.stamped.count} in all)"
            )
        if edits.unseen.count and forget(paths.root, "ingest"):
            lines.append(
                f"{dataset.path}: ingest is stale, since files came, changed or went where DVC does not look: "
                f"{edits.unseen} ({edits.unseen.count} in all)"
            )
    return lines


def forget(root: Path, name: str) -> bool:
    """Take a stage out of ``dvc.lock``, so that it is stale to DVC; whether it stood there. Its outputs stay.

    Raises:
        ConfigurationError: the file is not what DVC writes, as after a merge with conflicts.
    """
    path = root / _LOCK_FILE
    yaml = YAML()
    yaml.width = 4096  # lines are DVC's, and stay as they are
    try:
        lock = yaml.load(path.read_text(encoding="utf-8")) if path.is_file() else None
        stages = (lock or {}).get("stages") or {}
        if name not in stages:
            return False
        del stages[name]
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        cause = str(error).splitlines()[0]
        raise ConfigurationError(
            f"{path}: not what DVC writes; merge it, or remove it to run all anew: {cause}"
        ) from error
    stream = StringIO()
    yaml.dump(lock, stream)
    write_bytes(path, stream.getvalue().encode())
    return True
