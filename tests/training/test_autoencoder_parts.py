"""The autoencoder's step in parts: the terms, gradients and moving averages of the step that is computed whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.autoencoder_objectives import PAPER, objective, training
from tests.support.tiny_loop import Killed, assert_same, kill_at
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.model import CausalAutoencoder
from walt.core.errors import TerminatedError
from walt.training.autoencoder_config import ClipFormConfig
from walt.training.autoencoder_objective import AutoencoderObjective
from walt.training.loop import TrainingResult, train

FORMS = (
    ClipFormConfig(resolution=(16, 16), num_frames=5, batch_size=4, weight=1.0),
    ClipFormConfig(resolution=(32, 32), num_frames=1, batch_size=8, weight=3.0),
)
EVERY_TERM = {**PAPER, "lecam": 1.0, "perceptual": 0.1, "kl": 1e-3}
Gradients = dict[str, Tensor]


def in_parts(root: Path, accumulation: int, **changes: Any) -> AutoencoderObjective:
    settings = {"joint": True, "forms": FORMS, "accumulation": accumulation, **changes}
    return objective(root, training(EVERY_TERM, **settings))


def doubled(pair: AutoencoderObjective) -> AutoencoderObjective:
    networks: tuple[nn.Module | None, ...] = (pair.model, pair.discriminator, pair.perceptual, pair.lecam)
    for network in networks:
        assert network is not None
        network.double()
    return pair


def summed(parts: Iterable[dict[str, Tensor]], network: nn.Module) -> tuple[dict[str, float], Gradients, int]:
    """The terms that parts add up to, the gradients that their losses leave on a network, and how many they are."""
    network.zero_grad()
    terms: dict[str, float] = {}
    count = 0
    for part in parts:
        if part:
            part["loss"].backward()
            count += 1
        for name, term in part.items():
            terms[name] = terms.get(name, 0.0) + float(term.detach())
    return terms, {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}, count


def steps_of(pair: AutoencoderObjective, steps: int) -> list[tuple[dict[str, float], Gradients, int]]:
    """Of each step what ``summed`` gives, of the autoencoder, then of the discriminator."""
    assert pair.discriminator is not None
    found = []
    for step in range(steps):
        batches = [replace(batch, video=batch.video.double(), noise=batch.noise.double()) for batch in pair.batch(step)]
        pair.discriminator.requires_grad_(False)  # as the loop does
        found.append(summed(pair.losses(step, batches), pair.model))
        pair.discriminator.requires_grad_(True)
        found.append(summed(pair.discriminator_losses(step), pair.discriminator))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("joint", [True, False])
def test_parts_add_up_to_the_whole_step(joint: bool, tmp_path: Path) -> None:
    """In fp64, with every term; in the second step LeCAM's averages move from where the first one left them."""
    whole = doubled(in_parts(tmp_path, 1, joint=joint))
    steps = steps_of(whole, 2)
    for accumulation in (2, 4):
        parts = doubled(in_parts(tmp_path, accumulation, joint=joint))
        for (terms, gradients, one), (found, accumulated, count) in zip(steps, steps_of(parts, 2), strict=True):
            assert (one, count) == (1, accumulation * (2 if joint else 1))
            assert found == pytest.approx(terms, rel=1e-10)
            assert gradients.keys() == accumulated.keys()
            for name, gradient in gradients.items():
                torch.testing.assert_close(accumulated[name], gradient, rtol=1e-6, atol=1e-10, msg=name)
        assert {"adversarial", "lecam", "r1", "real_logits", "fake_logits", "loss"} == terms.keys()
        assert terms["lecam"] > 0
        assert whole.lecam is not None
        assert parts.lecam is not None
        for name, average in whole.lecam.state_dict().items():
            torch.testing.assert_close(parts.lecam.state_dict()[name], average, rtol=1e-10, atol=0)


