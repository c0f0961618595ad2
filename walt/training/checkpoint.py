"""Checkpoints: safetensors and JSON in a folder per step, whole or absent, each file under its SHA-256.

``work/step-000000250/`` holds one ``<part>.safetensors`` for each part (model, EMA, optimizer), ``state.json`` (step,
identity, and what else the loop needs) and, written last, ``manifest.json``. The two newest are kept. There is no
pickle: only files under these names, with the promised digest, are opened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
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

KEPT = 2
_MANIFEST = "manifest.json"
_STATE = "state.json"


class IdentityError(ConfigurationError):
    """The checkpoint belongs to another configuration or other data. The message names each difference."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved after ``step`` steps."""

    step: int
    parts: dict[str, dict[str, Tensor]]
    """Part ("model", "ema", "optimizer") -> name -> tensor, on the CPU."""
    state: dict[str, Any]


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
    with atomic_directory(work / f"step-{step:09d}") as folder:
        for part, tensors in parts.items():
            path = folder / f"{part}.safetensors"
            try:
                save_file({name: _plain(value) for name, value in tensors.items()}, path)
            except SafetensorError as error:  # the tensors are plain: only writing can fail
                raise StorageError(f"{path}: {error}") from error
        write_json(folder / _STATE, {"step": step, "identity": dict(identity), "state": dict(state)})
        files = {file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in folder.iterdir()}
        write_json(folder / _MANIFEST, {"files": files})
    for old in _folders(work)[:-KEPT]:
        shutil.rmtree(old)


def load(work: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """The newest checkpoint that is whole; a damaged one is reported, removed, and the one before is taken.

    Returns:
        None when there is none.

    Raises:
        IdentityError: it was made under another identity; names what differs.
    """
    if not work.is_dir():
        return None
    clean_temporary(work)
    for folder in reversed(_folders(work)):
        try:
            checkpoint, found = _read(folder)
        except CorruptArtifactError as error:
            warning(f"checkpoint is damaged, falling back to the one before: {error}")
            shutil.rmtree(folder)
            continue
        if differences := describe_differences(found, identity):
            raise IdentityError(f"{folder}: made under another configuration: {differences}")
        return checkpoint
    return None


def discard(work: Path) -> None:
    """Remove all checkpoints in ``work``."""
    for folder in _folders(work):
        shutil.rmtree(folder)


def describe_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """What changed between two identities, key by key: ``optimizer.learning_rate: 0.002 -> 0.001``; empty if equal."""
    old, new = _flatten(found), _flatten(expected)
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return "; ".join(f"{key}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}" for key in changed)


def _flatten(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        nested = (_flatten(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items())
        return {key: text for flat in nested for key, text in flat.items()}
    return {prefix: json.dumps(value, sort_keys=True)}


def _folders(work: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(folder for folder in work.glob("step-*") if folder.name.removeprefix("step-").isdigit())


def _plain(tensor: Tensor) -> Tensor:
    """A separate copy on the CPU: safetensors stores neither shared nor strided memory."""
    return tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def _read(folder: Path) -> tuple[Checkpoint, dict[str, Any]]:
    """A checkpoint and its identity. Raises CorruptArtifactError when anything differs from the manifest."""
    try:
        files = read_json(folder / _MANIFEST)["files"]
        for name, promised in files.items():
            if sha256_file(folder / name) != promised["sha256"]:
                raise CorruptArtifactError(f"{folder / name}: its sha256 differs from the manifest")
        content = read_json(folder / _STATE)
        names = sorted(name for name in files if name.endswith(".safetensors"))
        parts = {name.removesuffix(".safetensors"): load_file(folder / name) for name in names}
        return Checkpoint(content["step"], parts, content["state"]), content["identity"]
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CorruptArtifactError(f"{folder}: {type(error).__name__}: {error}") from error
