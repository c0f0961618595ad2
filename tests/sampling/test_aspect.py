"""Other shapes: which grids are possible, and that the models at them are the same models."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from tests.support.tiny_models import BASE, DIFFUSION, SUPER_RESOLUTION, drawn
from walt.core.errors import ConfigurationError
from walt.diffusion.schedule import Schedule
from walt.sampling.aspect import parse_aspect, with_aspect
from walt.sampling.prompt_to_video import Pipeline
from walt.transformer.model import WaltTransformer

PAPER = BASE.model_copy(
    update={
        "resolution": (128, 128), "latent_grid": (5, 16, 16), "spatial_window": (1, 16, 16),
        "spatiotemporal_window": (5, 8, 8),
    }
)  # fmt: skip
PAPER_2X = SUPER_RESOLUTION.model_copy(
    update={
        "resolution": (256, 256), "latent_grid": (5, 32, 32), "spatial_window": (1, 16, 16),
        "spatiotemporal_window": (5, 8, 8),
    }
)  # fmt: skip
PAPER_4X = PAPER_2X.model_copy(update={"resolution": (512, 512), "latent_grid": (5, 64, 64), "patch_size": 4})


def pipeline_of(*configs: Any) -> Pipeline:
    models = [drawn(WaltTransformer(config), number).eval() for number, config in enumerate(configs)]
    nothing: Any = None
    return Pipeline(None, models[0], tuple(models[1:]), nothing, nothing, Schedule.from_config(DIFFUSION), "cpu", {})


def test_the_papers_shapes() -> None:
    wide = with_aspect(pipeline_of(PAPER, PAPER_2X, PAPER_4X), parse_aspect("16:9"))
    config = wide.base.config
    assert (config.resolution, config.latent_grid) == ((128, 224), (5, 16, 28))
    assert (config.spatial_window, config.spatiotemporal_window) == ((1, 16, 28), (5, 8, 14))
    grids = [(model.config.resolution, model.config.latent_grid) for model in wide.super_resolutions]
    assert grids == [((256, 448), (5, 32, 56)), ((512, 896), (5, 64, 112))]
    tall = with_aspect(pipeline_of(PAPER), Fraction(9, 16)).base.config
    assert (tall.resolution, tall.spatiotemporal_window) == ((224, 128), (5, 14, 8))
    # a model that was finetuned to 16:9 turns to 9:16, and back to itself
    assert with_aspect(pipeline_of(config), Fraction(9, 16)).base.config == tall
    assert with_aspect(pipeline_of(config), Fraction(16, 9)).base.config == config


def test_the_model_at_its_own_shape_is_itself_and_at_another_it_works() -> None:
    pipeline = pipeline_of(BASE)
    assert with_aspect(pipeline, Fraction(1)).base is pipeline.base
    wide = with_aspect(pipeline, Fraction(2)).base
    text, mask = torch.randn(1, 3, 16), torch.ones(1, 3, dtype=torch.bool)
    output = wide(torch.randn(1, 4, 2, 2, 4), torch.tensor([5]), text, mask)
    assert output.shape == (1, 4, 2, 2, 4)
    assert output.isfinite().all()
    assert not wide.training
    weight = "blocks.0.mlp.0.weight"
    assert torch.equal(wide.state_dict()[weight], pipeline.base.state_dict()[weight])


def test_windows_of_single_tokens_cannot_be_stretched() -> None:
    narrow = PAPER.model_copy(update={"latent_grid": (5, 4, 4), "spatial_window": (1, 1, 1), "resolution": (32, 32)})
    with pytest.raises(ConfigurationError, match=r"^--aspect: no shape near 3:2 .*; possible are 1:1, 2:1, 3:1, 4:1$"):
        with_aspect(pipeline_of(narrow.model_copy(update={"spatiotemporal_window": (5, 2, 2)})), Fraction(3, 2))


@pytest.mark.parametrize("text", ["16x9", "1.5", "0:1", "1:", "-1:2", "16:9:4", ""])
def test_what_is_no_aspect(text: str) -> None:
    with pytest.raises(ConfigurationError, match="width:height"):
        parse_aspect(text)
