"""The loop with a second model: exact resume, no leak of gradients, and what happens when that model goes wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.tiny_loop import STEPS, Killed, assert_same, kill_at, loop_config
from tests.support.tiny_pair import ModelAndCritic
from walt.core.errors import ConfigurationError, DivergedError


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_on_any_processor")
@pytest.mark.parametrize("changes", [{}, {"precision": "bf16", "ema_decay": 0.0, "optimizer": {"betas": (0.0, 0.99)}}])
def test_a_killed_pair_resumes_to_the_same_bits(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = loop_config(checkpoint_every=2, **changes)
    undisturbed = ModelAndCritic()
    expected = undisturbed.run(tmp_path / "undisturbed", config)
    for step in (3, 4, 5, STEPS - 1):
        work = tmp_path / str(step)
        with pytest.raises(Killed):
            ModelAndCritic(kill_at(step)).run(work, config)
        again = ModelAndCritic()
        torch.nn.init.zeros_(again.critic.conv.weight)  # all of it comes from the checkpoint
        again.critic.moved.fill_(7.0)
        assert_same(again.run(work, config), expected)
        assert equal(again.critic.state_dict(), undisturbed.critic.state_dict())
        assert again.calls[0] == ("model", step - step % 2)


def test_models_take_turns_and_the_result_is_the_first_ones(tmp_path: Path) -> None:
    pair = ModelAndCritic()
    model, critic = copy.deepcopy(pair.model.state_dict()), copy.deepcopy(pair.critic.state_dict())
    result = pair.run(tmp_path, loop_config(ema_decay=0.0))
    assert pair.calls == [(trained, step) for step in range(STEPS) for trained in ("model", "critic")]
    assert equal(result.state_dict, pair.model.state_dict())
    for before, after in ((model, pair.model.state_dict()), (critic, pair.critic.state_dict())):
        assert all(not torch.equal(value, after[name]) for name, value in before.items())
    assert result.history[0].keys() == {
        "step", "loss", "grad_norm", "lr", "critic/loss", "critic/real", "critic/grad_norm",
    }  # fmt: skip


def test_the_models_loss_leaves_no_gradient_in_the_second_model(tmp_path: Path) -> None:
    """In either direction: each model's step is that of its own loss alone, clipped alone."""
    pair = ModelAndCritic()
    seen: list[dict[str, Tensor | None]] = []
    pair_losses = pair.critic_losses

    def critic_losses(step: int) -> dict[str, Tensor]:
        seen.append({name: p.grad for name, p in pair.critic.named_parameters()})
        # also the other way round: a critic's loss that reaches the model
        return {"loss": pair_losses(step)["loss"] + pair.critic(pair.model(pair.real)).mean()}

    gradients: list[list[Tensor]] = []

    def before(step: int) -> None:
        if step == 1:  # what the first step left on the model
            gradients.append([p.grad.clone() for p in pair.model.parameters() if p.grad is not None])

    pair.before = before
    pair.critic_losses = critic_losses  # type: ignore[method-assign]
    reference = ModelAndCritic()
    config = loop_config(steps=2)
    expected = reference.losses(0)["loss"]
    own = torch.autograd.grad(expected, list(reference.model.parameters()))
    norm = torch.stack([gradient.norm() for gradient in own]).norm()
    pair.run(tmp_path, config)
    assert seen[0] == dict.fromkeys(seen[0])  # nothing was there before its first turn
    scale = min(1.0, config.optimizer.gradient_clip / norm.item())
    for found, alone in zip(gradients[0], own, strict=True):
        torch.testing.assert_close(found, alone * scale, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_second_models_loss_that_is_not_finite_ends_the_run(tmp_path: Path, factor: float) -> None:
    pair = ModelAndCritic(critic_scale=factor)
    with pytest.raises(
        DivergedError, match=r"tiny: critic/loss (nan|inf).* at step 5; the checkpoint of step 4 is kept"
    ):
        pair.run(tmp_path, loop_config(checkpoint_every=2, skip_non_finite=0))
    again = ModelAndCritic()
    again.run(tmp_path, loop_config(checkpoint_every=2))
    assert again.calls[0] == ("model", 4)


def test_a_second_models_gradient_that_is_not_finite_ends_it_too(tmp_path: Path) -> None:
    pair = ModelAndCritic()
    pair.critic.conv.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match=r"critic/grad_norm (nan|inf)"):
        pair.run(tmp_path, loop_config(skip_non_finite=0))


def test_both_models_are_clipped(tmp_path: Path) -> None:
    pair = ModelAndCritic()
    norms: list[float] = []

    def before(step: int) -> None:
        if step:
            models = (pair.model, pair.critic)
            norms.extend(float(nn.utils.get_total_norm([p.grad for p in m.parameters()])) for m in models)

    pair.before = before
    history = pair.run(tmp_path, loop_config(optimizer={"gradient_clip": 0.01}, log_every=1)).history
    assert all(entry["grad_norm"] > 0.01 and entry["critic/grad_norm"] > 0.01 for entry in history)
    assert len(norms) == 2 * (STEPS - 1)
    assert max(norms) < 0.0101


def test_a_second_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    ModelAndCritic().run(tmp_path, loop_config(steps=2))
    other = ModelAndCritic()
    other.critic.register_buffer("more", torch.zeros(3))
    with pytest.raises(ConfigurationError, match=r"of another critic, more is absent there and \(3,\) in the model"):
        other.run(tmp_path, loop_config(steps=2))
    assert not other.calls


def test_activation_checkpointing_may_be_turned_on_in_the_middle(tmp_path: Path) -> None:
    """It changes no result: after an out-of-memory it is the knob to turn."""
    with pytest.raises(Killed):
        ModelAndCritic(kill_at(5)).run(tmp_path)
    again = ModelAndCritic()
    again.run(tmp_path, loop_config(activation_checkpointing=True))
    assert again.calls[0] == ("model", 5)
