"""Sizes and inputs of the models that the recipes describe, on the meta device."""

from __future__ import annotations

import pytest
import torch

from tests.support.settings import changed, recipe
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer


def millions(config: TransformerConfig) -> float:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in WaltTransformer(config).parameters()) / 1e6


def test_kinetics_is_told_no_class_and_begins_with_given_frames() -> None:
    """With classes the size is 313.8 M, which no longer rounds to the paper's 313."""
    params = recipe("kinetics600")
    assert (params.base.conditioning, params.base.num_classes, params.sample.prompts) == ("none", None, "none")
    assert (params.base.frame_prediction, params.sample.beginning) == (True, "video")
    assert millions(params.base) == pytest.approx(313.1, abs=0.05)
    of_classes = changed(params.base, conditioning="class", num_classes=600)
    assert millions(of_classes) == pytest.approx(313.8, abs=0.05)


def test_all_text_to_video_models_are_trained_with_known_first_frames() -> None:
    """Paper, sections 4.4 and 5.3: jointly; below 1, since guidance by frames compares with videos without."""
    trained = recipe("t2v").transformers()
    assert set(trained) == {"base", "aspect", "sr_2x", "sr_4x"}
    for name, (model, training) in trained.items():
        assert model.frame_prediction, name
        assert 0 < training.frame_prediction_probability < 1, name
    assert millions(trained["base"][0]) == pytest.approx(3090, rel=0.01)
