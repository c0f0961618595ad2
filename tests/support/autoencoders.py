"""Small autoencoders of each kind, with every weight drawn, so that no part of them is silent."""

from __future__ import annotations

import torch

from tests.support.settings import changed, recipe
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.model import CausalAutoencoder

VIDEO = changed(
    recipe().autoencoder, patch_size=1, channel_multipliers=(1, 2, 2, 4), temporal_downsample=(False, True, True),
    latent_channels=3, groups=2,
)  # fmt: skip
KERNEL_4 = VIDEO.model_copy(update={"downsample_kernel": 4})
PATCHED = VIDEO.model_copy(
    update={"patch_size": 2, "channel_multipliers": (1, 2, 2), "temporal_downsample": (True, True)}
)


def image_config(config: AutoencoderConfig) -> AutoencoderConfig:
    """The 2D network from which a video network can start."""
    flat = tuple(False for _ in config.temporal_downsample)
    return config.model_copy(update={"dimensions": 2, "temporal_downsample": flat})


def drawn(config: AutoencoderConfig, seed: int = 0) -> CausalAutoencoder:
    """An untrained model whose adaptive norms, biases and late convolutions are stirred too."""
    torch.manual_seed(seed)
    model = CausalAutoencoder(config).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model
