"""Checkpoints: safetensors and JSON in a folder per step, whole or absent, each file under its SHA-256.

``work/step-000000250/`` holds one ``<part>.safetensors`` for each part (model, EMA, optimizer), ``state.json`` (step,
identity, and what else the loop needs) and, written last, ``manifest.json``. The two newest are kept. There is no
pickle: only files under these names, with the promised digest, are opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.log import warning
from walt.core.storage import atomic_directory, clean_temporary, read_json, write_json
from walt.training.set_aside import checkpoints, set_aside_damaged

KEPT = 2
FORMAT = 2
"""Of ``state.json``; checkpoints in another format are refused. 1 had no number, and one digest for all code."""
_MANIFEST = "manifest.json"
_STATE = "state.json"


class OtherFormatError(ConfigurationError):
    """The checkpoint was written by a version that records other things."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved after ``step`` steps."""

    step: int
    identity: dict[str, Any]
    """Of the run that wrote it (``walt.training.differences``)."""
    state: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]
    """Part ("model", "ema", "optimizer") -> name -> tensor, on the CPU."""


def save(
    work: Path,
    step: int,
    identity: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
) -> None:
    """Write a checkpoint, then remove all but the ``KEPT`` newest.

    Raises:
        StorageError: the disk is full or read-only; earlier checkpoints are intact.
    """
    with atomic_directory(folder_of(work, step)) as folder:
        for part, tensors in parts.items():
            path = folder / f"{part}.safetensors"
            try:
                save_file({name: _plain(value) for name, value in tensors.items()}, path)
            except SafetensorError as error:  # the tensors are plain: only writing can fail
                raise StorageError(f"{path}: {error}") from error
        write_json(folder / _STATE, {"format": FORMAT, "step": step, "identity": dict(identity), "state": dict(state)})
        files = {file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in folder.iterdir()}
        write_json(folder / _MANIFEST, {"files": files})
    remove(checkpoints(work)[:-KEPT])


def load(work: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; a damaged one is reported, set aside, and the one before is taken.

    Returns:
        None when there is none.

    Raises:
        ConfigurationError: it was written by an earlier version, which recorded less.
    """
    if not work.is_dir():
        return None
    clean_temporary(work)
    for folder in reversed(checkpoints(work)):
        try:
            return _read(folder, with_parts=True)
        except CorruptArtifactError as error:
            place = set_aside_damaged(folder)
            warning(f"checkpoint is damaged, falling back to the one before: {error}; it is in {place}")
    return None


def newest(work: Path) -> Checkpoint | None:
    """What ``load`` would find, but without the tensors, which are not looked at: quick. Changes nothing.

    Raises:
        ConfigurationError: as ``load``.
    """
    for folder in reversed(checkpoints(work)):
        with suppress(CorruptArtifactError):
            return _read(folder, with_parts=False)
    return None


def remove(folders: Iterable[Path]) -> None:
    """Remove checkpoints."""
    for folder in folders:
        shutil.rmtree(folder)


def folder_of(work: Path, step: int) -> Path:
    """The folder of the checkpoint after ``step`` steps."""
    return work / f"step-{step:09d}"


def _plain(tensor: Tensor) -> Tensor:
    """A separate copy on the CPU: safetensors stores neither shared nor strided memory."""
    return tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def _read(folder: Path, with_parts: bool) -> Checkpoint:
    """A checkpoint. Raises CorruptArtifactError when anything differs from the manifest, ConfigurationError."""
    try:
        files = read_json(folder / _MANIFEST)["files"]
        for name, promised in files.items():
            if (with_parts or name == _STATE) and sha256_file(folder / name) != promised["sha256"]:
                raise CorruptArtifactError(f"{folder / name}: its sha256 differs from the manifest")
        content = read_json(folder / _STATE)
        if content.get("format") != FORMAT:
            raise OtherFormatError(f"{folder} is a checkpoint of another version of walt, in another format")
        names = sorted(name for name in files if name.endswith(".safetensors")) if with_parts else []
        parts = {name.removesuffix(".safetensors"): load_file(folder / name) for name in names}
        return Checkpoint(content["step"], content["identity"], content["state"], parts)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CorruptArtifactError(f"{folder}: {type(error).__name__}: {error}") from error
