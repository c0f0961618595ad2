"""What the model is conditioned on: text, classes, an earlier estimate, known frames, a low resolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.transformers import CLASS, SR, TINY, UNCONDITIONAL, inputs, stirred
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer, known_frames_input

PREDICTING = TINY.model_copy(update={"frame_prediction": True})
ALL_INPUTS = SR.model_copy(update={"frame_prediction": True, "conditioning": "class", "num_classes": 10,
                                   "text_width": None, "cross_attention": None})  # fmt: skip


def known_latents(seed: int = 3) -> torch.Tensor:
    return torch.randn(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("config", "name"), [(TINY, "timesteps"), (TINY, "text"), (CLASS, "timesteps"),
                                              (CLASS, "labels"), (UNCONDITIONAL, "timesteps")])  # fmt: skip
@pytest.mark.parametrize("adaln", ["lora", "separate"])
def test_conditions_reach_the_output(config: TransformerConfig, name: str, adaln: str) -> None:
    model, arguments = stirred(config.model_copy(update={"adaln": adaln})), inputs(config=config)
    before = model(**arguments)
    assert not torch.allclose(model(**{**arguments, name: arguments[name] + 1}), before)


@pytest.mark.parametrize("config", [CLASS, UNCONDITIONAL], ids=["class", "none"])
def test_only_text_has_cross_attention(config: TransformerConfig) -> None:
    names = [name for name, _ in WaltTransformer(config).named_parameters()]
    assert not [name for name in names if "cross" in name or "text" in name]
    assert any("label" in name for name in names) == (config.conditioning == "class")


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (TINY, {"text": None}),
        (TINY, {"text_mask": None}),
        (TINY, {"labels": torch.zeros(2, dtype=torch.int64)}),
        (CLASS, {"labels": None}),
        (CLASS, {"text": torch.zeros(2, 7, 6)}),
        (UNCONDITIONAL, {"labels": torch.zeros(2, dtype=torch.int64)}),
        (UNCONDITIONAL, {"text": torch.zeros(2, 7, 6)}),
        (TINY, {"known": torch.zeros(2, 3, 5, 4, 4), "known_frames": torch.ones(2, dtype=torch.int64)}),
        (PREDICTING, {"known": torch.zeros(2, 3, 5, 4, 4)}),
        (SR, {"noise_level": torch.zeros(2, dtype=torch.int64)}),
        (SR, {"low_resolution": torch.zeros(2, 3, 5, 2, 2, dtype=torch.float64)}),
    ],
)
def test_a_condition_that_is_missing_or_too_much_is_noticed(config: TransformerConfig, wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=r"model|known"):
        stirred(config)(**{**inputs(config=config), **wrong})


def test_a_dropped_label_is_no_class() -> None:
    """It uses the last row of the table and no other."""
    model, arguments = stirred(CLASS), inputs(config=CLASS)
    kept = model(**arguments)
    none = {**arguments, "labels": arguments["labels"].masked_fill(torch.tensor([True, False]), 10)}
    before = model(**none)
    assert torch.equal(before[1], kept[1])
    assert not torch.allclose(before[0], kept[0])
    with torch.no_grad():
        model.label_embedding.table[:10] += 1
        assert torch.equal(model(**none)[0], before[0])
        model.label_embedding.table[10] += 1
        assert not torch.allclose(model(**none)[0], before[0])


def test_a_label_outside_the_table_is_an_error() -> None:
    for label in (-1, 11):
        with pytest.raises(IndexError):
            stirred(CLASS)(**{**inputs(config=CLASS), "labels": torch.tensor([0, label])})


def test_self_conditioning_on_zeros_is_the_single_pass() -> None:
    model, arguments = stirred(TINY), inputs()
    zeros = torch.zeros_like(arguments["latents"])
    assert torch.equal(model(**arguments, self_condition=zeros), model(**arguments))
    assert not torch.allclose(model(**arguments, self_condition=zeros + 1), model(**arguments))


def test_super_resolution_sees_its_input_and_the_noise_level() -> None:
    model, arguments = stirred(SR), inputs()
    low, level = torch.randn(2, 3, 5, 2, 2, dtype=torch.float64), torch.tensor([5, 5])
    before = model(**arguments, low_resolution=low, noise_level=level)
    assert not torch.allclose(model(**arguments, low_resolution=low + 1, noise_level=level), before)
    assert not torch.allclose(model(**arguments, low_resolution=low, noise_level=level + 50), before)


def test_known_frames_reach_the_output() -> None:
    model, arguments, known = stirred(PREDICTING), inputs(), known_latents()
    outputs = [
        model(**arguments, known=z, known_frames=torch.full((2,), count))
        for z, count in [(known, 0), (known, 1), (known, 2), (known + 1, 1), (torch.zeros_like(known), 1)]
    ]
    for i, output in enumerate(outputs):  # that a frame is known to be zero is not that it is unknown
        assert not any(torch.allclose(output, other) for other in outputs[:i])


def test_nothing_known_is_the_model_without() -> None:
    model, arguments = stirred(PREDICTING), inputs()
    unknown = torch.zeros(2, dtype=torch.int64)
    without = model(**arguments)
    assert torch.equal(model(**arguments, known=known_latents(), known_frames=unknown), without)
    # and the same as a model that has no such input at all
    plain = stirred(TINY)
    weights = model.state_dict()
    weights["patch_in.weight"] = weights["patch_in.weight"][:, : plain.patch_in.in_features]
    plain.load_state_dict(weights)
    torch.testing.assert_close(plain(**arguments), without)


def test_each_sample_has_its_own_number_of_known_frames_and_no_other_frame_is_read() -> None:
    model, arguments, known = stirred(PREDICTING), inputs(), known_latents()
    counts = torch.tensor([2, 1])
    output = model(**arguments, known=known, known_frames=counts)
    for row, count in enumerate([2, 1]):
        alone = model(**arguments, known=known, known_frames=torch.full((2,), count))
        assert torch.equal(output[row], alone[row])
    unread = known.clone()
    unread[0, :, 2:] = unread[1, :, 1:] = torch.nan
    assert torch.equal(model(**arguments, known=unread, known_frames=counts), output)


def test_the_input_of_known_frames_is_the_papers() -> None:
    """c_fp = concat(m z, m)."""
    known, counts = known_latents(), torch.tensor([1, 2])
    mask = torch.zeros(2, 1, 5, 4, 4, dtype=torch.float64)
    mask[0, :, :1] = mask[1, :, :2] = 1
    expected = torch.cat([mask * known, mask], dim=1)
    assert torch.equal(known_frames_input(known, counts, False, known), expected)
    stacks = torch.tensor([True, False])
    expected[0] = 0
    assert torch.equal(known_frames_input(known, counts, stacks, known), expected)
    assert not known_frames_input(known, counts, True, known).any()
    assert not known_frames_input(None, None, False, known).any()


@pytest.mark.parametrize("images", [True, torch.tensor([True, False])])
def test_stacks_of_images_know_no_frame(images: bool | torch.Tensor) -> None:
    model, arguments = stirred(PREDICTING), inputs(frames=5)
    output = model(**arguments, images=images, known=known_latents(), known_frames=torch.tensor([2, 2]))
    without = model(**arguments, images=images)
    assert torch.equal(output[0], without[0])
    assert torch.equal(output[1], without[1]) == (images is True)


def test_every_input_gets_a_gradient() -> None:
    model, arguments = stirred(ALL_INPUTS).train(), inputs(config=ALL_INPUTS)
    extra = {
        "low_resolution": torch.randn(2, 3, 5, 2, 2, dtype=torch.float64), "noise_level": torch.tensor([1, 2]),
        "known": known_latents(), "known_frames": torch.tensor([1, 2]), "self_condition": known_latents(4),
    }  # fmt: skip
    model(**arguments, **extra).square().sum().backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []
    assert model.patch_in.weight.grad is not None
    assert model.patch_in.weight.grad.any(dim=0).all()  # every channel of every input


def test_labels_start_as_documented() -> None:
    torch.manual_seed(0)
    table = WaltTransformer(CLASS.model_copy(update={"num_classes": 1000})).label_embedding.table.detach()
    assert float(table.std()) == pytest.approx(0.02, rel=0.05)
    assert float(table.mean()) == pytest.approx(0, abs=0.002)
