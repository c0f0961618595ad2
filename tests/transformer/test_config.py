"""What a transformer's configuration refuses, and by which name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.transformers import CLASS, TINY, UNCONDITIONAL
from walt.transformer.config import TransformerConfig


def validate(config: TransformerConfig, **changes: Any) -> TransformerConfig:
    return TransformerConfig.model_validate({**config.model_dump(), **changes})


@pytest.mark.parametrize("config", [TINY, CLASS, UNCONDITIONAL])
def test_every_conditioning_is_accepted(config: TransformerConfig) -> None:
    assert validate(config) == config


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (TINY, {"text_width": None}, "conditioning text needs text_width"),
        (TINY, {"cross_attention": None}, "conditioning text needs cross_attention"),
        (TINY, {"num_classes": 10}, "num_classes is 10, but conditioning is text: num_classes must be null"),
        (CLASS, {"num_classes": None}, "conditioning class needs num_classes"),
        (CLASS, {"text_width": 6}, "text_width is 6, but conditioning is class"),
        (UNCONDITIONAL, {"cross_attention": "own"}, "cross_attention is own, but conditioning is none"),
        (TINY, {"conditioning": "image"}, "'text', 'class' or 'none'"),
        (TINY, {"spatial_window": (1, 3, 4)}, r"spatial_window \(1, 3, 4\) does not divide the token grid \(5, 4, 4\)"),
        (TINY, {"spatial_window": (2, 4, 4)}, r"spatial_window \(2, 4, 4\) does not divide"),
        (TINY, {"spatiotemporal_window": (5, 8, 4)}, "spatiotemporal_window .* does not divide"),
        (TINY, {"patch_size": 3}, "patch_size 3 does not divide the latent grid 4x4"),
        (TINY, {"heads": 3}, "heads 3 does not divide width 32"),
        (
            TINY,
            {"frame_prediction": True, "latent_grid": (1, 4, 4), "spatiotemporal_window": (1, 2, 2)},
            "frame_prediction needs a latent_grid of more than one frame",
        ),
    ],
)
def test_errors_name_the_setting(config: TransformerConfig, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        validate(config, **changes)


def test_windows_of_any_size_that_divides_the_grid() -> None:
    for frames in (1, 5):
        for height in (1, 2, 4):
            window = (frames, height, 4)
            config = validate(TINY, spatial_window=window, spatiotemporal_window=window)
            assert config.spatial_window == config.spatiotemporal_window == window
