"""A model as a folder: ``model.safetensors`` and ``config.json``. No pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from walt.core.config import Section, parse_section
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.storage import read_json, sha256_file, write_bytes, write_json

WEIGHTS, CONFIG = "model.safetensors", "config.json"
SectionT = TypeVar("SectionT", bound=Section)


def save_weights(folder: Path, state_dict: dict[str, Tensor], config: Section) -> None:
    """Write both files; the weights as they are, in row-major order."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    write_bytes(folder / WEIGHTS, save(tensors))
    write_json(folder / CONFIG, config.model_dump(mode="json"))


def load_config(folder: Path, section: type[SectionT]) -> SectionT:
    """Read ``config.json``. Raises StorageError when there is no model, ConfigurationError when it is another's."""
    if not (folder / CONFIG).is_file():
        raise StorageError(f"{folder}: no model here ({CONFIG} is missing)")
    return parse_section(read_json(folder / CONFIG), section, source=str(folder / CONFIG))


def load_weights(folder: Path, model: nn.Module, device: str = "cpu") -> None:
    """Load ``model.safetensors`` into ``model``, strictly.

    Raises:
        CorruptArtifactError: the file cannot be read.
        ConfigurationError: names or shapes differ; the message names the first difference.
    """
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


def weights_digest(folder: Path) -> str:
    """Hex SHA-256 of the weights file: the model's identity."""
    return sha256_file(folder / WEIGHTS)
