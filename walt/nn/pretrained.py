"""A model as a folder: ``model.safetensors`` and ``config.json``. No pickle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from walt.core.config import Section, parse_section
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.core.storage import write_bytes

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FORMAT = 2
"""Of ``config.json``: one more with each change for which older files need ``upgraded``. Files without it have 0."""
ADDED: tuple[tuple[int, str, dict[str, Any]], ...] = ()
"""Knobs of models that were added later: (the first format that has them, the section's class, each key with what
models had before)."""
_WEIGHTS_DIGEST = "weights_sha256"
_CHECKED = 2
"""The first format with digests."""
SectionT = TypeVar("SectionT", bound=Section)


def save_weights(folder: Path, state_dict: dict[str, Tensor], config: Section) -> None:
    """Write both files; the weights as they are, in row-major order."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    data = save(tensors)
    write_bytes(folder / WEIGHTS, data)
    about = {"format": FORMAT, _WEIGHTS_DIGEST: hashlib.sha256(data).hexdigest()}
    write_json_with_digest(folder / CONFIG, {**about, **config.model_dump(mode="json")})


def load_config(folder: Path, section: type[SectionT]) -> SectionT:
    """Read ``config.json``, of this format or an older one.

    Raises:
        StorageError: there is no model.
        CorruptArtifactError: it is not JSON, or differs from its own digest.
        ConfigurationError: it is another kind of model's, or of a newer format.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise StorageError(f"{folder}: no model here ({CONFIG} is missing)")
    return parse_section(upgraded(_content(file), section, str(file)), section, source=str(file))


def _content(file: Path) -> dict[str, Any]:
    """What ``config.json`` says. Raises CorruptArtifactError."""
    content, checked = read_json_with_digest(file)
    found = content.get("format")
    has_digests = _WEIGHTS_DIGEST in content or (type(found) is int and _CHECKED <= found <= FORMAT)
    if has_digests and not checked:
        raise CorruptArtifactError(f"{file}: its own digest is missing")
    return content


def upgraded(data: dict[str, Any], section: type[Section], source: str) -> dict[str, Any]:
    """The content of a ``config.json`` as this version would have written it, without its format.

    Format 0, before the files had a number, has the keys of 1; 2 adds digests of the weights and of itself. Where a
    knob is added to a model, ``FORMAT`` grows by one and ``ADDED`` says what earlier models had; where one is renamed,
    that is done here.

    Raises:
        ConfigurationError: the format is newer than this version knows, or is not a number; names ``source``.
    """
    config = {name: value for name, value in data.items() if name != _WEIGHTS_DIGEST}
    found = config.pop("format", 0)
    if type(found) is not int or found < 0:
        raise ConfigurationError(f"{source}: format {found!r} is not a number from 0 on")
    if found > FORMAT:
        raise ConfigurationError(
            f"{source}: format {found} was written by a newer version; this one knows {FORMAT} and older ones"
        )
    for number, name, before in ADDED:
        if found < number and section.__name__ == name:
            config = {**before, **config}
    return config


def load_weights(folder: Path, model: nn.Module, device: str = "cpu") -> None:
    """Load ``model.safetensors`` into ``model``, strictly.

    Raises:
        CorruptArtifactError: the file cannot be read, or is not the one that ``config.json`` names.
        ConfigurationError: names or shapes differ; the message names the first difference.
    """
    check_weights(folder)
    try:
        state: dict[str, Any] = load_file(folder / WEIGHTS, device=device)
    except (SafetensorError, OSError) as error:
        raise CorruptArtifactError(f"{folder / WEIGHTS}: {error}") from None
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(own.keys() | found.keys()):
        if own.get(name) != found.get(name):
            raise ConfigurationError(
                f"{folder / WEIGHTS}: '{name}' is {found.get(name, 'missing')}, the model has {own.get(name, 'none')}"
            )
    model.load_state_dict(state)


def check_weights(folder: Path) -> None:
    """Raise CorruptArtifactError where the weights are missing or are not those that ``config.json`` names by their
    SHA-256, which models of earlier versions do not."""
    if not (folder / WEIGHTS).is_file():
        raise CorruptArtifactError(f"{folder / WEIGHTS}: no such file")
    promised = _content(folder / CONFIG).get(_WEIGHTS_DIGEST) if (folder / CONFIG).is_file() else None
    if promised is not None and weights_digest(folder) != promised:
        raise CorruptArtifactError(f"{folder / WEIGHTS}: its sha256 differs from {CONFIG}")


def weights_digest(folder: Path) -> str:
    """Hex SHA-256 of the weights file: the model's identity."""
    return sha256_file(folder / WEIGHTS)
