"""An autoencoder as a folder: weights, configuration, and the statistics that normalise its latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.diffusers_vae import DESCRIPTION, DiffusersAutoencoder, load_stored
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.nn.causal import use_channels_last
from walt.nn.pretrained import load_config, load_weights, save_weights

STATISTICS = "statistics.json"


def save_autoencoder(
    folder: Path, model: CausalAutoencoder, statistics: LatentStatistics, state_dict: dict[str, Tensor] | None = None
) -> None:
    """Write the folder; ``state_dict`` takes the place of the model's own weights (an EMA's, say)."""
    save_weights(folder, model.state_dict() if state_dict is None else state_dict, model.config)
    write_json_with_digest(folder / STATISTICS, statistics.to_json())


def save_foreign(
    folder: Path, model: DiffusersAutoencoder, about: dict[str, Any], statistics: LatentStatistics
) -> None:
    """Write the folder of an autoencoder of diffusers; ``about`` is its own configuration."""
    save_weights(folder, model.vae.state_dict(), model.config)
    write_json_with_digest(folder / DESCRIPTION, about)
    write_json_with_digest(folder / STATISTICS, statistics.to_json())


def load_frozen(folder: Path, config: AutoencoderConfig, device: str) -> CausalAutoencoder:
    """The autoencoder in ``folder``, which is to be used as it is, in eval mode.

    Raises:
        ConfigurationError: it is not of the architecture ``config``; names each setting that differs.
        StorageError, CorruptArtifactError: as ``walt.nn.pretrained``; also where the latents' statistics are missing.
    """
    found = load_config(folder, AutoencoderConfig).model_dump()
    wanted = config.model_dump()
    differences = [f"{key}: {found[key]} there, {wanted[key]} here" for key in found if found[key] != wanted[key]]
    if differences:
        raise ConfigurationError(f"{folder}: another autoencoder ({'; '.join(sorted(differences))})")
    return load_autoencoder(folder, device)[0]


def read_statistics(folder: Path) -> LatentStatistics:
    """Of an autoencoder's latents.

    Raises:
        StorageError: they are missing.
        CorruptArtifactError: they cannot be read, or differ from their own digest, which earlier versions' have not.
    """
    file = folder / STATISTICS
    if not file.is_file():
        raise StorageError(f"{folder}: no statistics of its latents here ({STATISTICS} is missing)")
    content, _ = read_json_with_digest(file)
    try:
        return LatentStatistics.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtifactError(f"{file}: {type(error).__name__}: {error}") from error


def load_autoencoder(
    folder: str | Path, device: str = "cpu", normalized: bool = True
) -> tuple[CausalAutoencoder, LatentStatistics]:
    """Read a folder written by ``save_autoencoder``; in eval mode. Raises as ``walt.nn.pretrained``.

    Args:
        normalized: False gives statistics that change nothing, for transformers that see latents as they are encoded.
    """
    folder = Path(folder)
    config = load_config(folder, AutoencoderConfig)
    if (folder / DESCRIPTION).is_file():
        model: CausalAutoencoder = load_stored(folder, config)
    else:
        model = CausalAutoencoder(config)
        load_weights(folder, model)
        use_channels_last(model)
    statistics = read_statistics(folder)
    if not normalized:
        statistics = LatentStatistics.identity(model.config.latent_channels)
    return model.to(device).eval(), statistics.to(device)
