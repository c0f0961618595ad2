"""What each stage left behind, file by file, with size and SHA-256: ``work/<stage>/outputs.json``.

Tars and parts of the manifest are not in it, since an index beside them names them; the index is. Artefacts that DVC
put in place, such as those of another commit or another machine, are what ``dvc.lock`` says instead (by MD5).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from walt.core.config import read_yaml
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import TEMPORARY_SUFFIX, storage_errors
from walt.data.partitions import PARTS_INDEX
from walt.data.shards import INDEX_NAME
from walt.project.registry import Stage

RECORD = "outputs.json"
LOCK_FILE = "dvc.lock"


def record_outputs(stage: Stage, paths: Paths) -> None:
    """Write the record of a stage that has just ended, whose lock is held. Raises StorageError."""
    found: dict[str, dict[str, Any]] = {}
    for name in stage.outputs:
        for file in output_files(paths.root / ARTIFACTS[name]):
            with storage_errors(file):
                about = {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
            found[str(file.relative_to(paths.root))] = about
    write_json_with_digest(paths.work(stage.name) / RECORD, {"files": found})


def check_outputs(stage: Stage, paths: Paths) -> tuple[int, list[CorruptArtifactError]]:
    """Compare a stage's outputs with its record, or where they differ from it with ``dvc.lock``.

    Returns:
        How many files were compared (0: neither says anything about them), and the error of each that is wrong.
    """
    recorded = _recorded(stage, paths)
    if recorded is not None and not recorded[1]:
        return recorded
    locked = _locked(stage, paths)
    if locked is None or (recorded is not None and locked[1]):
        return recorded or (0, [])
    return locked


def output_files(output: Path) -> Iterator[Path]:
    """An output's files that no index names, in their order."""
    if output.is_file():
        yield output
        return
    for file in sorted(output.rglob("*")):
        tar_of_index = file.suffix == ".tar" and (file.parent / INDEX_NAME).is_file()
        part_of_index = file.name.startswith("part-") and (file.parent / PARTS_INDEX).is_file()
        if file.is_file() and not (tar_of_index or part_of_index or TEMPORARY_SUFFIX in file.name):
            yield file


def _recorded(stage: Stage, paths: Paths) -> tuple[int, list[CorruptArtifactError]] | None:
    """What the stage's own record says; None where there is none."""
    record = paths.work(stage.name) / RECORD
    if not record.is_file():
        return None
    try:
        files: dict[str, dict[str, Any]] = read_json_with_digest(record)[0]["files"]
    except CorruptArtifactError as error:
        return 1, [error]
    wrong = []
    for name, about in files.items():
        path = paths.root / name
        if not path.is_file():
            wrong.append(CorruptArtifactError(f"{path}: {stage.name} made it, but it is missing"))
        elif path.stat().st_size != about["bytes"]:
            wrong.append(
                CorruptArtifactError(f"{path}: {path.stat().st_size} bytes, but {stage.name} made {about['bytes']}")
            )
        elif sha256_file(path) != about["sha256"]:
            wrong.append(CorruptArtifactError(f"{path}: its sha256 is not that of the file that {stage.name} made"))
    return len(files), wrong


def _locked(stage: Stage, paths: Paths) -> tuple[int, list[CorruptArtifactError]] | None:
    """What ``dvc.lock`` says of those outputs that are here; None where it does not know the stage."""
    try:
        outputs = read_yaml(paths.root / LOCK_FILE)["stages"][stage.name]["outs"]
    except (ConfigurationError, KeyError, TypeError):
        return None
    count, wrong = 0, list[CorruptArtifactError]()
    for output in outputs:
        path, digest = paths.root / output["path"], str(output["md5"])
        if path.is_file():
            count += 1
            if _md5(path) != digest:
                wrong.append(CorruptArtifactError(f"{path}: its md5 differs from {LOCK_FILE}"))
        elif path.is_dir():
            entries = [
                {"md5": _md5(file), "relpath": file.relative_to(path).as_posix()}
                for file in path.rglob("*")
                if file.is_file() and TEMPORARY_SUFFIX not in file.name
            ]
            entries.sort(key=lambda entry: entry["relpath"])
            count += len(entries)
            wrong += _differences(path, entries, digest, paths.root)
    return count, wrong


def _differences(folder: Path, found: list[dict[str, str]], digest: str, root: Path) -> list[CorruptArtifactError]:
    """Where a folder's files are not those that DVC knows under this digest, which is one of their list."""
    if f"{hashlib.md5(json.dumps(found, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir" == digest:
        return []
    listing = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    if not listing.is_file():
        return [CorruptArtifactError(f"{folder}: its files are not those in {LOCK_FILE}, and DVC's list is not here")]
    known = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8"))}
    own = {entry["relpath"]: entry["md5"] for entry in found}
    return [
        CorruptArtifactError(f"{folder / name}: {'differs from' if name in own else 'is named by'} {LOCK_FILE}")
        for name in sorted(known)
        if own.get(name) != known[name]
    ] or [CorruptArtifactError(f"{folder}: has files that are not in {LOCK_FILE}: {min(own.keys() - known.keys())}")]


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
