"""A 2D image tokenizer becomes a causal 3D one that treats each frame as before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.autoencoders import KERNEL_4, PATCHED, VIDEO, drawn, image_config
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.inflation import load_initial_weights
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError


def saved(folder: Path, config: AutoencoderConfig) -> CausalAutoencoder:
    model = drawn(config)
    statistics = LatentStatistics(torch.zeros(config.latent_channels), torch.ones(config.latent_channels), 1)
    save_autoencoder(folder, model, statistics)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("config", [VIDEO, KERNEL_4, PATCHED], ids=["kernel 3", "kernel 4", "patch 2"])
def test_inflated_equals_2d(tmp_path: Path, config: AutoencoderConfig) -> None:
    image = saved(tmp_path, image_config(config)).double()
    model = drawn(config, seed=5)
    assert load_initial_weights(model, tmp_path) == sha256_file(tmp_path / "model.safetensors")
    model.double()
    video = torch.rand(1, 3, 9, 16, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        for frame in video.split(1, dim=2):  # an image is the same in both
            latents = image.encode(frame)[0]
            torch.testing.assert_close(model.encode(frame)[0], latents)
            torch.testing.assert_close(model.decode(latents), image.decode(latents))
        latents = model.encode(video)[0]  # a video: latent frame j is pixel frame 4 j, decoded once, then four times
        torch.testing.assert_close(latents, image.encode(video[:, :, ::4])[0])
        each = image.decode(latents)
        repeated = torch.cat([each[:, :, :1], each[:, :, 1:].repeat_interleave(4, dim=2)], dim=2)
        torch.testing.assert_close(model.decode(latents), repeated)


def test_weights_of_the_same_network_are_taken_as_they_are(tmp_path: Path) -> None:
    source, model = saved(tmp_path, VIDEO), drawn(VIDEO, seed=7)
    load_initial_weights(model, tmp_path)
    for found, wanted in zip(model.state_dict().values(), source.state_dict().values(), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        (image_config(VIDEO), VIDEO.model_copy(update={"latent_channels": 8}), "latent_channels: 3 there, 8 here"),
        (VIDEO, image_config(VIDEO), "dimensions: 3 there, 2 here; temporal_downsample"),
        (KERNEL_4, VIDEO, "downsample_kernel: 4 there, 3 here"),
    ],
)
def test_another_architecture_is_refused_by_name(
    tmp_path: Path, there: AutoencoderConfig, here: AutoencoderConfig, message: str
) -> None:
    saved(tmp_path, there)
    with pytest.raises(ConfigurationError, match=message):
        load_initial_weights(drawn(here), tmp_path)
