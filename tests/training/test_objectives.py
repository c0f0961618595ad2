"""What a step of training is: the same for everybody who asks, and what the paper says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.tiny_clips import clip_row, write_clips
from tests.support.tiny_latents import ROWS, batch_maker, same_batches
from tests.support.tiny_models import AUTOENCODER, BASE, DIFFUSION, SUPER_RESOLUTION
from tests.support.trainings import FORMS, PLAIN_LOSS, autoencoder_training, diffusion_training, last
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import RejectLimitError
from walt.core.paths import Paths
from walt.diffusion.schedule import Schedule
from walt.training.autoencoder_objective import AutoencoderObjective, draw_form
from walt.training.diffusion_objective import DiffusionObjective, prediction_loss, together
from walt.transformer.config import TransformerConfig
from walt.transformer.model import WaltTransformer


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
    terms = last(objective.losses(0, objective.batch(0)))
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + 1e-3 * terms["kl"])
    without = training.model_copy(update={"loss": PLAIN_LOSS.model_copy(update={"kl": 0.0})})
    objective = AutoencoderObjective(model, without, Paths(tmp_path), seed=0)
    assert last(objective.losses(0, objective.batch(0))).keys() == {"loss", "reconstruction"}
    assert objective.second_model() is None


def test_no_clip_in_a_form_is_an_error(tmp_path: Path) -> None:
    write_clips(tmp_path / "data/clips", (clip_row("i0", "image", "train", 0),))
    with pytest.raises(RejectLimitError, match=r"no training clip of 5 frames at \(16, 16\)$"):
        AutoencoderObjective(CausalAutoencoder(AUTOENCODER), autoencoder_training(), Paths(tmp_path), seed=0)


def test_that_all_clips_are_held_out_is_said(tmp_path: Path) -> None:
    write_clips(tmp_path / "data/clips", tuple(replace(row, split="held_out") for row in ROWS))
    with pytest.raises(RejectLimitError, match=r"no training clip of 5 frames.*: all 6 are held out, by the"):
        AutoencoderObjective(CausalAutoencoder(AUTOENCODER), autoencoder_training(), Paths(tmp_path), seed=0)


def test_a_diffusion_step_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    maker, again = batch_maker(tmp_path, BASE), batch_maker(tmp_path / "again", BASE)
    assert same_batches(maker.videos(3, 4), again.videos(3, 4))
    assert same_batches(maker.image_stacks(3, 2), again.image_stacks(3, 2))
    assert not same_batches(maker.videos(3, 4), maker.videos(4, 4))


def test_every_image_of_a_stack_has_its_own_condition(tmp_path: Path) -> None:
    stacks = batch_maker(tmp_path, BASE).image_stacks(0, 2)
    assert stacks.images
    assert stacks.latents.shape == (2, 4, 2, 2, 2)
    assert stacks.text.shape == (2, 2, 8, 16)
    # latents and text of a row are the row's number
    torch.testing.assert_close(stacks.latents[:, 0, :, 0, 0], stacks.text[:, :, 0, 0])
    assert len(set(stacks.text[:, :, 0, 0].flatten().tolist())) == 4


def test_dropped_conditions_are_the_empty_caption(tmp_path: Path) -> None:
    assert (batch_maker(tmp_path, BASE, dropout=1.0).videos(0, 4).text == -1).all()
    kept = batch_maker(tmp_path / "kept", BASE, dropout=0.0).videos(0, 4)
    torch.testing.assert_close(kept.text[:, 0, 0], kept.latents[:, 0, 0, 0, 0])


def test_super_resolution_noises_its_input_by_the_level(tmp_path: Path) -> None:
    maker = batch_maker(tmp_path, SUPER_RESOLUTION)
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
    objective = DiffusionObjective(model, Schedule.from_config(DIFFUSION), batch_maker(tmp_path, BASE), config, seed=0)
    batch = objective.batch(0)
    assert [(len(part), part.images) for part in batch] == [(3, False), (1, True)]
    (terms,) = objective.losses(0, batch)
    torch.testing.assert_close(terms["loss"], 0.75 * terms["video"] + 0.25 * terms["image"])


def test_an_untrained_model_pays_the_targets_square(tmp_path: Path) -> None:
    batch = batch_maker(tmp_path, BASE).videos(0, 3)
    schedule = Schedule.from_config(DIFFUSION)
    target = schedule.target(batch.latents, batch.noise, batch.timesteps)
    for self_conditioning in (False, True):
        loss = prediction_loss(WaltTransformer(BASE), schedule, batch, self_conditioning)
        torch.testing.assert_close(loss, target.square().flatten(1).mean(1))


PREDICTING = BASE.model_copy(update={"frame_prediction": True})
BY_CLASS = BASE.model_copy(
    update={"conditioning": "class", "num_classes": 3, "text_width": None, "cross_attention": None}
)


@pytest.mark.parametrize(
    "config", [BASE, SUPER_RESOLUTION, PREDICTING, BY_CLASS], ids=["base", "2x", "frames", "class"]
)
def test_both_kinds_in_one_call_cost_what_they_cost_apart(tmp_path: Path, config: TransformerConfig) -> None:
    torch.manual_seed(0)
    model, schedule = WaltTransformer(config), Schedule.from_config(DIFFUSION)
    for parameter in model.parameters():  # zeros would hide the conditions
        torch.nn.init.normal_(parameter, std=0.2)
    by_class = config.conditioning == "class"
    maker = batch_maker(tmp_path, BASE if by_class else config, known=0.7 if config.frame_prediction else 0.0)
    videos, stacks = maker.videos(0, 3), maker.image_stacks(0, 2)
    assert videos.text is not None
    assert videos.text_mask is not None
    if by_class:
        videos = replace(videos, text=None, text_mask=None, labels=torch.tensor([0, 3, 1]))
        stacks = replace(stacks, text=None, text_mask=None, labels=torch.tensor([[0, 1], [2, 3]]))
    else:  # of fewer tokens than the stacks' captions
        videos = replace(videos, text=videos.text[:, :5], text_mask=videos.text_mask[:, :5])
    apart = [prediction_loss(model, schedule, batch, self_conditioning=True) for batch in (videos, stacks)]
    both = prediction_loss(model, schedule, together(videos, stacks), self_conditioning=True)
    assert len(set(both.tolist())) == 5
    torch.testing.assert_close(both, torch.cat(apart))
