"""Inputs of a stage that are missing because nobody asked for them: a stage that is run by hand does without.

Stages whose sections are null still run in ``dvc repro``, so that the pipeline is always the same. Who runs stages one
by one need not call those that have nothing to do.
"""

from __future__ import annotations

from walt.captioning.corrections import FOLDER as CORRECTIONS
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.transformers import TRANSFORMERS
from walt.data.written_captions import check_written
from walt.project.params import Params
from walt.project.registry import Stage


def prepare_inputs(stage: Stage, params: Params, paths: Paths) -> None:
    """Leave out the transformers that are null and whose stages were not run, where the stage trains one or reads them;
    check the captions that ``encode-text`` reads.

    Raises:
        StorageError: captions are asked for, and there are none, or they were written for another manifest.
        CorruptArtifactError: what says so is damaged.
    """
    for transformer in TRANSFORMERS:
        folder = paths.root / transformer.folder
        read_here = stage.transformer is not None or transformer.name in stage.inputs
        if read_here and getattr(params, transformer.name) is None and not folder.exists():
            leave_out(folder, transformer.name)
    if stage.name == "encode-text" and captions_wanted(params, paths) and paths.manifest.exists():
        check_written(paths.manifest, wanted=True)


def captions_wanted(params: Params, paths: Paths) -> bool:
    """Whether ``walt caption`` has something to do: a model to ask, or corrections by people."""
    return params.caption is not None or any((paths.root / CORRECTIONS).glob("*.csv"))
