"""A causal video autoencoder of diffusers as our first stage, so that a transformer trains on latents that are trusted
already: ``train_autoencoder.frozen`` may name a folder of one.

Its factors and latent channels must be those of the section ``autoencoder``, whose other settings are not used then.
That it is causal is measured, not believed: the transformer's frame prediction, and its training on videos and images
at once, need a first latent that knows nothing of later frames (paper section 3.1). Wan's is causal. CogVideoX's is
not: its group normalisation averages over the frames that it encodes together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from walt.autoencoder.config import AutoencoderConfig, latent_shape
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.own_digest import read_json_with_digest
from walt.nn.causal import Stream
from walt.nn.pretrained import CONFIG, load_weights

DESCRIPTION = "diffusers.json"
"""In a model's folder, beside our files: the configuration of the class of diffusers whose weights they are."""
THEIR_WEIGHTS = "diffusion_pytorch_model.safetensors"
_CLASSES = ("AutoencoderKLWan", "AutoencoderKLCogVideoX")
_SEEN = 1e-3
"""Of a latent's standard deviation: a larger change is not rounding, also in bf16 on a GPU."""


class DiffusersAutoencoder(CausalAutoencoder):
    """An autoencoder of diffusers, called as ours is. It has chunks of its own, and takes none from outside."""

    def __init__(self, config: AutoencoderConfig, vae: nn.Module) -> None:
        nn.Module.__init__(self)  # there is no encoder and no decoder of ours
        self.config = config
        self.vae = vae

    @property
    def takes_chunks(self) -> bool:
        """It keeps what it needs between frames by itself."""
        return False

    def encode(self, video: Tensor, stream: Stream | None = None) -> tuple[Tensor, Tensor]:
        """As ``CausalAutoencoder.encode``."""
        assert stream is None, "it takes no chunks"
        _, _, frames, height, width = video.shape
        space, time = self.config.spatial_factor, self.config.temporal_factor
        if (
            (frames - 1) % time or height % space or width % space
        ):  # some classes drop frames and pixels, and say nothing
            found = tuple(video.shape[2:])
            raise ValueError(f"a video must have 1 + {time}k frames and sides divisible by {space}, not {found}")
        posterior = self.vae.encode(video).latent_dist  # type: ignore[operator]
        return posterior.mean, posterior.logvar

    def decode(self, latents: Tensor, stream: Stream | None = None) -> Tensor:
        """As ``CausalAutoencoder.decode``."""
        assert stream is None, "it takes no chunks"
        video: Tensor = self.vae.decode(latents).sample  # type: ignore[operator]
        return video


def is_foreign(folder: Path) -> bool:
    """Whether ``folder`` is as diffusers saves a model: its configuration names a class."""
    try:
        return "_class_name" in read_json_with_digest(folder / CONFIG)[0]
    except (OSError, CorruptArtifactError):
        return False


def read_foreign(folder: Path, config: AutoencoderConfig, device: str) -> tuple[DiffusersAutoencoder, dict[str, Any]]:
    """The autoencoder in a folder of diffusers, in eval mode, and its configuration; it fits and is causal.

    Raises:
        ConfigurationError: another class, no safetensors weights, other factors or channels than ``config`` says, or
            it is not causal; diffusers is not installed.
        CorruptArtifactError: the weights cannot be read, or are not the class's.
    """
    about, _ = read_json_with_digest(folder / CONFIG)
    name = about["_class_name"]
    if name not in _CLASSES:
        raise ConfigurationError(f"{folder}: a {name}; those that can be a first stage are {', '.join(_CLASSES)}")
    if not (folder / THEIR_WEIGHTS).is_file():
        raise ConfigurationError(f"{folder}: no {THEIR_WEIGHTS}; pickled weights are not read")
    model = DiffusersAutoencoder(config, _build(about, str(folder)))
    try:
        model.vae.load_state_dict(load_file(folder / THEIR_WEIGHTS))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CorruptArtifactError(f"{folder / THEIR_WEIGHTS}: {' '.join(str(error).split())[:160]}") from None
    model = model.to(device).eval()
    _check_fit(model, f"{folder}: {name}", device)
    _check_causality(model, f"{folder}: {name}", device)
    return model, about


def load_stored(folder: Path, config: AutoencoderConfig) -> DiffusersAutoencoder:
    """That of a model's folder in a project. Raises as ``walt.nn.pretrained.load_weights``."""
    about, _ = read_json_with_digest(folder / DESCRIPTION)
    model = DiffusersAutoencoder(config, _build(about, str(folder)))
    load_weights(folder, model.vae)
    return model


def _build(about: dict[str, Any], where: str) -> nn.Module:
    """The class with random weights; it takes no generator, so torch's own state is put back."""
    try:
        import diffusers
    except ImportError:
        raise ConfigurationError(f"{where}: needs diffusers: pip install '/path/to/walt[diffusers]'") from None
    with torch.random.fork_rng(devices=[]):
        vae: nn.Module = getattr(diffusers, about["_class_name"]).from_config(about)
    return vae


@torch.no_grad()
def _check_fit(model: DiffusersAutoencoder, what: str, device: str) -> None:
    """Raise ConfigurationError where the latents are not of the shape that the section ``autoencoder`` says."""
    config = model.config
    side, frames = 4 * config.spatial_factor, 1 + 2 * config.temporal_factor
    wanted = latent_shape(config, frames, side, side)
    clip = f"{frames} frames of {side}x{side}"
    try:
        posterior = model.vae.encode(torch.zeros(1, 3, frames, side, side, device=device)).latent_dist  # type: ignore[operator]
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(f"{what}: cannot encode {clip}: {str(error).splitlines()[0][:100]}") from None
    found = tuple(posterior.mean.shape[1:])
    if found != wanted:
        raise ConfigurationError(
            f"{what}: makes latents {found} (c, t, h, w) of {clip}, and the section autoencoder says {wanted}: set its "
            "latent_channels, patch_size, channel_multipliers and temporal_downsample so that they agree"
        )


@torch.no_grad()
def _check_causality(model: DiffusersAutoencoder, what: str, device: str) -> None:
    """Raise ConfigurationError where first latents know of later frames, or first frames of later latents."""
    config = model.config
    side, step = 4 * config.spatial_factor, config.temporal_factor
    draw = torch.Generator().manual_seed(0)

    def differs(part: Callable[[Tensor], Tensor], given: Tensor, first: int, compared: int) -> float:
        """How far the first outputs change, in their standard deviations, when all but the first inputs are others."""
        other = given.clone()
        other[:, :, first:] = torch.randn(given[:, :, first:].shape, generator=draw).to(device)
        one, two = part(given)[:, :, :compared], part(other)[:, :, :compared]
        alone = part(given[:, :, :first])[:, :, :compared]
        return float(torch.stack([(one - two).abs().max(), (one - alone).abs().max()]).max() / one.std())

    video = (torch.rand(1, 3, 1 + 4 * step, side, side, generator=draw) * 2 - 1).to(device)
    latents = torch.randn(latent_shape(config, *video.shape[2:]), generator=draw)[None].to(device)
    parts: tuple[tuple[str, float], ...] = (
        ("the latent of the first frame depends on later frames", differs(lambda x: model.encode(x)[0], video, 1, 1)),
        ("the first frame depends on later latents", differs(model.decode, latents, 1, 1)),
    )
    for said, change in parts:
        if not change <= _SEEN:
            raise ConfigurationError(
                f"{what}: not causal: {said} (by {change:.2g} of its standard deviation), so videos could not be "
                "continued, nor images and videos be trained on together"
            )
