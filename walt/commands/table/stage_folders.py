"""Stages of many runs, each run once: in a folder of its own, named after all that its result depends on.

``work/tables/<stage>-<digest>`` is a small project: ``params.yaml``, links to what earlier stages made, and the stage's
own outputs and checkpoints. Two runs that differ only in a training's settings share all stages before it, and a stage
that was killed goes on in its folder as it does in any project. Settings, code or clips that differ are another folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from walt.commands.table.cells import Cell
from walt.core.digests import sha256_file, sha256_json
from walt.core.paths import ARTIFACTS, Paths
from walt.core.remote import is_remote
from walt.core.storage import write_bytes
from walt.ingest.prepare import prepare
from walt.project.code_identity import code_digest
from walt.project.new_folder import shipped_files
from walt.project.params import Params
from walt.project.recorded_outputs import RECORD
from walt.project.registry import STAGES, Stage, get_stage, stages_needed_for
from walt.project.runner import PARAMS_FILE, run_stage
from walt.tracking.server import resolve_uri

FOLDER = "tables"
_DIGITS = 16
_MAKERS = {output: stage.name for stage in STAGES for output in stage.outputs}


class StageFolders:
    """The folders of a project's tables."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.place = Paths(self.root).work(FOLDER)
        self._clips: dict[str, str] = {}  # ingest's folder -> digest of what it made
        self._code: dict[str, str] = {}  # a stage's module -> digest of its code, which takes a while to find

    def read_sources(self, cell: Cell) -> None:
        """Bring a cell's clips up to date: the sources may have changed. Once in a process for the same settings.

        Raises:
            WaltError: as the stage ``ingest``, and where the dataset is not there.
        """
        stage = get_stage("ingest")
        folder = self._folder(stage, cell, {})
        if folder.name not in self._clips:
            params = cell.params(stage)
            dataset = params.dataset.model_copy(update={"descriptor": str(self._descriptor(params))})
            prepare(dataset, params.compute, Paths(self.root))
            self._run(stage, cell, folder, {})
            self._clips[folder.name] = sha256_file(Paths(folder).work(stage.name) / RECORD)

    def folders(self, cell: Cell, last: str) -> dict[str, Path]:
        """Each stage that ``last`` needs -> its folder, in their order. ``read_sources`` was called."""
        found: dict[str, Path] = {}
        for stage in stages_needed_for(last):
            found[stage.name] = self._folder(stage, cell, found)
        return found

    def finished(self, cell: Cell, last: str) -> bool:
        """Whether all its stages have been run."""
        return all(is_finished(get_stage(name), folder) for name, folder in self.folders(cell, last).items())

    def run(self, cell: Cell, last: str) -> Path:
        """Run what has not been run yet, up to the stage ``last``; returns that one's folder.

        Raises:
            WaltError: as the stage that failed.
        """
        folders = self.folders(cell, last)
        for name, folder in folders.items():
            stage = get_stage(name)
            if not is_finished(stage, folder):
                self._run(stage, cell, folder, folders)
        return folders[last]

    def _run(self, stage: Stage, cell: Cell, folder: Path, folders: dict[str, Path]) -> None:
        params = cell.params(stage)
        self._link_sources(folder, params)
        for name in stage.inputs:
            _link(folder / ARTIFACTS[name], folders[_MAKERS[name]] / ARTIFACTS[name])
        data = params.model_dump(mode="json")
        data["tracking"] |= of_tables(params, self.root)
        write_bytes(folder / PARAMS_FILE, json.dumps(data, indent=1).encode())  # JSON is YAML
        run_stage(stage, folder)

    def _folder(self, stage: Stage, cell: Cell, folders: dict[str, Path]) -> Path:
        """The name says all that the result depends on: settings, code, descriptor, and the folders that are read."""
        if stage.module not in self._code:
            self._code[stage.module] = code_digest(stage.module)
        data = cell.params(stage).model_dump(mode="json")
        inputs = {name: folders[_MAKERS[name]].name for name in stage.inputs}
        identity = {
            "settings": {section: data[section] for section in stage.params},
            "inputs": inputs,
            "clips": sorted({self._clips[name] for name in inputs.values() if name in self._clips}),
            "code": self._code[stage.module],
            "sources": self._sources(stage, cell.own),
        }
        return self.place / f"{stage.name}-{sha256_json(identity)[:_DIGITS]}"

    def _sources(self, stage: Stage, params: Params) -> dict[str, str]:
        """File that a stage reads outside of the artefacts -> digest; of the dataset's own, ingest made the clips."""
        if not stage.sources:
            return {}
        found = {params.dataset.descriptor: self._descriptor(params)}
        for source in stage.sources:
            if "${" not in source:
                files = (file for file in (self.root / source).rglob("*") if file.is_file())
                found |= {file.relative_to(self.root).as_posix(): file for file in files}
        return {name: sha256_file(file) for name, file in found.items()}

    def _descriptor(self, params: Params) -> Path:
        """Of the dataset: the project's own, or the one that comes with walt."""
        own = self.root / params.dataset.descriptor
        return own if own.is_file() else shipped_files() / params.dataset.descriptor

    def _link_sources(self, folder: Path, params: Params) -> None:
        """Make the project's files that settings name be found under the same names."""
        descriptor = self._descriptor(params)
        _link(folder / "datasets", descriptor.parents[len(Path(params.dataset.descriptor).parts) - 2])
        for name in (params.dataset.path, *_files(params)):
            elsewhere = is_remote(name) or name.startswith("~") or Path(name).is_absolute()
            if not elsewhere and (self.root / name).exists():
                _link(folder / name, self.root / name)


def is_finished(stage: Stage, folder: Path) -> bool:
    """Whether a stage was run to its end there, and what it made is still there."""
    paths = Paths(folder)
    return (paths.work(stage.name) / RECORD).is_file() and all(
        (folder / ARTIFACTS[name]).exists() for name in stage.outputs
    )


def of_tables(params: Params, root: Path) -> dict[str, Any]:
    """What differs in section ``tracking``: the project's MLflow, but an experiment and model versions of their own, so
    that no promotion sees them."""
    return {
        "uri": resolve_uri(params.tracking.uri, root),
        "experiment": f"{params.tracking.experiment}-tables",
        "model_prefix": f"{params.tracking.model_prefix}-tables",
        "system_metrics": False,
    }


def _files(params: Params) -> list[str]:
    """Files and folders of networks that settings name."""
    networks = [file.path for file in (*params.evaluate.networks.values(), *params.evaluate.statistics.values())]
    perceptual = params.train_autoencoder.perceptual_network
    encoder = params.text.encoder if params.text is not None else None
    return [*networks, *(name for name in (perceptual, encoder) if name is not None)]


def _link(place: Path, target: Path) -> None:
    """A link from one place below the tables' folder to another, or to a file of the project."""
    relative = os.path.relpath(target, place.parent)
    if place.is_symlink() and str(place.readlink()) == relative:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(relative)