@pytest.mark.slow
def test_no_network_sees_more_than_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    for kind, name in ((CausalAutoencoder, "encode"), (CausalAutoencoder, "decode"), (Discriminator, "forward")):
        plain: Callable[..., Any] = getattr(kind, name)

        def noted(self: nn.Module, video: Tensor, _name: str = name, _plain: Callable[..., Any] = plain) -> Any:
            seen.append((_name, len(video)))
            return _plain(self, video)

        monkeypatch.setattr(kind, name, noted)
    pair = in_parts(tmp_path, 4)
    assert pair.discriminator is not None
    summed(pair.losses(0, pair.batch(0)), pair.model)
    assert sorted(set(seen)) == [
        ("decode", 1),
        ("decode", 2),
        ("encode", 1),
        ("encode", 2),
        ("forward", 1),
        ("forward", 2),
    ]
    seen.clear()
    summed(pair.discriminator_losses(0), pair.discriminator)
    assert set(seen) == {("forward", 1), ("forward", 2), ("forward", 4)}  # real and made together; R1 of the real ones


def test_in_bf16_every_parameter_has_its_gradient(tmp_path: Path) -> None:
    """LeCAM's first pass has none, and autocast must not go on with its copies of the weights."""
    whole, parts = in_parts(tmp_path, 1), in_parts(tmp_path, 2)
    norms = []
    for pair in (whole, parts):
        assert pair.discriminator is not None
        with torch.autocast("cpu", torch.bfloat16):
            list(pair.losses(0, pair.batch(0)))
            steps = list(pair.discriminator_losses(0))  # all in one block, so that the cache would last
        pair.discriminator.zero_grad()
        sum(terms["loss"] for terms in steps if terms).backward()  # type: ignore[union-attr]
        norms.append({name: p.grad for name, p in pair.discriminator.named_parameters()})
    for name, gradient in norms[0].items():
        assert norms[1][name] is not None, name
        torch.testing.assert_close(norms[1][name], gradient, rtol=0.1, atol=0.05 * float(gradient.abs().max()))


def run(
    root: Path, work: Path, accumulation: int, before: Callable[[int], None] = lambda step: None
) -> tuple[AutoencoderObjective, TrainingResult]:
    pair = in_parts(root, accumulation, steps=3, checkpoint_every=1)

    def losses(step: int) -> Any:
        before(step)
        return pair.losses(step, pair.batch(step))

    result = train(
        name="pair", model=pair.model, losses=losses, config=pair.config, identity={}, work=work,
        on_log=lambda step, metrics: None, second_model=pair.second_model(),
    )  # fmt: skip
    return pair, result


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[AutoencoderObjective, TrainingResult]:
    """A run of three steps, of two forms in two parts each."""
    root = tmp_path_factory.mktemp("undisturbed")
    return run(root, root / "work", 2)


@pytest.mark.slow
def test_a_run_in_parts_is_the_run_of_whole_steps_and_resumes_to_the_same_bits(
    undisturbed: tuple[AutoencoderObjective, TrainingResult], tmp_path: Path
) -> None:
    _, whole = run(tmp_path, tmp_path / "whole", 1)
    for line, expected in zip(undisturbed[1].history, whole.history, strict=True):
        assert line == pytest.approx(expected, rel=5e-3, abs=1e-5)
    with pytest.raises(Killed):
        run(tmp_path, tmp_path / "killed", 2, kill_at(1))
    assert_same(run(tmp_path, tmp_path / "killed", 2)[1], undisturbed[1])


@pytest.mark.slow
@pytest.mark.parametrize("call", [2, 5, 13])
def test_sigterm_is_obeyed_after_the_present_part(
    call: int,
    undisturbed: tuple[AutoencoderObjective, TrainingResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The discriminator is called 4 times for the autoencoder, 4 times for LeCAM's averages, and twice for each part of
    its own: 16 times a step. The signal comes in the last part of the first form, in the first pass for the averages,
    and in a part of the discriminator. The step is done again, to the same bits."""
    calls, plain = 0, Discriminator.forward

    def terminated(self: Discriminator, video: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 16 + call:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, video)

    with monkeypatch.context() as patch:
        patch.setattr(Discriminator, "forward", terminated)
        with pytest.raises(TerminatedError, match="at step 1"):
            run(tmp_path, tmp_path / "killed", 2)
    assert calls == 16 + call + (call == 13), "what followed in the step was computed in vain"  # a part has two
    again, result = run(tmp_path, tmp_path / "killed", 2)
    assert_same(result, undisturbed[1])
    for pair in (again, undisturbed[0]):
        assert pair.lecam is not None
    assert torch.equal(again.lecam.real_average, undisturbed[0].lecam.real_average)  # type: ignore[union-attr]
