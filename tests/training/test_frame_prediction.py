"""Training with the first latent frames known: which, how often, and what else that changes (nothing)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.tiny_latents import batch_maker, same_batches
from tests.support.tiny_models import BASE, DIFFUSION
from tests.support.tiny_models import drawn as with_weights
from walt.diffusion.schedule import Schedule
from walt.training.diffusion_objective import prediction_loss
from walt.transformer.model import WaltTransformer

PREDICTING = BASE.model_copy(update={"frame_prediction": True})
LONGER = PREDICTING.model_copy(update={"latent_grid": (5, 2, 2), "spatiotemporal_window": (5, 2, 2)})


def counts(root: Path, probability: float, longer: bool = True) -> list[int]:
    """How many frames were known in 600 videos of many steps."""
    maker = batch_maker(root, LONGER if longer else PREDICTING, known=probability)
    found: list[int] = []
    for step in range(100):
        known = maker.videos(step, 6).known_frames
        assert known is not None
        found += known.tolist()
    return found


@pytest.mark.slow
def test_one_or_two_frames_are_known_as_often_as_asked(tmp_path: Path) -> None:
    found = counts(tmp_path, 0.6)
    shares = [found.count(frames) / len(found) for frames in (0, 1, 2)]
    assert shares == pytest.approx([0.4, 0.3, 0.3], abs=0.06)
    assert set(counts(tmp_path / "never", 0.0)) == {0}
    assert set(counts(tmp_path / "always", 1.0)) == {1, 2}


def test_never_all_frames_are_known(tmp_path: Path) -> None:
    assert set(counts(tmp_path, 1.0, longer=False)) == {1}


def test_it_is_a_function_of_seed_and_step_and_changes_nothing_else(tmp_path: Path) -> None:
    maker, again = (
        batch_maker(tmp_path, LONGER, 0.3, known=0.6),
        batch_maker(tmp_path / "again", LONGER, 0.3, known=0.6),
    )
    plain = batch_maker(tmp_path / "plain", BASE, 0.3)
    for step in (5, 2):
        batch = maker.videos(step, 6)
        assert same_batches(batch, again.videos(step, 6))
        assert same_batches(replace(batch, known_frames=None), plain.videos(step, 6))
    assert len({tuple(maker.videos(step, 6).known_frames.tolist()) for step in range(4)}) > 1  # type: ignore[union-attr]


def test_images_know_nothing(tmp_path: Path) -> None:
    assert batch_maker(tmp_path, PREDICTING, known=1.0).image_stacks(0, 2).known_frames is None


def test_known_frames_are_given_and_every_frame_counts(tmp_path: Path) -> None:
    batch = batch_maker(tmp_path, PREDICTING, known=1.0).videos(0, 3)
    model, schedule = with_weights(WaltTransformer(PREDICTING), 1), Schedule.from_config(DIFFUSION)
    conditional = prediction_loss(model, schedule, batch, False)
    unconditional = prediction_loss(
        model, schedule, replace(batch, known_frames=torch.zeros(3, dtype=torch.int64)), False
    )
    nothing = prediction_loss(model, schedule, replace(batch, known_frames=None), False)
    assert torch.equal(unconditional, nothing)
    assert (conditional != unconditional).all()
    # an untrained model predicts zero: the loss is the target's square over all frames, the known ones too
    target = schedule.target(batch.latents, batch.noise, batch.timesteps)
    zero = prediction_loss(WaltTransformer(PREDICTING), schedule, batch, False)
    torch.testing.assert_close(zero, target.square().flatten(1).mean(1))
