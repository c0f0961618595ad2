"""Videos and stacks of images, alone and in one batch: who sees whom (paper section 3.3)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.transformers import CLASS, SR, TINY, UNCONDITIONAL, inputs, rows, stirred
from walt.nn.accounting import forward_flops
from walt.transformer.config import TransformerConfig

EACH_IMAGES = {"latents": 2, "text": 1, "text_mask": 1, "labels": 1, "self_condition": 2, "low_resolution": 2}
"""Arguments with something for each image of a stack, and the axis of the images."""
FULL = TINY.model_copy(update={"spatial_window": (5, 4, 4), "spatiotemporal_window": (5, 4, 4)})
KINDS = pytest.mark.parametrize(
    "config",
    [TINY, TINY.model_copy(update={"adaln": "separate"}), FULL, SR, CLASS, UNCONDITIONAL],
    ids=["text", "separate", "full", "sr", "class", "none"],
)
MIXED = torch.tensor([True, False, True, False])


def everything(config: TransformerConfig, batch: int, seed: int = 1) -> dict[str, Any]:
    """Inputs with a condition per frame, an earlier estimate, and a low resolution where the model has one."""
    given = inputs(batch, frames=5, config=config, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    given["self_condition"] = torch.randn(given["latents"].shape, generator=generator, dtype=torch.float64)
    if config.super_resolution is not None:
        given["low_resolution"] = torch.randn(batch, 3, 5, 2, 2, generator=generator, dtype=torch.float64)
        given["noise_level"] = torch.randint(0, 100, (batch,), generator=generator)
    return given


@KINDS
def test_a_stack_of_images_equals_the_images_one_by_one(config: TransformerConfig) -> None:
    """Alone, and in another place of a stack that is filled with other images."""
    model, arguments, others = stirred(config), everything(config, 2), everything(config, 2, seed=7)
    whole = model(**arguments, images=True)
    for place in range(5):
        alone, moved = dict(arguments), {**arguments}
        for name, axis in EACH_IMAGES.items():
            if name in arguments:
                image = arguments[name].narrow(axis, place, 1)
                rest = others[name].narrow(axis, 0, 4)
                alone[name] = image
                moved[name] = torch.cat([rest.narrow(axis, 0, 2), image, rest.narrow(axis, 2, 2)], dim=axis)
        torch.testing.assert_close(model(**alone, images=True)[:, :, 0], whole[:, :, place])
        torch.testing.assert_close(model(**moved, images=True)[:, :, 2], whole[:, :, place])


@pytest.mark.parametrize("config", [TINY, FULL, CLASS], ids=["text", "full", "class"])
@pytest.mark.parametrize("name", ["latents", "condition"])
def test_a_change_of_one_image_changes_that_image_only(config: TransformerConfig, name: str) -> None:
    model, arguments = stirred(config), inputs(frames=5, config=config)
    whole = model(**arguments, images=True)
    if name == "condition":
        name = "text" if config.conditioning == "text" else "labels"
    changed = {**arguments, name: arguments[name].clone()}
    place = changed[name].select(EACH_IMAGES[name], 1)
    place.copy_((place + 1) % 10 if name == "labels" else place + 1)
    difference = (model(**changed, images=True) - whole).abs().amax(dim=(0, 1, 3, 4))
    assert (difference > 0).tolist() == [False, True, False, False, False]


@KINDS
def test_frames_of_a_video_do_see_each_other(config: TransformerConfig) -> None:
    model, arguments = stirred(config), everything(config, 2)
    before = model(**arguments)
    arguments["latents"] = arguments["latents"].clone()
    arguments["latents"][:, :, 1] += 1
    assert ((model(**arguments) - before).abs().amax(dim=(0, 1, 3, 4)) > 0).all()


@KINDS
def test_a_mixed_batch_is_its_videos_and_its_stacks(config: TransformerConfig) -> None:
    model, arguments = stirred(config), everything(config, 4)
    together = model(**arguments, images=MIXED)
    torch.testing.assert_close(together[~MIXED], model(**rows(arguments, ~MIXED)))
    torch.testing.assert_close(together[MIXED], model(**rows(arguments, MIXED), images=True))


@KINDS
def test_videos_and_images_of_a_batch_do_not_see_each_other(config: TransformerConfig) -> None:
    model, arguments, others = stirred(config), everything(config, 4), everything(config, 4, seed=7)
    together = model(**arguments, images=MIXED)
    for changed, kept in ((MIXED, ~MIXED), (~MIXED, MIXED)):
        given = {name: value.clone() for name, value in arguments.items()}
        for name, value in given.items():
            value[changed] = others[name][changed]
        output = model(**given, images=MIXED)
        assert torch.equal(output[kept], together[kept])
        assert not torch.isclose(output[changed], together[changed]).all(dim=-1).any()


@pytest.mark.parametrize("images", [True, False])
def test_a_mask_of_one_kind_is_that_kind(images: bool) -> None:
    model, arguments = stirred(TINY), inputs(frames=5)
    assert torch.equal(model(**arguments, images=torch.full((2,), images)), model(**arguments, images=images))


def test_a_condition_for_each_frame_that_is_the_same_is_one_condition() -> None:
    for config in (TINY, CLASS):
        model, arguments = stirred(config), inputs(config=config)
        each = {
            name: value[:, None].expand(-1, 5, *value.shape[1:]) if name in ("text", "text_mask", "labels") else value
            for name, value in arguments.items()
        }
        for images in (True, False):
            torch.testing.assert_close(model(**each, images=images), model(**arguments, images=images))


def test_cross_attention_in_the_blocks_own_window_is_for_videos() -> None:
    model = stirred(TINY.model_copy(update={"cross_attention": "own"}))
    assert model(**inputs()).any()
    for images in (True, torch.tensor([False, True])):
        with pytest.raises(AssertionError, match="mix the images"):
            model(**inputs(), images=images)


@pytest.mark.parametrize("config", [TINY, CLASS], ids=["text", "class"])
def test_gradients_of_a_mixed_batch_are_those_of_its_parts(config: TransformerConfig) -> None:
    """With and without activation checkpointing."""
    model, arguments = stirred(config).train(), inputs(batch=4, frames=5, config=config)
    weights = list(model.parameters())

    def gradients(*outputs: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(sum(output.square().sum() for output in outputs), weights))  # type: ignore[arg-type]

    parts = gradients(model(**rows(arguments, ~MIXED)), model(**rows(arguments, MIXED), images=True))
    for again in (False, True):
        model.activation_checkpointing = again
        for found, expected in zip(gradients(model(**arguments, images=MIXED)), parts, strict=True):
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("config", [TINY, FULL, CLASS], ids=["text", "full", "class"])
def test_a_mixed_batch_costs_what_its_parts_cost(config: TransformerConfig) -> None:
    """No attention is computed and thrown away."""
    model, arguments = stirred(config), inputs(batch=4, frames=5, config=config)
    videos = forward_flops(lambda: model(**rows(arguments, ~MIXED)))
    images = forward_flops(lambda: model(**rows(arguments, MIXED), images=True))
    assert 0 < images < videos
    assert forward_flops(lambda: model(**arguments, images=MIXED)) == videos + images
