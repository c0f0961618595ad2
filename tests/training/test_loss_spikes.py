"""Loss spikes: reported where a loss is far above what was usual, and nowhere else."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.support.tiny_loop import Killed, assert_same, kill_at, loop_config, run
from walt.training.loss_spikes import LossSpikes


def noisy(count: int, seed: int = 0) -> list[float]:
    """Losses with the skewed noise of small batches: log-normal, as those of random timesteps are."""
    generator = random.Random(seed)
    return [0.3 * generator.lognormvariate(0.0, 0.3) for _ in range(count)]


def counted(losses: list[float], threshold: float | None = 10.0) -> int:
    spikes = LossSpikes("x", threshold)
    for step, loss in enumerate(losses):
        spikes.add(step, {"loss": loss})
    return spikes.count


def test_noise_and_learning_are_no_spikes() -> None:
    assert counted(noisy(3000)) == 0
    assert counted([1.0 / (1 + step / 50) + noise for step, noise in enumerate(noisy(2000))]) == 0
    assert counted([0.5] * 200) == 0
    assert counted([0.5] * 200 + [0.5001]) == 0, "losses that hardly differ"


def test_a_spike_is_reported_once_and_each_of_its_steps_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    losses = noisy(200)
    losses[150:153] = [9.0, 8.0, 7.0]
    losses[180] = 9.0
    assert counted(losses) == 4
    shown = capsys.readouterr().out
    assert shown.count("warning") == 2
    assert "x: step 150: loss 9 is a spike, " in shown
    assert "step 180" in shown


def test_null_reports_none_and_early_losses_are_not_compared() -> None:
    losses = noisy(200)
    losses[150] = 9.0
    assert counted(losses, threshold=None) == 0
    assert counted([0.3] * 19 + [100.0]) == 0
    assert counted([0.3] * 20 + [100.0]) == 1


def test_a_negative_loss_may_spike_too() -> None:
    """The adversarial part of an autoencoder's loss has no lower bound."""
    assert counted([-loss for loss in noisy(100)] + [5.0]) == 1


def test_each_term_is_compared_with_its_own_past() -> None:
    spikes = LossSpikes("x", 10.0)
    for step, loss in enumerate(noisy(100)):
        spikes.add(step, {"loss": loss, "discriminator/loss": 100 * loss})
    spikes.add(100, {"loss": 0.3, "discriminator/loss": 30.0})
    assert spikes.count == 0
    spikes.add(101, {"loss": 30.0, "discriminator/loss": 30.0})
    assert spikes.count == 1


def test_it_goes_on_from_its_state() -> None:
    losses = noisy(150)
    losses[100:130:7] = [5.0] * 5
    for cut in (10, 100, 101, 140):
        whole, part, rest = (LossSpikes("x", 10.0) for _ in range(3))
        for step, loss in enumerate(losses):
            whole.add(step, {"loss": loss})
            if step < cut:
                part.add(step, {"loss": loss})
        rest.load_state(json.loads(json.dumps(part.state())))
        for step, loss in enumerate(losses[cut:], start=cut):
            rest.add(step, {"loss": loss})
        assert rest.count == whole.count == 5
        assert rest.state() == whole.state()


@pytest.mark.slow
def test_the_metric_is_in_the_log_and_survives_a_kill(tmp_path: Path) -> None:
    config = loop_config(steps=40, log_every=10, checkpoint_every=10, optimizer={"learning_rate": 1e-4})

    def scale(step: int) -> float:
        return 1e4 if step in (25, 33) else 1.0

    undisturbed = run(tmp_path / "a", config, scale=scale)
    assert [line.get("loss_spikes", 0) for line in undisturbed.history] == [0, 0, 1, 2]
    with pytest.raises(Killed):
        run(tmp_path / "b", config, kill_at(30), scale)
    assert_same(run(tmp_path / "b", config, scale=scale), undisturbed)
