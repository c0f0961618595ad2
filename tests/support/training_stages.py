"""The stages that train, for four steps, untracked: which steps they train, and a kill at one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.support.settings import compute_settings
from tests.support.tiny_loop import Killed
from tests.support.trainings import LOOP
from walt.stages import train_autoencoder, train_transformer
from walt.tracking.config import TrackingConfig
from walt.training import loop
from walt.training.config import ResumeConfig

COMMON: dict[str, Any] = {
    "seed": 0,
    "compute": compute_settings(workers=1),
    "resume": ResumeConfig(if_different="refuse", kept_set_aside=3),
    "tracking": TrackingConfig(uri="unused", experiment="unused", model_prefix="unused", system_metrics=False),
}
SHORT: dict[str, Any] = {**LOOP, "steps": 4, "checkpoint_every": 1}
KILLED_AT = 2


@contextmanager
def untracked(*_: object, **__: object) -> Iterator[MagicMock]:
    """Takes the place of ``start_run``."""
    yield MagicMock()


def follow(monkeypatch: pytest.MonkeyPatch, stop: int | None) -> list[int]:
    """The steps that are trained from now on; at step ``stop`` the process is "killed". Nothing is tracked."""
    steps: list[int] = []

    def train(*, losses: Callable[[int], Any], **rest: Any) -> loop.TrainingResult:
        def noted(step: int) -> Any:
            steps.append(step)
            if step == stop:
                raise Killed
            return losses(step)

        return loop.train(losses=noted, **rest)

    for module in (train_transformer, train_autoencoder):
        monkeypatch.setattr(module, "train", train)
        monkeypatch.setattr(module, "start_run", untracked)
    return steps
