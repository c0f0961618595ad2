"""A T5 whose folder has pickled weights only, made into safetensors: ``walt convert-text-encoder``.

A pickle may run code when it is read. ``torch.load(weights_only=True)`` reads tensors and refuses all else; what it
refuses, we refuse. Nothing else of ours reads pickles.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.storage import TEMPORARY_SUFFIX, storage_errors, write_json

if TYPE_CHECKING:
    from torch import Tensor

PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_KINDS = ("t5", "mt5", "umt5")


def has_only_pickled(folder: Path) -> bool:
    """Whether a folder has weights, and all of them are pickled."""
    pickled = (folder / PICKLED).is_file() or (folder / PICKLED_INDEX).is_file()
    return pickled and not any(folder.glob("*.safetensors"))


def convert(folder: Path) -> dict[str, int]:
    """Write safetensors beside the pickled weights of a folder, file by file, and read each back: every tensor must
    have the same bits. The pickles stay.

    Returns:
        Name of the file that was written -> how many tensors it has.

    Raises:
        ConfigurationError: no such folder, not a T5, no pickled weights, safetensors are there already, or a pickle
            holds more than tensors.
        CorruptArtifactError: a file is missing or cannot be read, or what was written differs.
        StorageError: the disk is full or read-only.
    """
    names = _pickled_files(folder)
    places: dict[str, list[str]] = {}
    with storage_errors(folder):
        for number, name in enumerate(names, start=1):
            target = WEIGHTS if len(names) == 1 else f"model-{number:05d}-of-{len(names):05d}.safetensors"
            tensors = _read(folder / name)
            _write(folder / target, tensors)
            places[target] = list(tensors)
            del tensors  # before the next one is read
        if len(names) > 1:
            total = sum((folder / target).stat().st_size for target in places)
            of_names = {name: target for target, inside in places.items() for name in inside}
            write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": of_names})
    return {target: len(inside) for target, inside in places.items()}


def _pickled_files(folder: Path) -> list[str]:
    """Names of the pickles."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        raise ConfigurationError(f"{folder}: no config.json of a model") from None
    if kind not in _KINDS:
        raise ConfigurationError(f"{folder}: a {kind} model, not a T5")
    if there := sorted(path.name for path in folder.glob("*.safetensors")):
        raise ConfigurationError(f"{folder}: {there[0]} is there: nothing to do")
    if (folder / PICKLED).is_file():
        return [PICKLED]
    if not (folder / PICKLED_INDEX).is_file():
        raise ConfigurationError(f"{folder}: no {PICKLED}, and no {PICKLED_INDEX}")
    try:
        places = json.loads((folder / PICKLED_INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptArtifactError(f"{folder / PICKLED_INDEX}: not an index of weights") from None
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise CorruptArtifactError(f"{folder}: {name} is missing, which {PICKLED_INDEX} names")
    return names


def _read(file: Path) -> dict[str, Tensor]:
    import torch

    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigurationError(f"{file}: holds more than tensors, which may run code: not read") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise CorruptArtifactError(f"{file}: {(str(error).splitlines() or [type(error).__name__])[0][:160]}") from None
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        raise ConfigurationError(f"{file}: not a mapping from names to tensors")
    # each by itself: safetensors refuses tensors that share memory, as T5's embeddings do
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in content.items()}


def _write(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write under a temporary name, read it back, and only then give it its own."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    temporary = file.with_name(f"{file.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        save_file(dict(tensors), temporary, metadata={"format": "pt"})
        with safe_open(temporary, "pt") as written:
            differing = [name for name, tensor in tensors.items() if not _same_bits(written.get_tensor(name), tensor)]
            if differing or set(written.keys()) != set(tensors):
                raise CorruptArtifactError(
                    f"{file}: {(differing or ['its list of tensors'])[0]} differs from the pickle"
                )
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Also where a value is not a number."""
    import torch

    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(*(tensor.reshape(-1).view(torch.uint8) for tensor in (one, other)))
