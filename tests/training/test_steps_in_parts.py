"""A step of transformer training in parts: the large batch's gradient, and losses by bands of timesteps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.tiny_latents import batch_maker
from tests.support.tiny_loop import Killed, assert_same, kill_at
from tests.support.tiny_models import BASE, DIFFUSION
from tests.support.trainings import diffusion_training
from walt.core.errors import TerminatedError
from walt.diffusion.schedule import Schedule
from walt.training import diffusion_objective
from walt.training.config import DiffusionTrainingConfig
from walt.training.diffusion_objective import DiffusionObjective
from walt.training.loop import TrainingResult, train
from walt.training.terms import Average, Terms
from walt.transformer.model import WaltTransformer

PREDICTING = BASE.model_copy(update={"frame_prediction": True})


def objective(root: Path, config: DiffusionTrainingConfig) -> DiffusionObjective:
    """An objective with an untrained model whose last layer is not zero, so that every parameter has a gradient."""
    torch.manual_seed(0)
    model = WaltTransformer(PREDICTING)
    torch.nn.init.normal_(model.patch_out.weight, std=0.1)
    maker = batch_maker(root, PREDICTING, 0.1, known=config.frame_prediction_probability)
    return DiffusionObjective(model, Schedule.from_config(DIFFUSION), maker, config, seed=0)


def settings(**changes: Any) -> DiffusionTrainingConfig:
    values = {"batch_size": 8, "image_fraction": 0.375, "frame_prediction_probability": 0.5, "timestep_bands": 5}
    return diffusion_training(**{**values, **changes})


def step_of(objective_: DiffusionObjective, step: int) -> tuple[dict[str, float], dict[str, Tensor], int]:
    """The terms of a step, its gradients, and the number of its parts."""
    objective_.model.zero_grad()
    parts, terms = 0, dict[str, float]()
    for part in objective_.losses(step, objective_.batch(step)):
        loss = part["loss"]
        assert isinstance(loss, Tensor)
        loss.backward()
        parts += 1
        for name, term in part.items():
            value = term.total if isinstance(term, Average) else term
            terms[name] = terms.get(name, 0.0) + float(value.detach())
    return terms, {name: p.grad for name, p in objective_.model.named_parameters() if p.grad is not None}, parts


@pytest.mark.slow
def test_parts_add_up_to_the_large_batch(tmp_path: Path) -> None:
    """In float32; with self-conditioning (step 0) and without. 5 videos, 3 stacks: parts hold either kind, or both."""
    whole = objective(tmp_path, settings())
    expected = {step: step_of(whole, step) for step in (0, 1)}
    for accumulation in (2, 4, 8):
        in_parts = DiffusionObjective(
            whole.model, whole.schedule, whole.maker, settings(accumulation=accumulation), seed=0
        )
        for step, (terms, gradients, one) in expected.items():
            found, accumulated, parts = step_of(in_parts, step)
            assert (one, parts) == (1, accumulation)
            assert found == pytest.approx(terms, rel=1e-5)
            assert {"loss", "video", "image"} < terms.keys()
            assert gradients.keys() == accumulated.keys()
            largest = max(float(gradient.abs().max()) for gradient in gradients.values())
            for name, gradient in gradients.items():
                torch.testing.assert_close(accumulated[name], gradient, rtol=1e-4, atol=1e-5 * largest, msg=name)


def run(
    root: Path, config: DiffusionTrainingConfig, before: Callable[[int], None] = lambda step: None
) -> TrainingResult:
    objective_ = objective(root / "data", config)

    def losses(step: int) -> Iterator[Terms]:
        before(step)
        return objective_.losses(step, objective_.batch(step))

    return train(
        name="parts", model=objective_.model, losses=losses, config=config, identity={}, work=root / "work",
        on_log=lambda step, metrics: None,
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_in_parts_is_the_run_of_whole_batches(tmp_path: Path) -> None:
    one = run(tmp_path / "whole", settings(steps=4, ema_decay=0.5))
    other = run(tmp_path / "parts", settings(steps=4, ema_decay=0.5, accumulation=4))
    for line, expected in zip(other.history, one.history, strict=True):
        assert line == pytest.approx(expected, rel=1e-3)
    for name, value in one.state_dict.items():
        torch.testing.assert_close(other.state_dict[name], value, rtol=1e-3, atol=2e-4, msg=name)


@pytest.mark.slow
def test_a_killed_run_in_parts_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Also where a line of the log is half done, and a band has come before the kill only."""
    config = settings(steps=6, log_every=4, checkpoint_every=1, accumulation=2, timestep_bands=40)
    undisturbed = run(tmp_path / "undisturbed", config)
    for step in (3, 5):
        with pytest.raises(Killed):
            run(tmp_path / str(step), config, kill_at(step))
        assert_same(run(tmp_path / str(step), config), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 4])
