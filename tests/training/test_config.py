"""Terms of the loss and the networks that they need come together, or the section is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.project.params import Params
from walt.project.recipes import recipe_data


def params(loss: dict[str, float], **changes: Any) -> Params:
    """The demo's parameters with other loss weights and networks."""
    data = recipe_data("demo")
    data["train_autoencoder"]["loss"] |= loss
    data["train_autoencoder"] |= changes
    return parse_section(data, Params, "params.yaml")


DISCRIMINATOR = {"base_channels": 4, "channel_multipliers": [2]}


@pytest.mark.parametrize(
    ("loss", "changes", "message"),
    [
        ({"adversarial": 0.1}, {}, "loss.adversarial is 0.1, which needs discriminator"),
        ({}, {"discriminator": DISCRIMINATOR}, "discriminator is given, but loss.adversarial is 0: nothing"),
        ({"perceptual": 0.1}, {}, "loss.perceptual is 0.1, which needs perceptual_network"),
        ({}, {"perceptual_network": "x"}, "perceptual_network is given, but loss.perceptual is 0: nothing"),
        ({"lecam": 0.001}, {}, "loss.lecam is 0.001, which needs loss.adversarial above 0"),
        ({"r1": 10}, {}, "loss.r1 is 10, which needs loss.adversarial above 0"),
        ({"adversarial": -0.1}, {}, "key 'train_autoencoder.loss.adversarial': input should be greater than or equal"),
        ({"gan": 0.1}, {}, "unknown key 'train_autoencoder.loss.gan'"),
        (
            {"adversarial": 0.1},
            {"discriminator": {**DISCRIMINATOR, "channel_multipliers": []}},
            "train_autoencoder.discriminator.channel_multipliers",
        ),
    ],
)  # fmt: skip
def test_a_term_without_its_network_is_refused(loss: dict[str, float], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        params(loss, **changes)
    assert message in str(error.value)
    assert "train_autoencoder" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_base": {"accumulation": 5}}, "accumulation 5 does not divide batch_size"),
        ({"train_base": {"accumulation": 0}}, "train_base.accumulation"),
        ({"train_autoencoder": {"accumulation": 3}}, "accumulation 3 does not divide forms.0.batch_size"),
        ({"train_autoencoder": {"compile": True}}, "compile is true, but only transformers are compiled"),
        ({"train_base": {"timestep_bands": 0}}, "train_base.timestep_bands"),
        ({"train_sr_2x": {"frame_prediction_probability": 1.5}}, "train_sr_2x.frame_prediction_probability"),
        (
            {"train_base": {"frame_prediction_probability": 0.5}},
            "train_base.frame_prediction_probability is 0.5, which needs base.frame_prediction true",
        ),
        (
            {"train_base": {"batch_size": 2, "image_fraction": 0.25}},
            "train_base: image_fraction 0.25 of batch_size 2 is 0.5 stacks of images per step, which rounds to none",
        ),
        (
            {"train_base": {"batch_size": 2, "image_fraction": 0.75}},
            "is 1.5 stacks of images per step, which rounds to all of them, without a video: raise batch_size",
        ),
        (
            {"sr_2x": {"frame_prediction": True}},
            "sr_2x.frame_prediction is true, but train_sr_2x.frame_prediction_probability is 0",
        ),
    ],
)  # fmt: skip
def test_knobs_that_do_not_fit_are_refused_by_name(changes: dict[str, dict[str, Any]], message: str) -> None:
    data = recipe_data("demo")
    for section, values in changes.items():
        data[section] |= values
    with pytest.raises(ConfigurationError) as error:
        parse_section(data, Params, "params.yaml")
    assert message in str(error.value)
    assert next(iter(changes)) in str(error.value)


@pytest.mark.parametrize(("batch_size", "fraction"), [(24, 0.125), (2, 0.0), (2, 1.0), (2, 0.5), (2, 0.3), (10, 0.25)])
def test_shares_of_images_that_leave_some_of_both_are_accepted(batch_size: int, fraction: float) -> None:
    data = recipe_data("demo")
    data["train_base"] |= {"batch_size": batch_size, "image_fraction": fraction}
    assert parse_section(data, Params, "params.yaml").train_base.image_fraction == fraction


def test_frame_prediction_and_parts_are_accepted() -> None:
    data = recipe_data("demo")
    data["base"] |= {"frame_prediction": True}
    data["train_base"] |= {"frame_prediction_probability": 0.5, "accumulation": 4, "compile": True}
    assert parse_section(data, Params, "params.yaml").train_base.accumulation == 4


def test_the_papers_losses_are_accepted() -> None:
    found = params(
        {"reconstruction": 5, "perceptual": 0.1, "adversarial": 0.1, "lecam": 0.001, "r1": 10},
        discriminator={"base_channels": 128, "channel_multipliers": [2, 4, 4, 4, 4]},
        perceptual_network="resnet-50",
    ).train_autoencoder
    assert found.discriminator is not None
    assert found.discriminator.channel_multipliers == (2, 4, 4, 4, 4)
