"""Small transformers of each kind, and inputs for them."""

from __future__ import annotations

from typing import Any

import torch

from tests.support.settings import changed, recipe
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.model import WaltTransformer

TINY = changed(
    recipe().base, resolution=(32, 32), latent_grid=(5, 4, 4), latent_channels=3, layers=4, width=32, mlp_width=64,
    spatial_window=(1, 4, 4), spatiotemporal_window=(5, 2, 2), text_width=6,
)  # fmt: skip
SR = TINY.model_copy(
    update={
        "patch_size": 2,
        "spatial_window": (1, 2, 2),
        "super_resolution": SuperResolutionConfig(factor=2, max_noise_level=100, sampling_noise_level=10),
    }
)
CLASS = TINY.model_copy(
    update={"conditioning": "class", "num_classes": 10, "text_width": None, "cross_attention": None}
)
UNCONDITIONAL = CLASS.model_copy(update={"conditioning": "none", "num_classes": None})


def stirred(config: TransformerConfig, seed: int = 0) -> WaltTransformer:
    """A model in float64 whose zero-initialised parts are stirred, so that nothing is silent."""
    torch.manual_seed(seed)
    model = WaltTransformer(config).double().eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def inputs(
    batch: int = 2, frames: int | None = None, config: TransformerConfig = TINY, seed: int = 1
) -> dict[str, Any]:
    """Arguments of forward; ``frames``: a condition for each image of a stack."""
    generator = torch.Generator().manual_seed(seed)
    count = (batch,) if frames is None else (batch, frames)
    given: dict[str, Any] = {
        "latents": torch.randn(
            batch, config.latent_channels, *config.latent_grid, generator=generator, dtype=torch.float64
        ),
        "timesteps": torch.randint(0, 1000, (batch,), generator=generator),
    }
    if config.conditioning == "text":
        given["text"] = torch.randn(*count, 7, 6, generator=generator, dtype=torch.float64)
        given["text_mask"] = torch.arange(7) < torch.randint(1, 7, (*count, 1), generator=generator)
    elif config.num_classes is not None:
        given["labels"] = torch.randint(0, config.num_classes, count, generator=generator)
    return given


def rows(arguments: dict[str, Any], chosen: torch.Tensor) -> dict[str, Any]:
    """The arguments of some elements of the batch."""
    return {name: value[chosen] for name, value in arguments.items()}
