"""Configurations and folders of models that are as small as they can be: 5 frames of 16x16, 2x super-resolution."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from tests.support.settings import changed, recipe
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.text.encoder import open_text_encoder
from walt.text.tiny import build_tiny_encoder
from walt.transformer.config import SuperResolutionConfig
from walt.transformer.model import WaltTransformer, save_transformer

Model = TypeVar("Model", bound=torch.nn.Module)

AUTOENCODER = changed(
    recipe().autoencoder, patch_size=1, channel_multipliers=(1, 1, 1, 1), temporal_downsample=(False, True, True),
    latent_channels=4, groups=2,
)  # fmt: skip
BASE = changed(recipe().base, latent_grid=(2, 2, 2), latent_channels=4, spatiotemporal_window=(2, 2, 2))
SUPER_RESOLUTION = BASE.model_copy(
    update={
        "resolution": (32, 32), "latent_grid": (2, 4, 4), "patch_size": 2,
        "super_resolution": SuperResolutionConfig(factor=2, max_noise_level=30, sampling_noise_level=5),
    }
)  # fmt: skip
DIFFUSION = changed(recipe().diffusion, num_steps=100, beta_start=1e-3, beta_end=0.2)
ENCODE_VIDEO = changed(recipe().encode_video, precision="fp32")
TEXT = changed(recipe().text, tiny={"vocabulary": 64}, max_tokens=8)
SAMPLE = changed(recipe().sample, prompts=("a red circle", "a green square"), count=2, batch_size=2)
SECOND = SUPER_RESOLUTION.model_copy(update={"resolution": (64, 64), "latent_grid": (2, 8, 8), "patch_size": 4})
"""The super-resolution model that follows the first."""
WORDS = ["a red circle moving left", "a green square moving right", "a blue triangle moving up"]


def write_models(root: Path) -> None:
    """Untrained models in the artefacts' places under ``root``. Every weight is drawn, so that no output is zero."""
    paths = Paths(root)
    build_tiny_encoder(WORDS, TEXT.tiny, 0, paths.text_encoder)
    open_text_encoder("tiny", TEXT.max_tokens, "cpu", paths.text_encoder).describe(paths.text_encoder)
    save_autoencoder(
        paths.autoencoder, drawn(CausalAutoencoder(AUTOENCODER), 1), LatentStatistics(torch.zeros(4), torch.ones(4), 8)
    )
    save_transformer(paths.base, drawn(WaltTransformer(BASE), 2))
    save_transformer(paths.sr_2x, drawn(WaltTransformer(SUPER_RESOLUTION), 3))
    leave_out(paths.aspect, "aspect")
    leave_out(paths.sr_4x, "sr_4x")
    for name in ("autoencoder", "base", "sr_2x"):
        folder = getattr(paths, name)
        history = [{"step": step, "loss": 1.0 / (1 + step), "learning_rate": 1e-3} for step in range(0, 100, 10)]
        write_json(folder / "history.json", history)
        write_json(folder / "metrics.json", {"loss": 0.01} if name != "autoencoder" else {"psnr": 25.0})


def drawn(model: Model, seed: int) -> Model:
    """The model with weights of which none is zero, and that are the same each time: what they were made as is random,
    but for the ones of norms."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_((weight == 1) + 0.2 * torch.randn(weight.shape, generator=generator))
    return model
