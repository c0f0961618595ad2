"""The sizes that the paper prints (its Tables 3d, 4, 6 and 8), on the meta device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.transformers import TINY
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.model import WaltTransformer

CLASS: dict[str, Any] = {"conditioning": "class", "num_classes": 101, "text_width": None, "cross_attention": None}
K600: dict[str, Any] = {**CLASS, "num_classes": 600, "frame_prediction": True}
IMAGENET: dict[str, Any] = {
    **CLASS, "num_classes": 1000, "adaln": "separate", "resolution": (256, 256), "latent_grid": (1, 32, 32),
    "spatiotemporal_window": (1, 32, 32),
}  # fmt: skip
L: dict[str, Any] = {"layers": 24, "width": 1024, "heads": 16, "mlp_width": 4096}
XL: dict[str, Any] = {"layers": 28, "width": 1152, "heads": 16, "mlp_width": 4608}
BASE_3B: dict[str, Any] = {"layers": 52, "width": 1792, "heads": 16, "mlp_width": 9216}
WIDE: dict[str, Any] = {"spatial_window": (1, 16, 28), "spatiotemporal_window": (5, 8, 14)}
SR_2X: dict[str, Any] = {
    **WIDE, "layers": 40, "width": 1408, "heads": 16, "mlp_width": 6144, "patch_size": 2, "latent_grid": (5, 32, 56),
    "super_resolution": SuperResolutionConfig(factor=2, max_noise_level=300, sampling_noise_level=50),
}  # fmt: skip
SR_4X: dict[str, Any] = {**SR_2X, **L, "patch_size": 4, "latent_grid": (5, 64, 112)}


def millions(changes: dict[str, Any]) -> float:
    """Parameters of a model of the paper's grid and channels, in millions. Validated, unlike a ``model_copy``."""
    paper = {
        "latent_grid": (5, 16, 16), "spatial_window": (1, 16, 16), "spatiotemporal_window": (5, 8, 8),
        "latent_channels": 8, "text_width": 2048,
    }  # fmt: skip
    config = TransformerConfig.model_validate({**TINY.model_dump(), **paper, **changes})
    with torch.device("meta"):
        model = WaltTransformer(config)
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


@pytest.mark.parametrize(
    ("changes", "paper"),
    [
        ({**L, **CLASS}, 313),
        ({**L, **CLASS, "adaln_rank": 4}, 314),
        ({**L, **CLASS, "adaln_rank": 16}, 316),
        ({**L, **CLASS, "adaln_rank": 64}, 324),
        ({**L, **CLASS, "adaln_rank": 256}, 357),
        ({**L, **CLASS, "adaln": "separate"}, 458),
        ({**XL, **CLASS}, 460),
        ({**L, **IMAGENET}, 460),
    ],
)
def test_class_conditional_sizes_to_the_million(changes: dict[str, Any], paper: int) -> None:
    assert round(millions(changes)) == paper


@pytest.mark.parametrize(
    ("changes", "paper"),
    [
        ({**L, **K600}, 313),
        ({**L, "frame_prediction": True}, 419),
        (SR_4X, 419),
        (BASE_3B, 3090),
    ],
    ids=["K600", "T2V-L", "SR-4x", "T2V-3B"],
)
def test_sizes_within_one_per_cent(changes: dict[str, Any], paper: int) -> None:
    assert millions(changes) == pytest.approx(paper, rel=0.01)


@pytest.mark.slow
def test_the_first_super_resolution_model_is_what_its_table_makes_it() -> None:
    """The paper prints 1.3 B; attention and MLP weights of 40 layers of 1408 and 6144 alone are 1.326 B."""
    assert millions(SR_2X) / 1e3 == pytest.approx(1.354, abs=0.001)