def test_bands_are_means_over_the_samples_since_the_last_line(
    accumulation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, float]] = []
    plain = diffusion_objective.prediction_loss

    def noted(model: WaltTransformer, schedule: Schedule, batch: Any, self_conditioning: bool) -> Tensor:
        errors = plain(model, schedule, batch, self_conditioning)
        seen.extend(zip(batch.timesteps.tolist(), errors.tolist(), strict=True))
        return errors

    monkeypatch.setattr(diffusion_objective, "prediction_loss", noted)
    config = settings(steps=4, log_every=2, timestep_bands=20, accumulation=accumulation)
    history = run(tmp_path, config).history
    assert [line["step"] for line in history] == [2, 4]
    for line, samples in zip(history, (seen[:16], seen[16:]), strict=True):
        expected: dict[str, list[float]] = {}
        for timestep, error in samples:
            expected.setdefault(f"loss/band_{timestep // 5}", []).append(error)
        bands = {name: value for name, value in line.items() if name.startswith("loss/band_")}
        assert 1 < len(bands) < 20, "some bands have no sample"
        assert bands == pytest.approx({name: sum(errors) / len(errors) for name, errors in expected.items()}, rel=1e-5)


def test_bands_ask_the_device_for_nothing(tmp_path: Path) -> None:
    """Tensors without values represent a device that must not be waited for."""
    objective_ = objective(tmp_path, settings(timestep_bands=4))
    bands = objective_._bands(torch.tensor([0, 24, 25, 99]), torch.empty(4, device="meta"))
    assert {name: band.count for name, band in bands.items()} == {
        "loss/band_0": 2, "loss/band_1": 1, "loss/band_3": 1,
    }  # fmt: skip
    assert all(band.total.device.type == "meta" for band in bands.values())


@pytest.mark.slow
@pytest.mark.parametrize(("part", "parts", "begun"), [(0, 1, 2), (2, 3, 2), (3, 4, 3)])
def test_sigterm_is_obeyed_between_two_parts(
    part: int, parts: int, begun: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is given up is done again, to the same bits; one whose last part is being computed is finished."""
    config = settings(steps=4, accumulation=4, ema_decay=0.5, checkpoint_every=100)
    undisturbed = run(tmp_path / "undisturbed", config)
    computed: list[int] = []
    terms = DiffusionObjective._terms

    def terminated(self: DiffusionObjective, *arguments: Any) -> Terms:
        computed.append(len(computed))
        if len(computed) == 2 * 4 + part + 1:  # in step 2
            os.kill(os.getpid(), signal.SIGTERM)
        return terms(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DiffusionObjective, "_terms", terminated)
        with pytest.raises(TerminatedError, match=f"at step {begun}"):
            run(tmp_path / "killed", config)
    assert len(computed) == 2 * 4 + parts
    steps: list[int] = []
    assert_same(run(tmp_path / "killed", config, steps.append), undisturbed)
    assert steps[0] == begun
