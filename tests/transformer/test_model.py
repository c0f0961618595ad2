"""The transformer: sizes, images and videos, conditions, and learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from walt.diffusion.config import DiffusionConfig
from walt.diffusion.samplers import ddim
from walt.diffusion.schedule import Schedule
from walt.training.diffusion_objective import DiffusionBatch, prediction_loss
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.io import load_transformer, save_transformer
from walt.transformer.model import WaltTransformer, patchify, unpatchify

TINY = TransformerConfig(
    resolution=(32, 32),
    latent_grid=(5, 4, 4),
    latent_channels=3,
    layers=4,
    width=32,
    heads=2,
    mlp_width=64,
    patch_size=1,
    spatial_window=(1, 4, 4),
    spatiotemporal_window=(5, 2, 2),
    adaln="lora",
    adaln_rank=2,
    qk_norm=True,
    relative_position_bias=True,
    self_conditioning=True,
    frame_prediction=False,
    conditioning="text",
    num_classes=None,
    text_width=6,
    cross_attention="spatial",
    super_resolution=None,
)
SR = TINY.model_copy(
    update={
        "patch_size": 2,
        "spatial_window": (1, 2, 2),
        "super_resolution": SuperResolutionConfig(factor=2, max_noise_level=100, sampling_noise_level=10),
    }
)


def stirred(config: TransformerConfig, seed: int = 0) -> WaltTransformer:
    """A model in float64 whose zero-initialised parts are stirred, so that nothing is silent."""
    torch.manual_seed(seed)
    model = WaltTransformer(config).double().eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def inputs(batch: int = 2, frames: int | None = None) -> dict[str, Any]:
    """Arguments of forward; ``frames``: text for each image of a stack."""
    generator = torch.Generator().manual_seed(1)
    shape = (batch, 7) if frames is None else (batch, frames, 7)
    mask = torch.ones(shape, dtype=torch.bool)
    mask[..., 5:] = False
    return {
        "latents": torch.randn(batch, 3, 5, 4, 4, generator=generator, dtype=torch.float64),
        "timesteps": torch.randint(0, 1000, (batch,), generator=generator),
        "text": torch.randn(*shape, 6, generator=generator, dtype=torch.float64),
        "text_mask": mask,
    }


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_unpatchify_undoes_patchify(patch: int) -> None:
    latents = torch.randn(2, 3, 5, 4, 8)
    assert patchify(latents, patch).shape == (2, 5, 4 // patch, 8 // patch, 3 * patch**2)
    assert torch.equal(unpatchify(patchify(latents, patch), patch), latents)


@pytest.mark.parametrize(
    ("changes", "millions"),
    [
        ({"layers": 24, "width": 1024, "heads": 16, "mlp_width": 4096}, 419),
        ({"layers": 52, "width": 1792, "heads": 16, "mlp_width": 9216}, 3090),
    ],
)
def test_text_to_video_sizes_of_the_paper(changes: dict[str, int], millions: float) -> None:
    grid = {"latent_grid": (5, 16, 16), "spatial_window": (1, 16, 16), "spatiotemporal_window": (5, 8, 8)}
    config = TINY.model_copy(update={**grid, **changes, "latent_channels": 8, "text_width": 2048})
    with torch.device("meta"):
        model = WaltTransformer(config)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("config", [TINY, SR], ids=["base", "sr"])
def test_an_untrained_model_predicts_zero(config: TransformerConfig) -> None:
    extra: dict[str, Tensor] = {}
    if config.super_resolution:
        extra = {"low_resolution": torch.randn(2, 3, 5, 2, 2), "noise_level": torch.tensor([0, 9])}
    arguments = {k: v.float() if v.is_floating_point() else v for k, v in inputs().items()}
    output = WaltTransformer(config)(**arguments, **extra)
    assert output.shape == (2, 3, 5, 4, 4)
    assert not output.any()


def test_a_stack_of_images_equals_the_images_one_by_one() -> None:
    """No image sees its neighbours, and where it stands in the stack changes nothing (paper section 3.3)."""
    model, arguments = stirred(TINY), inputs(frames=5)
    whole = model(**arguments, images=True)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = {**arguments, "latents": arguments["latents"][:, :, order], "text": arguments["text"][:, order]}
    torch.testing.assert_close(model(**moved, images=True), whole[:, :, order])
    changed = {**arguments, "latents": arguments["latents"].clone()}
    changed["latents"][:, :, 1] += 1
    difference = (model(**changed, images=True) - whole).abs().amax(dim=(0, 1, 3, 4))
    assert (difference > 0).tolist() == [False, True, False, False, False]


def test_frames_of_a_video_do_see_each_other() -> None:
    model, arguments = stirred(TINY), inputs()
    before = model(**arguments)
    arguments["latents"] = arguments["latents"].clone()
    arguments["latents"][:, :, 1] += 1
    assert ((model(**arguments) - before).abs().amax(dim=(0, 1, 3, 4)) > 0).all()


def test_samples_of_a_batch_are_independent() -> None:
    model, arguments = stirred(TINY), inputs(batch=3)
    alone = torch.cat([model(**{name: value[i : i + 1] for name, value in arguments.items()}) for i in range(3)])
    torch.testing.assert_close(model(**arguments), alone)


@pytest.mark.parametrize("name", ["timesteps", "text"])
def test_conditions_reach_the_output(name: str) -> None:
    model, arguments = stirred(TINY), inputs()
    before = model(**arguments)
    assert not torch.allclose(model(**{**arguments, name: arguments[name] + 1}), before)


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


@pytest.mark.slow
def test_one_batch_is_learned_and_sampled_back() -> None:
    """Overfit four captioned latents, then sample from pure noise with the captions: PSNR above 25 dB."""
    torch.manual_seed(0)
    config = TINY.model_copy(update={"width": 64, "mlp_width": 128})
    model = WaltTransformer(config)
    schedule = Schedule.from_config(
        DiffusionConfig(num_steps=1000, beta_start=1e-4, beta_end=0.02, zero_terminal_snr=True, prediction="v")
    )
    clean, text, mask = torch.randn(4, 3, 5, 4, 4), torch.randn(4, 7, 6), torch.ones(4, 7, dtype=torch.bool)
    steps = 500
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        batch = DiffusionBatch(
            clean.repeat(4, 1, 1, 1, 1), torch.randn(16, 3, 5, 4, 4), torch.randint(0, 1000, (16,)),
            text.repeat(4, 1, 1), mask.repeat(4, 1), images=False, low_resolution=None, noise_level=None,
        )  # fmt: skip
        loss = prediction_loss(model, schedule, batch, self_conditioning=step % 2 == 0).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    model.eval()

    def predict(x_t: Tensor, timestep: int) -> Tensor:
        return model(x_t, torch.full((4,), timestep), text, mask)

    sampled = ddim(predict, torch.randn(4, 3, 5, 4, 4), schedule, 50)
    peak = float(clean.max() - clean.min())
    psnr = 10 * torch.log10(peak**2 / (sampled - clean).square().mean())
    assert float(psnr) > 25
