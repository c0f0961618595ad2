"""What a step of training is: the same for everybody who asks, and what the paper says."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from tests.support.tiny_clips import clip_row, write_clips
from tests.support.tiny_models import AUTOENCODER, BASE, DIFFUSION, SUPER_RESOLUTION
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import RejectLimitError
from walt.core.paths import Paths
from walt.core.sizes import size_folder
from walt.data.clip_table import ClipRow, write_clip_rows
from walt.data.conditions import open_conditions
from walt.data.latent_dataset import LatentDataset
from walt.data.shards import shard_name, write_index, write_shard
from walt.diffusion.schedule import Schedule
from walt.training.autoencoder_config import AutoencoderLossConfig, AutoencoderTrainingConfig, ClipFormConfig
from walt.training.autoencoder_objective import AutoencoderObjective, draw_form
from walt.training.config import DiffusionTrainingConfig, OptimizerConfig
from walt.training.diffusion_objective import BatchMaker, DiffusionBatch, DiffusionObjective, prediction_loss
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer

OPTIMIZER = OptimizerConfig(
    name="adamw", learning_rate=1e-3, betas=(0.9, 0.99), weight_decay=0.0, gradient_clip=1.0, schedule="constant",
    warmup_steps=0, final_fraction=1.0,
)  # fmt: skip
LOOP: dict[str, Any] = {
    "steps": 10, "optimizer": OPTIMIZER, "ema_decay": 0.0, "precision": "fp32", "log_every": 1, "checkpoint_every": 10,
    "activation_checkpointing": False, "accumulation": 1, "compile": False,
}  # fmt: skip
FORMS = (
    ClipFormConfig(resolution=(16, 16), num_frames=5, batch_size=2, weight=1.0),
    ClipFormConfig(resolution=(32, 32), num_frames=1, batch_size=3, weight=3.0),
)
ROWS = tuple(clip_row(f"v{i}", "video", "train", 0) for i in range(6)) + tuple(
    clip_row(f"i{i}", "image", "train", 0) for i in range(5)
)


NO_TERMS: dict[str, float] = {
    "reconstruction": 0.0, "kl": 0.0, "perceptual": 0.0, "adversarial": 0.0, "lecam": 0.0, "r1": 0.0,
}  # fmt: skip
PLAIN_LOSS = AutoencoderLossConfig(**{**NO_TERMS, "reconstruction": 1.0, "kl": 1e-3})


def autoencoder_training(**changes: Any) -> AutoencoderTrainingConfig:
    values = {
        **LOOP, "forms": FORMS, "joint": False, "loss": PLAIN_LOSS, "discriminator": None, "perceptual_network": None,
        "initial_weights": None,
    }  # fmt: skip
    return AutoencoderTrainingConfig(**{**values, **changes})


def diffusion_training(**changes: Any) -> DiffusionTrainingConfig:
    values = {
        **LOOP, "batch_size": 4, "image_fraction": 0.25, "condition_dropout": 0.1, "self_conditioning_probability": 0.5,
        "frame_prediction_probability": 0.0, "timestep_bands": 4,
    }  # fmt: skip
    return DiffusionTrainingConfig(**{**values, **changes})


def test_forms_come_by_their_weight() -> None:
    drawn = [draw_form(FORMS, 0, step) for step in range(1000)]
    assert sum(drawn) / 1000 == pytest.approx(0.75, abs=0.05)
    assert drawn != [draw_form(FORMS, 1, step) for step in range(1000)]


def test_an_autoencoder_step_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    write_clips(tmp_path / "data/clips")
    model = CausalAutoencoder(AUTOENCODER)
    objective = AutoencoderObjective(model, autoencoder_training(), Paths(tmp_path), seed=0)
    again = AutoencoderObjective(model, autoencoder_training(), Paths(tmp_path), seed=0)
    shapes = set()
    for step in reversed(range(16)):
        (batch,), (other,) = objective.batch(step), again.batch(step)
        assert torch.equal(batch.video, other.video)
        assert torch.equal(batch.noise, other.noise)
        assert batch.noise.shape[2:] == (1 + (batch.video.shape[2] - 1) // 4, *(s // 8 for s in batch.video.shape[3:]))
        shapes.add(tuple(batch.video.shape))
    assert shapes == {(2, 3, 5, 16, 16), (3, 3, 1, 32, 32)}


def test_a_term_of_weight_zero_is_left_out(tmp_path: Path) -> None:
    write_clips(tmp_path / "data/clips")
    model = CausalAutoencoder(AUTOENCODER)
    training = autoencoder_training()
    objective = AutoencoderObjective(model, training, Paths(tmp_path), seed=0)
    terms = objective.losses(0, objective.batch(0))
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + 1e-3 * terms["kl"])
    without = training.model_copy(update={"loss": PLAIN_LOSS.model_copy(update={"kl": 0.0})})
    objective = AutoencoderObjective(model, without, Paths(tmp_path), seed=0)
    assert objective.losses(0, objective.batch(0)).keys() == {"loss", "reconstruction"}
    assert objective.opponent() is None


def test_no_clip_in_a_form_is_an_error(tmp_path: Path) -> None:
    write_clips(tmp_path / "data/clips", (clip_row("i0", "image", "train", 0),))
    with pytest.raises(RejectLimitError, match=r"no training clip of 5 frames at \(16, 16\)$"):
        AutoencoderObjective(CausalAutoencoder(AUTOENCODER), autoencoder_training(), Paths(tmp_path), seed=0)


def test_that_all_clips_are_held_out_is_said(tmp_path: Path) -> None:
    write_clips(tmp_path / "data/clips", tuple(replace(row, split="held_out") for row in ROWS))
    with pytest.raises(RejectLimitError, match=r"no training clip of 5 frames.*: all 6 are held out, by the"):
        AutoencoderObjective(CausalAutoencoder(AUTOENCODER), autoencoder_training(), Paths(tmp_path), seed=0)


def write_latents(root: Path) -> None:
    """Latents of two sizes and text, every value telling whose it is."""
    for size in (BASE.resolution, SUPER_RESOLUTION.resolution):
        side = size[0] // 8
        samples = [
            (row.key, {"safetensors": save({"latents": torch.full(_shape(row, side), float(number)).half()})})
            for number, row in enumerate(ROWS)
        ]
        folder = root / "latents" / size_folder(size)
        write_index(folder, "x", [write_shard(folder / shard_name("latents", 0), samples)])
    write_clip_rows(root / "latents", ROWS)
    text = [(row.key, _text(number)) for number, row in enumerate(ROWS)] + [("null", _text(-1))]
    write_index(root / "text", "x", [write_shard(root / "text" / shard_name("text", 0), text)])


def _shape(row: ClipRow, side: int) -> tuple[int, int, int, int]:
    return 4, (2 if row.kind == "video" else 1), side, side


def _text(number: int) -> dict[str, bytes]:
    tensors = {"embeddings": torch.full((8, 16), float(number)).half(), "mask": torch.ones(8, dtype=torch.uint8)}
    return {"safetensors": save(tensors)}


def make(root: Path, config: TransformerConfig, dropout: float = 0.0, known: float = 0.0) -> BatchMaker:
    write_latents(root)
    low = LatentDataset(root / "latents", BASE.resolution, "train") if config.super_resolution else None
    return BatchMaker(
        config, Schedule.from_config(DIFFUSION), LatentDataset(root / "latents", config.resolution, "train"), low,
        open_conditions(root / "text", config.conditioning, config.num_classes), dropout, known, seed=0,
    )  # fmt: skip


def equal(a: DiffusionBatch, b: DiffusionBatch) -> bool:
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_a_diffusion_step_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    maker, again = make(tmp_path, BASE), make(tmp_path / "again", BASE)
    assert equal(maker.videos(3, 4), again.videos(3, 4))
    assert equal(maker.image_stacks(3, 2), again.image_stacks(3, 2))
    assert not equal(maker.videos(3, 4), maker.videos(4, 4))


def test_every_image_of_a_stack_has_its_own_condition(tmp_path: Path) -> None:
    stacks = make(tmp_path, BASE).image_stacks(0, 2)
    assert stacks.images
    assert stacks.latents.shape == (2, 4, 2, 2, 2)
    assert stacks.text.shape == (2, 2, 8, 16)
    # latents and text of a row are the row's number
    torch.testing.assert_close(stacks.latents[:, 0, :, 0, 0], stacks.text[:, :, 0, 0])
    assert len(set(stacks.text[:, :, 0, 0].flatten().tolist())) == 4


def test_dropped_conditions_are_the_empty_caption(tmp_path: Path) -> None:
    assert (make(tmp_path, BASE, dropout=1.0).videos(0, 4).text == -1).all()
    kept = make(tmp_path / "kept", BASE, dropout=0.0).videos(0, 4)
    torch.testing.assert_close(kept.text[:, 0, 0], kept.latents[:, 0, 0, 0, 0])


def test_super_resolution_noises_its_input_by_the_level(tmp_path: Path) -> None:
    maker = make(tmp_path, SUPER_RESOLUTION)
    batch = maker.videos(0, 4)
    assert batch.low_resolution is not None
    assert batch.noise_level is not None
    assert batch.low_resolution.shape == (4, 4, 2, 2, 2)
    assert int(batch.noise_level.max()) <= 30
    signal, sigma = maker.schedule.coefficients(batch.noise_level, batch.low_resolution)
    clean = batch.latents[:, :, :, ::2, ::2]
    spread = ((batch.low_resolution - signal * clean) / sigma).std()
    assert float(spread) == pytest.approx(1, abs=0.2)


def test_batch_is_split_into_videos_and_stacks(tmp_path: Path) -> None:
    model = WaltTransformer(BASE)
    config = diffusion_training()
    objective = DiffusionObjective(model, Schedule.from_config(DIFFUSION), make(tmp_path, BASE), config, seed=0)
    batch = objective.batch(0)
    assert [(len(part), part.images) for part in batch] == [(3, False), (1, True)]
    (terms,) = objective.losses(0, batch)
    torch.testing.assert_close(terms["loss"], 0.75 * terms["video"] + 0.25 * terms["image"])


def test_an_untrained_model_pays_the_targets_square(tmp_path: Path) -> None:
    batch = make(tmp_path, BASE).videos(0, 3)
    schedule = Schedule.from_config(DIFFUSION)
    target = schedule.target(batch.latents, batch.noise, batch.timesteps)
    for self_conditioning in (False, True):
        loss = prediction_loss(WaltTransformer(BASE), schedule, batch, self_conditioning)
        torch.testing.assert_close(loss, target.square().flatten(1).mean(1))
