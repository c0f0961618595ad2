"""What a model version was made of: settings, code, models, tars, clips and source files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from walt.core.config import read_yaml
from walt.core.paths import Paths
from walt.data.manifest import has_manifest, manifest_parts
from walt.tracking.lineage import Registry, TrainedBy, Version, count_in, sources_in

DVC_CACHE = Path(".dvc/cache/files/md5")
_UNKNOWN = "not recorded: an earlier version trained it, or MLflow has lost its run"


def describe(registry: Registry, version: Version, paths: Paths, most: int | None = None) -> dict[str, Any]:
    """All that is known of a version, as JSON: its run, code, settings, models, tars, clips and sources.

    Data that were replaced since are looked up in DVC's cache by the hash that the run has of them.

    Args:
        most: how many sources are listed; None: all. The numbers are of all.

    Raises:
        UnreachableError: MLflow does not answer.
    """
    run = registry.trained_by(version)
    about: dict[str, Any] = {
        "model": version.name, "version": version.version, "aliases": list(version.aliases),
        "digest": version.digest, "location": version.location,
        "tags": {key: value for key, value in version.tags.items() if key.startswith("takedown")},
    }  # fmt: skip
    if run is None:
        return about | {"run": None, "note": _UNKNOWN}
    table = registry.sources_table(run)
    totals = {"sources": 0, "train": 0, "held_out": 0} if table is None else count_in(table)
    sources = [] if table is None else sources_in(table, most)
    names = _names(paths, [digest for digest, _, _ in sources])
    return about | {
        "run": run.run_id,
        "stage": run.tags.get("stage"),
        "code": {key: run.tags[key] for key in ("git.commit", "git.dirty") if key in run.tags},
        "settings": run.params,
        "uses": [{"model": one.name, "version": one.version, "digest": one.digest} for one in registry.uses(run)],
        "given": {key: value for key, value in run.tags.items() if key.split(".")[0] in ("initial_weights", "frozen")},
        "inputs": _inputs(paths, run),
        "note": None if table is not None else _UNKNOWN,
        "clips": {"train": totals["train"], "held_out": totals["held_out"]},
        "num_sources": totals["sources"],
        "sources": [
            {"sha256": digest, "name": names.get(digest), "train": train, "held_out": held_out}
            for digest, train, held_out in sources
        ],
    }


def _inputs(paths: Paths, run: TrainedBy) -> list[dict[str, Any]]:
    """The artefacts that the run read, by the hashes of ``dvc.lock``, and the tars that were in each."""
    now = _locked(paths.root)
    found = []
    for path, digest in sorted(run.inputs.items()):
        listing = paths.root / DVC_CACHE / digest[:2] / digest[2:]
        tars = None
        if digest.endswith(".dir") and listing.is_file():
            entries = json.loads(listing.read_text(encoding="utf-8"))
            tars = [f"{path}/{entry['relpath']}" for entry in entries if entry["relpath"].endswith(".tar")]
        elif now.get(path) == digest and (paths.root / path).is_dir():
            tars = sorted(str(file.relative_to(paths.root)) for file in (paths.root / path).rglob("*.tar"))
        found.append({"path": path, "md5": digest, "here_now": now.get(path) == digest,
                      "in_dvc_cache": listing.is_file(), "tars": tars})  # fmt: skip
    return found


def _locked(root: Path) -> Mapping[str, str]:
    """Path -> hash in ``dvc.lock``."""
    if not (root / "dvc.lock").is_file():
        return {}
    stages = (read_yaml(root / "dvc.lock").get("stages") or {}).values()
    return {out["path"]: str(out["md5"]) for stage in stages for out in stage.get("outs", []) if "md5" in out}


def _names(paths: Paths, digests: list[str]) -> dict[str, str]:
    """The names that the present manifest has for these sources."""
    names: dict[str, str] = {}
    if not digests or not has_manifest(paths.manifest):
        return names
    wanted = pa.array(digests, pa.string())
    for groups in manifest_parts(paths.manifest, ("source", "source_sha256")):
        for table in groups:
            own = table.filter(pc.is_in(table["source_sha256"], wanted))
            own = own.group_by("source_sha256").aggregate([("source", "min")])
            names |= dict(zip(own["source_sha256"].to_pylist(), own["source_min"].to_pylist(), strict=True))
    return names
