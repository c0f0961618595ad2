"""The stages that train, started again with something else than before: what becomes of checkpoints and models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.support.tiny_clips import write_clips
from tests.support.tiny_latents import write_latents
from tests.support.tiny_loop import Killed, files_of
from tests.support.tiny_models import AUTOENCODER, BASE, DIFFUSION
from tests.support.training_stages import COMMON, KILLED_AT, SHORT, follow
from tests.support.trainings import OPTIMIZER, autoencoder_training, diffusion_training
from walt.core.config import Section
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.core.transformers import get_transformer
from walt.stages import train_autoencoder, train_transformer
from walt.training.config import ResumeConfig
from walt.training.continuation import CHANGES_TAG, COURSE_TAG, DifferentRunError
from walt.training.set_aside import checkpoints

STAGES = pytest.mark.parametrize("stage", [train_transformer, train_autoencoder], ids=["transformer", "autoencoder"])
SLOWER = {"optimizer": OPTIMIZER.model_copy(update={"learning_rate": 1e-5})}
CHANGE = "optimizer.learning_rate 0.001 -> 1e-05"


def config_of(stage: ModuleType, choice: str = "refuse", **changes: Any) -> Section:
    common = {**COMMON, "resume": ResumeConfig.model_validate({"if_different": choice, "kept_set_aside": 2})}
    if stage is train_autoencoder:
        training: Any = autoencoder_training(**{**SHORT, **changes})
        return train_autoencoder.Config(**common, autoencoder=AUTOENCODER, train_autoencoder=training)
    training = diffusion_training(**{**SHORT, **changes})
    return train_transformer.Config(**common, diffusion=DIFFUSION, architecture=BASE, training=training)


class Project:
    """One of the two stages with its data; what it trained, and with which tags."""

    def __init__(self, stage: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage, self.paths, self.monkeypatch = stage, Paths(root), monkeypatch
        self.name = "train-base" if stage is train_transformer else "train-autoencoder"
        self.model = self.paths.base if stage is train_transformer else self.paths.autoencoder
        self.work = self.paths.work(self.name)
        self.tags: dict[str, str] = {}
        write_clips(self.paths.clips)
        write_latents(root / "data")

    def start(self, stop: int | None = None, choice: str = "refuse", **changes: Any) -> list[int]:
        """The steps that it trains; killed at ``stop``."""
        steps = follow(self.monkeypatch, stop)

        @contextmanager
        def untracked(config: Any, root: Path, name: str, params: Any, tags: dict[str, str]) -> Iterator[MagicMock]:
            self.tags = tags
            yield MagicMock()

        self.monkeypatch.setattr(self.stage, "start_run", untracked)
        further = [get_transformer("base")] if self.stage is train_transformer else []
        try:
            self.stage.run(config_of(self.stage, choice, **changes), self.paths, *further)
        except Killed:
            assert stop is not None
        return steps


@pytest.mark.slow
@STAGES
def test_another_result_stops_before_any_work_and_goes_on_when_told(
    stage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(stage, tmp_path, monkeypatch)
    assert project.start(stop=KILLED_AT) == [0, 1, 2]
    before = files_of(project.work)
    section = project.name.replace("-", "_")
    with pytest.raises(DifferentRunError, match=rf"^{project.name}: .*{section}\.{CHANGE}\. Undo this"):
        project.start(**SLOWER)
    assert files_of(project.work) == before
    assert not project.model.exists()
    assert project.start(choice="go-on", **SLOWER) == [2, 3]
    change = {"step": 2, "kind": "another result", "differences": [f"{section}.{CHANGE}"]}
    assert read_json(project.model / "changes.json") == [change]
    assert project.tags.keys() == {CHANGES_TAG, COURSE_TAG}, "another result is another run"
    assert project.tags[CHANGES_TAG] == f"step 2: {section}.{CHANGE}"
    [last] = checkpoints(project.work)
    assert read_json(last / "state.json")["state"]["changes"] == [change]
    assert project.start(choice="go-on", **SLOWER) == []


@pytest.mark.slow
@STAGES
def test_a_finished_run_is_published_again_made_longer_or_set_aside(
    stage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(stage, tmp_path, monkeypatch)
    assert project.start() == [0, 1, 2, 3]
    first = files_of(project.model)
    assert "changes.json" not in first
    assert project.start(log_every=3, activation_checkpointing=True) == []
    assert files_of(project.model) == first
    assert project.start(steps=6) == [4, 5]
    assert read_json(project.model / "changes.json")[0]["kind"] == "a longer run"
    assert files_of(project.model) != first
    kept = checkpoints(project.work)
    assert [path.name for path in kept] == ["step-000000006"]
    assert project.start(stop=1, steps=6, **SLOWER) == [0, 1]  # another result, without asking
    assert [path.name for path in (project.work / "set-aside/0001").iterdir() if path.is_dir()] == [kept[0].name]
    assert (project.model / "model.safetensors").is_file(), "the model stays while its successor is trained"
    assert project.start(steps=6, **SLOWER) == [1, 2, 3, 4, 5]
    assert (project.work / "set-aside/0001" / kept[0].name / "model.safetensors").is_file()


@STAGES
def test_what_the_machine_is_like_is_recorded_and_asked_about_by_nobody(
    stage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(stage, tmp_path, monkeypatch)
    project.start(stop=KILLED_AT)
    compute = COMMON["compute"].model_copy(update={"workers": 3})
    monkeypatch.setitem(COMMON, "compute", compute)
    assert project.start() == [2, 3]
    [change] = read_json(project.model / "changes.json")
    assert (change["kind"], change["differences"]) == ("harmless", ["compute.workers 1 -> 3"])
