"""A step waits for the device once: when it asks whether losses and gradients are finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.tiny_latents import batch_maker
from tests.support.tiny_loop import loop_config, make_model
from tests.support.tiny_models import BASE, DIFFUSION
from tests.support.tiny_pair import ModelAndCritic
from tests.support.trainings import diffusion_training
from walt.diffusion.schedule import Schedule
from walt.training import optimizers
from walt.training.diffusion_objective import DiffusionObjective
from walt.training.loop import train
from walt.transformer.model import WaltTransformer


class Reads(TorchDispatchMode):
    """Counts how often a number is taken from a tensor of floats: ``item``, ``bool``, ``float``, ``tolist``, ``numpy``.

    Whole numbers are left out: batches are made on the processor, and places in them are such.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default or func is torch.ops.aten.nonzero.default:
            self.count += args[0].is_floating_point() or args[0].dtype == torch.bool
        return func(*args, **(kwargs or {}))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    with monkeypatch.context() as patch, Reads() as reads:
        for name in ("tolist", "numpy"):
            plain = getattr(Tensor, name)

            def noted(tensor: Tensor, *rest: Any, plain: Any = plain, **more: Any) -> Any:
                reads.count += tensor.is_floating_point()
                return plain(tensor, *rest, **more)

            patch.setattr(Tensor, name, noted)
        yield reads


def test_every_way_of_reading_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.ones(())
    with counted(monkeypatch) as reads:
        tensor.item(), float(tensor), tensor.tolist(), tensor.numpy(), int(tensor)
        assert reads.count == 5
        assert bool(tensor > 0)
        assert torch.isfinite(tensor)
        assert reads.count == 7


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_on_any_processor")
@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_transformers_step_reads_once_and_a_line_of_the_log_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulation: int, precision: str
) -> None:
    config = diffusion_training(
        steps=6, batch_size=8, image_fraction=0.25, accumulation=accumulation, log_every=3, checkpoint_every=6,
        ema_decay=0.9, precision=precision, timestep_bands=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = WaltTransformer(BASE)
    objective = DiffusionObjective(
        model, Schedule.from_config(DIFFUSION), batch_maker(tmp_path / "data", BASE, 0.1), config, seed=0
    )
    batches = [objective.batch(step) for step in range(6)]
    with counted(monkeypatch) as reads:
        train(
            name="x", model=model, losses=lambda step: objective.losses(step, batches[step]), config=config,
            identity={}, work=tmp_path / "work", on_log=lambda step, metrics: None,
        )  # fmt: skip
    assert reads.count == 6 + 2  # 6 steps, 2 lines; after a line there are no means for the checkpoint


def test_a_step_of_two_models_reads_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ModelAndCritic()
    with counted(monkeypatch) as reads:
        pair.run(tmp_path, loop_config(log_every=3, checkpoint_every=9))
    assert reads.count == 9 + 3


@pytest.mark.parametrize("name", ["adamw"])
def test_the_optimizers_read_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model = make_model()
    optimizer = optimizers.make_optimizer(model, loop_config(optimizer={"name": name}).optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with counted(monkeypatch) as reads:
        for step in range(3):
            optimizers.set_learning_rate(optimizer, 0.1 * step)
            optimizer.step()
    assert reads.count == 0
