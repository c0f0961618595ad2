"""How a folder for diffusers is laid out: where each model of a project goes, and ``walt.json``, which says how to take
it back.

``walt.json`` has its own digest, the SHA-256 of every other file, and the settings that the models were made with. What
a project's model folders hold besides weights lies below ``project/``, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.core.printable import printable

MANIFEST, PROJECT, CARD = "walt.json", "project", "README.md"
MODEL_INDEX, CONFIG = "model_index.json", "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
"""Of our components; the text encoder's are ``model.safetensors``."""
FORMAT = 1
"""Of ``walt.json``."""
DIFFUSERS = "0.42.1"
"""The version that the folders are tested with."""
TEXT_ENCODER, TOKENIZER, AUTOENCODER, SCHEDULER = "text_encoder", "tokenizer", "vae", "scheduler"
TRANSFORMER, FOLLOWING = "transformer", ("super_resolution", "super_resolution_2")
PREFIX = "model."
"""Before the names of our weights in a component's file: the model is inside a class of diffusers."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz")
_MADE_BY = "walt export model"


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write ``walt.json`` over all files that are in the folder now; it comes last."""
    files = {name: sha256_file(folder / name) for name in _files(folder)}
    write_json_with_digest(folder / MANIFEST, {"made_by": _MADE_BY, "format": FORMAT, **content, "files": files})


def is_ours(folder: Path) -> bool:
    """Whether ``walt export model`` wrote the folder, as far as it says so."""
    try:
        return read_json_with_digest(folder / MANIFEST)[0].get("made_by") == _MADE_BY
    except (OSError, CorruptArtifactError):
        return False


def read_manifest(folder: Path, name: str) -> dict[str, Any]:
    """``walt.json``, after comparing every file with it. Nothing is loaded.

    Args:
        name: of the folder, in messages.

    Raises:
        ConfigurationError: the folder is missing, is not one of ours, is of a newer format, or holds a pickle.
        CorruptArtifactError: a file is missing or differs, or there is one that it does not name.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{name}: {'a file, not a folder' if folder.is_file() else 'no such folder'}")
    found = _files(folder)
    check_names(found, name)
    content, checked = read_json_with_digest(folder / MANIFEST)
    if not checked:
        raise CorruptArtifactError(f"{name}/{MANIFEST}: its own digest is missing")
    if content.get("made_by") != _MADE_BY or type(content.get("format")) is not int:
        raise ConfigurationError(f"{name}/{MANIFEST}: not made by `walt export model`")
    if content["format"] > FORMAT:
        raise ConfigurationError(f"{name}: its format {content['format']} is newer than this version's, {FORMAT}")
    _compare(folder, name, content["files"], (file for file in found if file != MANIFEST))
    return content


def check_names(files: Sequence[str], name: str) -> None:
    """Raise ConfigurationError where files of these names are not of a folder of ours, or one may be a pickle."""
    if pickles := [file for file in files if file.endswith(_PICKLES)]:
        raise ConfigurationError(f"{name}: holds {printable(pickles[0])}, which may run code when it is read; not read")
    if MANIFEST not in files:
        raise ConfigurationError(
            f"{name}: not made by `walt export model` ({MANIFEST} is missing); an autoencoder of diffusers is named in "
            "train_autoencoder.frozen, a T5 in text.encoder"
        )


def _compare(folder: Path, name: str, named: dict[str, str], found: Iterable[str]) -> None:
    """Raise CorruptArtifactError where files are not those that the manifest names. A changed card is not damage: the
    Hub's page lets people edit it."""
    there = set(found)
    for file in sorted(named.keys() | there):
        if file not in there:
            raise CorruptArtifactError(f"{name}/{printable(file)}: missing, though {MANIFEST} names it")
        if file == CARD or file in _OF_ENDPOINTS:
            continue
        if file not in named:
            raise CorruptArtifactError(f"{name}/{printable(file)}: not a file that {MANIFEST} names")
        if sha256_file(folder / file) != named[file]:
            raise CorruptArtifactError(f"{name}/{printable(file)}: its sha256 differs from {MANIFEST}")


_OF_ENDPOINTS = frozenset({".gitattributes"})
"""Files that a hub adds."""


def _files(folder: Path) -> list[str]:
    """Names of all files, with ``/``; those of hidden folders, such as a hub's cache, are not of the model."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts[:-1]))
