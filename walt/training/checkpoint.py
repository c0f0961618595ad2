"""Checkpoints: safetensors and JSON in a folder per step, whole or absent, each file under its SHA-256.

``work/step-000000250/`` holds one ``<part>.safetensors`` for each part (model, EMA, optimizer), ``state.json`` (step,
identity, and what else the loop needs) and, written last, ``manifest.json``. Which are kept is a rule (``Retention``).
There is no pickle: only files under these names, with the promised digest, are opened.

A damaged checkpoint is set aside as ``damaged-step-000000250``, and the one before is taken. Where none is whole,
nothing is touched, and that is an error: to begin at step 0 is for the user to decide.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.log import warning
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.core.storage import atomic_directory, clean_temporary, read_json, storage_errors, verify_file, write_json
from walt.training.set_aside import DAMAGED, checkpoints, damaged_checkpoints, remove

_MANIFEST = "manifest.json"
_STATE = "state.json"

FORMAT = 2
"""Of ``state.json``; checkpoints in another format are refused. 1 had no number, and one digest for all code."""


class OtherFormatError(ConfigurationError):
    """The checkpoint was written by a version that records other things."""


class NoneWholeError(CorruptArtifactError):
    """A run has checkpoints, and all of them are damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved after ``step`` steps."""

    step: int
    identity: dict[str, Any]
    """Of the run that wrote it (``walt.training.differences``)."""
    state: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]
    """Part ("model", "ema", "optimizer") -> name -> tensor, on the CPU."""
    seconds: float = 0.0
    """How long the run had been trained, over all its processes."""


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay when a newer one has been written: the newest, and some of those before."""

    newest: int
    """How many of the newest, at least 1."""
    every_steps: int | None = None
    """Besides, the first of each so many steps, to the end of the run; None: no others."""
    every_hours: float | None = None
    """Likewise, of each so many hours of training. Hours in which no process trained do not count, nor does the
    clock: a process measures how long it has worked."""

    def lasts(self, step: int, seconds: float, before: tuple[int, float]) -> bool:
        """Whether the checkpoint after ``step`` steps and ``seconds`` of training stays to the end of the run.

        Args:
            before: steps and seconds of the checkpoint before it; zeros where it is the first.
        """
        by_steps = self.every_steps is not None and step // self.every_steps > before[0] // self.every_steps
        hour = 3600.0 * (self.every_hours or 0.0)
        return by_steps or (hour > 0.0 and seconds // hour > before[1] // hour)


def save(
    work: Path,
    step: int,
    identity: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    seconds: float = 0.0,
    lasting: bool = False,
) -> None:
    """Write a checkpoint and read it back: what is on the disk has the digests in its manifest.

    Args:
        parts: tensors as ``plain_copies`` makes them.
        seconds: how long the run has been trained.
        lasting: it stays to the end of the run, whatever comes after it (``Retention``).

    Raises:
        StorageError: the disk is full or read-only, or returns other bytes than were written; earlier checkpoints are
            intact.
    """
    content = {"format": FORMAT, "step": step, "identity": dict(identity), "state": dict(state)}
    try:
        with atomic_directory(folder_of(work, step)) as folder:
            for part, tensors in parts.items():
                _write_tensors(folder / f"{part}.safetensors", tensors)
            write_json(folder / _STATE, content)
            files = {
                file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in folder.iterdir()
            }
            write_json_with_digest(folder / _MANIFEST, {"files": files, "seconds": seconds, "lasting": lasting})
    except StorageError as error:
        raise StorageError(f"{error}; the checkpoint of step {step} was not written, {_newest_of(work)}") from error


def _newest_of(work: Path) -> str:
    """What there is to go on from, for a message."""
    try:
        folders = checkpoints(work)
    except OSError:
        return "and the disk cannot be read"
    return f"that of step {int(folders[-1].name.removeprefix('step-'))} is kept" if folders else "there is none yet"


def remove_old(work: Path, newest: int) -> None:
    """Remove checkpoints that are neither lasting nor among the ``newest``, and damaged ones that are older."""
    folders = checkpoints(work)
    oldest = folders[-newest:][0].name if folders else ""
    damaged = (folder for folder in damaged_checkpoints(work) if folder.name.removeprefix(DAMAGED) < oldest)
    remove([*(old for old in folders[:-newest] if not _is_lasting(old)), *damaged])


def load(work: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; a damaged one is reported and set aside, and the one before is taken.

    Returns:
        None when none was ever written.

    Raises:
        NoneWholeError: all are damaged; none was set aside.
        OtherFormatError: it was written by a version that records other things.
        StorageError: the disk cannot be read.
    """
    if not work.is_dir():
        return None
    with storage_errors(work):
        clean_temporary(work)
        found, damaged = _newest_whole(work, with_parts=True)
        for folder, error in damaged.items():
            aside = _set_aside(folder)
            warning(f"checkpoint is damaged, falling back to the one before: {error}; it is kept as {aside}")
    return found


def newest(work: Path, *, hashed: bool = False) -> Checkpoint | None:
    """What ``load`` would find, but without the tensors. Changes nothing.

    Args:
        hashed: the tensors' digests are compared; without, they are not looked at, which is quick.

    Raises:
        NoneWholeError, OtherFormatError, StorageError: as ``load``.
    """
    with storage_errors(work):
        return _newest_whole(work, with_parts=False, hashed=hashed)[0]


def check(folder: Path) -> int:
    """Compare all files of a checkpoint with its manifest. Returns their number. Raises CorruptArtifactError, which
    names the file."""
    manifest = folder / _MANIFEST
    if not manifest.is_file():
        raise CorruptArtifactError(f"{manifest}: no such file")
    try:
        files: dict[str, dict[str, Any]] = read_json_with_digest(manifest)[0]["files"]
        for name, promised in files.items():
            verify_file(folder / name, promised["bytes"], promised["sha256"])
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptArtifactError(f"{manifest}: {type(error).__name__}: {error}") from error
    return len(files) + 1


def folder_of(work: Path, step: int) -> Path:
    """The folder of the checkpoint after ``step`` steps."""
    return work / f"step-{step:09d}"


def plain_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Separate copies on the CPU, in row-major order: safetensors stores neither shared nor strided memory."""
    return {name: _plain(tensor) for name, tensor in tensors.items()}


def _plain(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.device.type == "cpu":
        return tensor.clone(memory_format=torch.contiguous_format)
    return tensor.to("cpu").contiguous()


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, and compare what is on the disk with what was written. Raises StorageError."""
    try:
        with storage_errors(path):
            save_file(dict(tensors), path)
        with safe_open(path, framework="pt") as file:  # one tensor at a time: a checkpoint may be most of the memory
            for name, value in tensors.items():
                if not _same_bits(file.get_tensor(name), value):
                    raise StorageError(f"{path}: '{name}' is not what was written: the disk returns other bytes")
    except SafetensorError as error:  # the tensors are plain: only writing or reading can fail
        raise StorageError(f"{path}: {error}") from error


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal bit by bit: NaN is then equal to itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


def _newest_whole(
    work: Path, with_parts: bool, hashed: bool = True
) -> tuple[Checkpoint | None, dict[Path, CorruptArtifactError]]:
    """The newest checkpoint that is whole, None where none was ever written; and those after it, with what they have.

    Raises NoneWholeError, OtherFormatError.
    """
    damaged: dict[Path, CorruptArtifactError] = {}
    for folder in reversed(checkpoints(work)):
        try:
            return _read(folder, with_parts, hashed), damaged
        except CorruptArtifactError as error:
            damaged[folder] = error
    if number := len(damaged) + len(damaged_checkpoints(work)):
        why = next(iter(damaged.values()), "an earlier start has found them so")
        raise NoneWholeError(f"{work}: no checkpoint is whole of {number} that are there ({why})")
    return None, damaged


def _is_lasting(folder: Path) -> bool:
    try:
        return bool(read_json(folder / _MANIFEST).get("lasting"))
    except (OSError, ValueError, AttributeError):  # damaged, and outdated
        return False


def _set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint; damaged ones of the same step get a number."""
    aside = folder.with_name(DAMAGED + folder.name)
    numbered = (aside.with_name(f"{aside.name}.{number}") for number in count(1))
    return folder.rename(next(path for path in chain([aside], numbered) if not path.exists()))


def _read(folder: Path, with_parts: bool, hashed: bool) -> Checkpoint:
    """A checkpoint. Raises CorruptArtifactError when anything differs from the manifest, OtherFormatError.

    Args:
        hashed: all files; else only the one that has the state.
    """
    try:
        manifest, _ = read_json_with_digest(folder / _MANIFEST)
        files = manifest["files"]
        for name, promised in files.items():
            if (hashed or name == _STATE) and sha256_file(folder / name) != promised["sha256"]:
                raise CorruptArtifactError(f"{folder / name}: its sha256 differs from the manifest")
        content = read_json(folder / _STATE)
        if content.get("format") != FORMAT:
            raise OtherFormatError(f"{folder} is a checkpoint of another version of walt, in another format")
        names = sorted(name for name in files if name.endswith(".safetensors")) if with_parts else []
        parts = {name.removesuffix(".safetensors"): load_file(folder / name) for name in names}
        seconds = float(manifest.get("seconds", 0.0))
        return Checkpoint(content["step"], content["identity"], content["state"], parts, seconds)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CorruptArtifactError(f"{folder}: {type(error).__name__}: {error}") from error
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise CorruptArtifactError(f"{folder}: {error.strerror}") from error  # the disk has lost a part of it
