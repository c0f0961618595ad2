"""The autoencoder's step as a pair: which terms there are, how forms are averaged, who sees what."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.autoencoder_objectives import PAPER, objective, training
from tests.support.tiny_loop import assert_same, loop_config
from tests.support.trainings import FORMS, last
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.losses import (
    LeCam,
    discriminator_loss,
    generator_loss,
    perceptual_loss,
    r1_penalty,
    sample_posterior,
)
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import TerminatedError
from walt.training.autoencoder_config import ClipFormConfig
from walt.training.autoencoder_objective import AutoencoderObjective, names_of_draws
from walt.training.loop import TrainingResult, train


@pytest.mark.parametrize(
    ("loss", "generator", "discriminator"),
    [
        ({"kl": 1.0}, {"kl"}, None),
        ({"reconstruction": 5.0}, {"reconstruction"}, None),
        ({"perceptual": 0.1}, {"perceptual"}, None),
        ({"adversarial": 0.1}, {"adversarial"}, {"adversarial"}),
        ({"adversarial": 0.1, "r1": 10.0}, {"adversarial"}, {"adversarial", "r1"}),
        ({"adversarial": 0.1, "lecam": 0.01, "kl": 1.0}, {"adversarial", "kl"}, {"adversarial", "lecam"}),
        (
            {**PAPER, "perceptual": 0.1, "kl": 1e-3},
            {"reconstruction", "kl", "perceptual", "adversarial"},
            {"adversarial", "lecam", "r1"},
        ),
    ],
)
def test_each_term_is_there_by_its_weight(
    tmp_path: Path, loss: dict[str, float], generator: set[str], discriminator: set[str] | None
) -> None:
    pair = objective(tmp_path, training(loss))
    terms = last(pair.losses(0, pair.batch(0)))
    assert terms.keys() == generator | {"loss"}
    torch.testing.assert_close(terms["loss"], sum(loss[name] * terms[name] for name in generator))
    second_model = pair.second_model()
    if discriminator is None:
        assert second_model is None
        return
    assert second_model is not None
    terms = last(second_model.losses(0))
    assert terms.keys() == discriminator | {"loss", "real_logits", "fake_logits"}
    weights = {**loss, "adversarial": 1.0}  # 0.1 is the autoencoder's
    torch.testing.assert_close(terms["loss"], sum(weights[name] * terms[name] for name in discriminator))


def test_terms_are_those_of_the_steps_videos_and_reconstructions(tmp_path: Path) -> None:
    pair = objective(tmp_path, training({**PAPER, "perceptual": 0.1}))
    assert pair.discriminator is not None
    assert pair.perceptual is not None
    (batch,) = pair.batch(3)
    fake = pair.model.decode(sample_posterior(*pair.model.encode(batch.video), batch.noise))
    logits_real, logits_fake = pair.discriminator(batch.video), pair.discriminator(fake)
    terms = last(pair.losses(3, [batch]))
    close = torch.testing.assert_close
    close(terms["adversarial"], generator_loss(logits_fake))
    close(terms["perceptual"], perceptual_loss(pair.perceptual(fake), pair.perceptual(batch.video)))
    terms = last(pair.discriminator_losses(3))
    close(terms["adversarial"], discriminator_loss(logits_real, logits_fake))
    close(terms["r1"], r1_penalty(pair.discriminator, batch.video))
    close(terms["real_logits"], logits_real.mean())
    close(terms["fake_logits"], logits_fake.mean())
    lecam = LeCam()
    lecam.update(logits_real.mean(), logits_fake.mean())
    close(terms["lecam"], lecam(logits_real, logits_fake))


@pytest.mark.slow
def test_a_joint_step_holds_every_form_and_averages_by_weight(tmp_path: Path) -> None:
    joint = objective(tmp_path, training(PAPER, joint=True))
    batches = joint.batch(2)
    assert [tuple(batch.video.shape) for batch in batches] == [(2, 3, 5, 16, 16), (3, 3, 1, 32, 32)]
    assert [batch.share for batch in batches] == [0.25, 0.75]  # FORMS weigh 1 and 3
    terms, critic_terms = last(joint.losses(2, batches)), last(joint.discriminator_losses(2))
    alone: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    for index in range(2):
        form = objective(tmp_path, training(PAPER, joint=True, forms=FORMS))
        one = [type(batches[index])(batches[index].video, batches[index].noise, 1.0)]
        alone.append((last(form.losses(2, one)), last(form.discriminator_losses(2))))
    for name in ("loss", "reconstruction", "adversarial"):
        torch.testing.assert_close(terms[name], 0.25 * alone[0][0][name] + 0.75 * alone[1][0][name])
    for name in ("adversarial", "r1", "real_logits", "fake_logits"):
        torch.testing.assert_close(critic_terms[name], 0.25 * alone[0][1][name] + 0.75 * alone[1][1][name])
    assert joint.lecam is not None
    torch.testing.assert_close(joint.lecam.real_average, critic_terms["real_logits"])  # once a step, over all forms


def test_forms_of_a_joint_step_are_those_of_steps_with_one_form(tmp_path: Path) -> None:
    """So the two ways see the same clips and noise."""
    joint, single = objective(tmp_path, training(PAPER, joint=True)), objective(tmp_path, training(PAPER))
    for step in range(6):
        (batch,) = single.batch(step)
        same = next(other for other in joint.batch(step) if other.video.shape == batch.video.shape)
        assert torch.equal(batch.video, same.video)
        assert torch.equal(batch.noise, same.noise)


@pytest.mark.slow
def test_copies_of_a_clip_in_one_batch_draw_for_themselves(tmp_path: Path) -> None:
    """A batch larger than the split: the first of each clip is what it would be alone, its copies are other samples."""
    size = (16, 16)
    form = ClipFormConfig(resolution=size, num_frames=5, batch_size=1, weight=1.0)
    alone = objective(tmp_path, training(PAPER, forms=(form,)))
    clips = len(alone.keys[0])
    whole = objective(tmp_path, training(PAPER, forms=(form.model_copy(update={"batch_size": 2 * clips}),)))
    (once,) = objective(tmp_path, training(PAPER, forms=(form.model_copy(update={"batch_size": clips}),))).batch(0)
    (twice,) = whole.batch(0)
    assert torch.equal(twice.noise[:clips], once.noise)
    assert torch.equal(twice.video[:clips], once.video)
    drawn = twice.noise.flatten(1)
    assert len(torch.unique(drawn, dim=0)) == 2 * clips


def test_what_is_there_once_draws_by_its_key_alone() -> None:
    assert names_of_draws(["b", "a", "b", "c", "b"]) == ["b", "a", "b:2", "c", "b:4"]


def test_the_discriminator_cannot_play_another_step_or_twice(tmp_path: Path) -> None:
    pair = objective(tmp_path, training(PAPER))
    with pytest.raises(AssertionError, match="losses come first"):
        last(pair.discriminator_losses(0))
    last(pair.losses(1, pair.batch(1)))
    with pytest.raises(AssertionError, match="losses are of step 1, not 2"):
        last(pair.discriminator_losses(2))
    last(pair.losses(1, pair.batch(1)))
    last(pair.discriminator_losses(1))
    with pytest.raises(AssertionError, match="losses come first"):
        last(pair.discriminator_losses(1))


def test_the_discriminators_loss_does_not_reach_the_autoencoder(tmp_path: Path) -> None:
    pair = objective(tmp_path, training(PAPER))
    assert pair.discriminator is not None
    last(pair.losses(0, pair.batch(0)))
    last(pair.discriminator_losses(0))["loss"].backward()
    assert all(parameter.grad is None for parameter in pair.model.parameters())
    assert all(parameter.grad is not None for parameter in pair.discriminator.parameters())


def train_both(root: Path, work: Path, steps: int, **changes: Any) -> tuple[AutoencoderObjective, TrainingResult]:
    pair = objective(root, training(PAPER, joint=True))
    result = train(
        name="pair",
        model=pair.model,
        losses=lambda step: pair.losses(step, pair.batch(step)),
        config=loop_config(steps=steps, ema_decay=0.0, **changes),
        identity={},
        work=work,
        on_log=lambda step, metrics: None,
        second_model=pair.second_model(),
    )
    return pair, result


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_on_any_processor")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_moves_both_models(tmp_path: Path, precision: str) -> None:
    before = objective(tmp_path, training(PAPER, joint=True))
    pair, result = train_both(tmp_path, tmp_path / "work", 1, precision=precision, optimizer={"betas": (0.0, 0.99)})
    assert before.discriminator is not None
    assert pair.discriminator is not None
    for old, new in ((before.model, pair.model), (before.discriminator, pair.discriminator)):
        moved = [not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True)]
        assert all(moved)
    (entry,) = result.history
    assert {"reconstruction", "adversarial", "discriminator/r1", "discriminator/lecam"} <= entry.keys()
    assert {"discriminator/real_logits", "discriminator/fake_logits", "discriminator/grad_norm"} <= entry.keys()


@pytest.mark.slow
def test_the_discriminator_learns_to_distinguish(tmp_path: Path) -> None:
    """Against an autoencoder that is not trained."""
    pair = objective(tmp_path, training({"adversarial": 0.1}))
    assert pair.discriminator is not None
    optimizer = torch.optim.Adam(pair.discriminator.parameters(), lr=0.01, betas=(0.0, 0.99))
    batches = pair.batch(0)
    history = []
    for _ in range(20):
        last(pair.losses(0, batches))
        terms = last(pair.discriminator_losses(0))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in terms.items()})
    assert history[-1]["adversarial"] < 0.5 * history[0]["adversarial"]
    assert history[-1]["real_logits"] > 0 > history[-1]["fake_logits"]


@pytest.mark.slow
def test_averages_of_logits_survive_a_resume(tmp_path: Path) -> None:
    whole, expected = train_both(tmp_path, tmp_path / "whole", 4)
    train_both(tmp_path, tmp_path / "parts", 4)
    newest = tmp_path / "parts/step-000000004"
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    again, result = train_both(tmp_path, tmp_path / "parts", 4)  # from step 3
    assert_same(result, expected)
    assert whole.lecam is not None
    assert again.lecam is not None
    assert bool(again.lecam.started)
    assert torch.equal(again.lecam.real_average, whole.lecam.real_average)
    assert torch.equal(again.lecam.fake_average, whole.lecam.fake_average)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "call", "calls_made"), [("model", 1, 1), ("model", 2, 2), ("discriminator", 3, 4)])
def test_sigterm_is_obeyed_between_forms_and_between_the_models(
    network: str, call: int, calls_made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is given up with the moving averages as they were; it is done again, to the same bits.

    In a joint step of two forms the discriminator is called twice for the autoencoder, then twice for each form.
    """
    whole, expected = train_both(tmp_path, tmp_path / "whole", 4, checkpoint_every=100)
    calls = 0
    name, kind = {"model": ("decode", CausalAutoencoder), "discriminator": ("forward", Discriminator)}[network]
    plain, a_step = getattr(kind, name), {"model": 2, "discriminator": 6}[network]

    def terminated(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 * a_step + call:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, terminated)
        with pytest.raises(TerminatedError, match="at step 2"):
            train_both(tmp_path, tmp_path / "killed", 4, checkpoint_every=100)
    assert calls == 2 * a_step + calls_made, "what followed in the step was computed in vain"
    again, result = train_both(tmp_path, tmp_path / "killed", 4, checkpoint_every=100)
    assert_same(result, expected)
    assert again.lecam is not None
    assert whole.lecam is not None
    assert torch.equal(again.lecam.real_average, whole.lecam.real_average)
