"""Starting from trained weights: of the same network, or of a 2D image tokenizer that is inflated to 3D.

Inflation (MAGVIT-v2, section 3.2): a 2D kernel becomes the last time slice of the causal kernel, zeros elsewhere. The
3D network then treats each frame as the 2D network would: exactly on images, and on videos it sees every f_t-th frame
and repeats what it decodes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import ConfigurationError
from walt.nn.pretrained import load_config, load_weights, weights_digest

_MAY_DIFFER = {"dimensions", "temporal_downsample"}


def load_initial_weights(model: CausalAutoencoder, folder: Path) -> str:
    """Give ``model`` the weights of the autoencoder in ``folder``; a 2D one is inflated where the model is 3D.

    Returns:
        The SHA-256 of the weights file.

    Raises:
        ConfigurationError: the architectures do not fit; the message names each setting that differs.
        StorageError, CorruptArtifactError: as ``walt.nn.pretrained``.
    """
    found = load_config(folder, AutoencoderConfig)
    _check_fit(folder, found, model.config)
    if found == model.config:
        load_weights(folder, model)
    else:
        source = CausalAutoencoder(found)
        load_weights(folder, source)
        model.load_state_dict(inflate(source.state_dict(), model.state_dict()))
    return weights_digest(folder)


def inflate(image_weights: dict[str, Tensor], video_weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names and shapes of ``video_weights``, made of a 2D network's."""
    return {name: _inflate(image_weights[name].to(like), like) for name, like in video_weights.items()}


def _inflate(weight: Tensor, like: Tensor) -> Tensor:
    # an upsampling in time has one set of channels for each of the two frames it makes: both get the 2D one
    sets = like.shape[0] // weight.shape[0]
    weight = weight.repeat(sets, *[1] * (weight.dim() - 1))  # (O', I, 1, kh, kw)
    if weight.shape == like.shape:
        return weight
    inflated = torch.zeros_like(like)
    inflated[:, :, -1:] = weight
    return inflated


def _check_fit(folder: Path, found: AutoencoderConfig, wanted: AutoencoderConfig) -> None:
    allowed = _MAY_DIFFER if (found.dimensions, wanted.dimensions) == (2, 3) else set()
    old, new = found.model_dump(), wanted.model_dump()
    differences = [f"{key}: {old[key]} there, {new[key]} here" for key in old.keys() - allowed if old[key] != new[key]]
    if differences:
        raise ConfigurationError(f"{folder}: another autoencoder ({'; '.join(sorted(differences))})")
