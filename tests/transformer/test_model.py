"""The transformer: patches, initial values, gradients and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.transformers import CLASS, SR, TINY, UNCONDITIONAL, inputs, stirred
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer, load_transformer, patchify, save_transformer, unpatchify


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_unpatchify_undoes_patchify(patch: int) -> None:
    latents = torch.randn(2, 3, 5, 4, 8)
    assert patchify(latents, patch).shape == (2, 5, 4 // patch, 8 // patch, 3 * patch**2)
    assert torch.equal(unpatchify(patchify(latents, patch), patch), latents)


@pytest.mark.parametrize("config", [TINY, SR, CLASS, UNCONDITIONAL], ids=["base", "sr", "class", "none"])
def test_an_untrained_model_predicts_zero(config: TransformerConfig) -> None:
    extra: dict[str, Tensor] = {}
    if config.super_resolution:
        extra = {"low_resolution": torch.randn(2, 3, 5, 2, 2), "noise_level": torch.tensor([0, 9])}
    arguments = {k: v.float() if v.is_floating_point() else v for k, v in inputs(config=config).items()}
    output = WaltTransformer(config)(**arguments, **extra)
    assert output.shape == (2, 3, 5, 4, 4)
    assert not output.any()


def test_samples_of_a_batch_are_independent() -> None:
    model, arguments = stirred(TINY), inputs(batch=3)
    alone = torch.cat([model(**{name: value[i : i + 1] for name, value in arguments.items()}) for i in range(3)])
    torch.testing.assert_close(model(**arguments), alone)


@pytest.mark.parametrize("adaln", ["lora", "separate"])
def test_modulation_starts_closed(adaln: str) -> None:
    model = WaltTransformer(TINY.model_copy(update={"adaln": adaln}))
    condition = torch.randn(2, 1, 1, 1, 32)
    shared = 0 if model.shared_modulation is None else model.shared_modulation(condition)
    assert not (shared + model.blocks[0].modulation(condition)).any()


def test_every_parameter_gets_a_gradient() -> None:
    model, arguments = stirred(SR).train(), inputs()
    extra = {"low_resolution": torch.randn(2, 3, 5, 2, 2, dtype=torch.float64), "noise_level": torch.tensor([1, 2])}
    model(**arguments, **extra).square().sum().backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


@pytest.mark.slow
@pytest.mark.parametrize(("adaln", "images"), [("lora", False), ("separate", True)])
def test_activation_checkpointing_changes_no_loss_and_no_gradient(adaln: str, images: bool) -> None:
    results = []
    for again in (False, True):
        model = stirred(TINY.model_copy(update={"adaln": adaln})).train()
        model.activation_checkpointing = again
        passes: list[int] = []
        model.blocks[1].register_forward_pre_hook(lambda *_, passes=passes: passes.append(1))
        loss = model(**inputs(frames=5 if images else None), images=images).square().mean()
        torch.autograd.backward(loss, inputs=list(model.parameters()))
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        with torch.no_grad():
            model(**inputs())
        model.eval()(**inputs()).sum().backward()
        assert len(passes) == (4 if again else 3)  # a block runs again in the backward pass of training, nowhere else
        results.append((loss, gradients))
    (loss, gradients), (other_loss, other) = results
    assert torch.equal(loss, other_loss)
    for name, gradient in gradients.items():
        found = other[name]
        assert (gradient is None) == (found is None)
        if gradient is not None:
            torch.testing.assert_close(found, gradient, rtol=1e-12, atol=1e-14)


def test_folder_round_trip(tmp_path: Path) -> None:
    model = stirred(SR).float()
    save_transformer(tmp_path, model)
    loaded = load_transformer(tmp_path)
    assert loaded.config == SR
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert {file.name for file in tmp_path.iterdir()} == {"model.safetensors", "config.json"}
