"""Finds Parquet files that are parts of tables whose log says which files count: Delta Lake, Apache Iceberg.

Such a table keeps files that were replaced or deleted for as long as someone may want an earlier version. Read as plain
files, old captions would be among the others. Sources: the Delta Transaction Log Protocol ("Action Reconciliation",
"Deletion Vectors", "Checkpoints"), the Iceberg Table Spec ("Manifests", "Snapshots").
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from walt.ingest.layouts.survey import Survey

_LOG = "_delta_log"
_METADATA = ".metadata.json"
_MOST = 1 << 22
_HOW = "write its present version as one Parquet file"


def parts_of_versions(survey: Survey) -> dict[str, str]:
    """Tables of the folder that must not be read alone, each with the cause: the Parquet files of Delta tables of which
    something was deleted or replaced, and those of Iceberg tables; and the logs of both."""
    logs: dict[str, list[str]] = defaultdict(list)
    icebergs: set[str] = set()
    for name in survey.tables:
        folder, _, last = name.rpartition("/")
        root, _, inside = folder.rpartition("/")
        if inside == _LOG or folder == _LOG:
            logs[root].append(name)
        elif (inside == "metadata" or folder == "metadata") and last.endswith(_METADATA):
            icebergs.add(root)
    found: dict[str, str] = {}
    for root, names in logs.items():
        found |= dict.fromkeys(names, "the log of a Delta table")
        if _leaves_out(survey, names):
            cause = f"part of a Delta table of which some was deleted or replaced: {_HOW}"
            found |= {name: found.get(name, cause) for name in _parquet_below(survey, root)}
    for root in icebergs:
        found |= dict.fromkeys(_parquet_below(survey, root), f"part of an Iceberg table: {_HOW}")
    return found


def _parquet_below(survey: Survey, root: str) -> Iterator[str]:
    prefix = f"{root}/" if root else ""
    yield from (name for name in survey.tables if name.startswith(prefix) and name.endswith(".parquet"))


def _leaves_out(survey: Survey, logs: Iterable[str]) -> bool:
    """Whether a log removes files or rows, or begins with a summary of earlier entries that may be gone."""
    return any("checkpoint" in name or any(map(_removes, _entries(survey, name))) for name in logs)


def _entries(survey: Survey, name: str) -> Iterator[Any]:
    for line in (survey.folder.read(name, _MOST) or b"").splitlines():
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield {"remove": {}}  # what cannot be read may remove something


def _removes(entry: Any) -> bool:
    added = entry.get("add") if isinstance(entry, dict) else None
    return isinstance(entry, dict) and ("remove" in entry or (isinstance(added, dict) and "deletionVector" in added))
