"""``walt prepare``: make the source files or check that they are there, and show DVC changes that it cannot see.

Such changes are found by ``walt/ingest/hidden_edits.py``.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from walt.core.config import load_section
from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.remote import is_remote
from walt.core.storage import read_json, write_bytes, write_json
from walt.ingest.config import DatasetConfig, Descriptor
from walt.ingest.hidden_edits import edits_since
from walt.ingest.prepare import prepare
from walt.ingest.sources import union
from walt.ingest.sources.folders import LocalFolder, open_folder
from walt.ingest.sources.rows import tables_outside
from walt.project import dvc_yaml
from walt.project.dataset_fit import check_dataset
from walt.project.missing_sources import missing_sources
from walt.project.runner import load_params

_LOCK_FILE = "dvc.lock"


def command() -> None:
    """Make the dataset's source files if they are generated, else check that they are there; find hidden edits."""
    root = Path.cwd()
    params = load_params(root)
    if (root / dvc_yaml.PIPELINE_FILE).is_file() and not dvc_yaml.has_the_code(root):
        dvc_yaml.check(root)  # DVC cannot see that walt was upgraded
    descriptor = check_dataset(params, root)
    missing = missing_sources(descriptor, params.dataset.path, Paths(root))
    if missing is not None:
        raise ConfigurationError(str(missing))
    info(prepare(params.dataset, params.compute, Paths(root)))
    for line in (*tell_dvc(params.dataset, Paths(root)), *tell_of_tables(params.dataset, Paths(root))):
        info(line)


def tell_dvc(dataset: DatasetConfig, paths: Paths) -> list[str]:
    """Make DVC look at changes that it would miss.

    Returns:
        A line for each kind of thing that was found. None for a bucket: DVC asks it for ETags.

    Raises:
        StorageError: the folder cannot be listed, or the record of it not be written.
        ConfigurationError: there is no such folder, DVC cannot take it, or ``dvc.lock`` is not what DVC writes.
    """
    folder, lines = open_folder(paths.root, dataset.path), []
    if not isinstance(folder, LocalFolder):
        return []
    record = paths.work("prepare") / f"{sha256_json(dataset.path)[:16]}.jsonl"
    if (refused := folder.refused_by_dvc()) is not None:
        raise ConfigurationError(refused)
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


def tell_of_tables(dataset: DatasetConfig, paths: Paths) -> list[str]:
    """Make DVC run ingest again where a table of captions outside the dataset's folder has other bytes than at the last
    ``walt prepare``, or was not checked before. Returns a line for each.

    Raises:
        ConfigurationError: ``dvc.lock`` is not what DVC writes.
    """
    members = load_section(paths.resolve(dataset.descriptor), Descriptor).members().values()
    folders = [(union.folder_of(dataset.path, member), member.source) for member in members]
    tables = [
        paths.resolve(folder) / table
        for folder, source in folders
        if not is_remote(folder)
        for table in tables_outside(source)
    ]
    record, lines = paths.work("prepare") / "tables.json", []
    known: dict[str, str] = read_json(record) if record.is_file() else {}
    now = {str(table): sha256_file(table) for table in tables}
    for table, digest in now.items():
        if known.get(table) != digest and forget(paths.root, "ingest"):
            lines.append(f"{printable(table)}: ingest is stale, since this table changed where DVC does not look")
    if now != known:
        write_json(record, now)
    return lines


def forget(root: Path, name: str) -> bool:
    """Take a stage out of ``dvc.lock``, so that it is stale to DVC; whether it was there. Its outputs stay.

    Raises:
        ConfigurationError: the file is not what DVC writes, as after a merge with conflicts.
    """
    path = root / _LOCK_FILE
    yaml = YAML()
    yaml.width = 4096  # DVC wrote the lines, and they stay as they are
    try:
        lock = yaml.load(path.read_text(encoding="utf-8")) if path.is_file() else None
        stages = (lock or {}).get("stages") or {}
        if name not in stages:
            return False
        del stages[name]
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        cause = str(error).splitlines()[0]
        raise ConfigurationError(
            f"{path}: not what DVC writes; merge it, or remove it to run everything again: {cause}"
        ) from error
    stream = StringIO()
    yaml.dump(lock, stream)
    write_bytes(path, stream.getvalue().encode())
    return True
