"""The training loop on a network of two convolutions and ten batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.support.settings import loop_settings
from walt.core.digests import sha256_file
from walt.data.epoch_order import batch_keys
from walt.data.prefetch import PrefetchedSteps
from walt.training.config import LoopConfig
from walt.training.loop import TrainingResult, train
from walt.training.validation import Validation

KEYS = [f"key{i}" for i in range(10)]
BATCH_SIZE = 3  # the first epoch's edge is inside step 3, the second epoch ends inside step 6
STEPS = 9
IDENTITY: dict[str, Any] = {
    "settings": {"seed": 0}, "data": {"clips": "abc"}, "code": {"a.py": "123"}, "compute": {"workers": 1},
}  # fmt: skip


class Killed(BaseException):
    """Simulates SIGKILL: nothing in the loop may catch it."""


def loop_config(**changes: Any) -> LoopConfig:
    """Nine steps, logged every second; ``optimizer`` holds changes of that section."""
    optimizer = {
        "learning_rate": 0.01, "weight_decay": 0.1, "gradient_clip": 0.5, "warmup_steps": 2, "final_fraction": 0.1,
        **changes.pop("optimizer", {}),
    }  # fmt: skip
    values = {"steps": STEPS, "optimizer": optimizer, "ema_decay": 0.9, "checkpoint_every": 1}
    return loop_settings(**{**values, **changes})


def make_model() -> nn.Module:
    """(B, 2, T, h, w) to the same shape; the same weights at each call."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv3d(4, 2, 1))
    return model.to(memory_format=torch.channels_last_3d)


def make_batch(step: int) -> Tensor:
    """(B, 2, 3, 4, 4): a function of the keys alone."""
    keys = batch_keys(0, step, BATCH_SIZE, KEYS)
    return torch.stack(
        [torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(KEYS.index(key))) for key in keys]
    )


def run(
    work: Path,
    config: LoopConfig | None = None,
    before: Callable[[int], None] = lambda step: None,
    scale: Callable[[int], float] = lambda step: 1.0,
    identity: dict[str, Any] | None = None,
    logged: list[tuple[int, dict[str, float]]] | None = None,
    model: nn.Module | None = None,
    validation: Validation | None = None,
) -> TrainingResult:
    """Train the little model; ``before(step)`` is called in each step before the loss is computed."""
    config = config or loop_config()
    net = model or make_model()

    with PrefetchedSteps(make_batch, stop=config.steps, depth=2) as batches:

        def losses(step: int) -> dict[str, Tensor]:
            before(step)
            batch = batches(step)
            loss = (net(batch) - batch).square().mean() * scale(step)
            return {"loss": loss, "half": loss / 2}

        return train(
            name="tiny",
            model=net,
            losses=losses,
            config=config,
            identity=identity or IDENTITY,
            work=work,
            on_log=lambda step, metrics: logged.append((step, metrics)) if logged is not None else None,
            validation=validation,
        )


def kill_at(step: int) -> Callable[[int], None]:
    """A ``before`` for ``run`` that raises ``Killed`` in that step."""

    def before(current: int) -> None:
        if current == step:
            raise Killed

    return before


def assert_same(one: TrainingResult, other: TrainingResult) -> None:
    """History and weights are equal to the bit."""
    assert one.history == other.history
    assert one.state_dict.keys() == other.state_dict.keys()
    assert all(torch.equal(value, other.state_dict[name]) for name, value in one.state_dict.items())


def files_of(folder: Path) -> dict[str, str]:
    """Path under ``folder`` -> digest, of all files."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
