"""What looks at each kind of model while a stage trains it, as the runner hands it over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.ranks_project import parameters
from tests.support.tiny_clips import ROWS as CLIPS
from tests.support.tiny_clips import clip_row, write_clips
from tests.support.tiny_latents import ROWS as LATENTS
from tests.support.tiny_latents import write_latents
from tests.support.tiny_loop import files_of
from tests.support.tiny_models import write_models
from walt.core.config import parse_section
from walt.core.paths import Paths
from walt.media.playable import read_metadata
from walt.project.params import Params
from walt.project.registry import get_stage
from walt.project.runner import run_here
from walt.stages import train_autoencoder, train_transformer

VALIDATION = {"every": 2, "clips": 3, "samples": 2}
HELD_OUT = tuple(clip_row(f"v{number}", "video", "held_out", 0) for number in range(6, 9))


class Recorder:
    """Takes the place of an MLflow run."""

    def __init__(self, keep: Path) -> None:
        self.keep = keep
        self.curves: dict[str, dict[int, float]] = {}
        self.pictures: list[tuple[str, int]] = []

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.curves.setdefault(name, {})[step] = value

    def log_artifact(self, path: Path, folder: str = "") -> None:
        shutil.copytree(path, self.keep / folder)

    def log_picture(self, path: Path, name: str, step: int) -> None:
        assert path.suffix == ".png"
        self.pictures.append((name, step))

    def register_model(self, folder: Path, name: str) -> None:
        """Nothing."""


def train(
    stage: str, root: Path, monkeypatch: pytest.MonkeyPatch, validation: dict[str, Any] | None, **more: Any
) -> Recorder:
    """Run a stage that trains as the runner does."""
    recorder = Recorder(root / "artifacts")

    @contextmanager
    def start_run(*_: object, **__: object) -> Iterator[Recorder]:
        yield recorder

    for module in (train_transformer, train_autoencoder):
        monkeypatch.setattr(module, "start_run", start_run)
    section = stage.replace("-", "_")
    values = parameters(**{section: {"validation": validation, **more}})
    run_here(get_stage(stage), parse_section(values, Params, "params.yaml"), root)
    return recorder


def write_project(root: Path) -> Paths:
    write_clips(root / "data/clips", (*CLIPS, clip_row("v5", "video", "held_out", 1)))
    write_latents(root / "data", (*LATENTS, *HELD_OUT))
    write_models(root)
    return Paths(root)


@pytest.mark.parametrize(("stage", "model"), [("train-base", "base"), ("train-sr-2x", "sr_2x")])
def test_a_transformer_is_looked_at_and_is_the_same_to_the_byte(
    stage: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {}
    looked = None
    for name, validation in (("without", None), ("with", {**VALIDATION, "sampling_steps": 2})):
        paths = write_project(tmp_path / name)
        looked = train(stage, tmp_path / name, monkeypatch, validation)
        folders[name] = files_of(getattr(paths, model))
    assert folders["with"] == folders["without"]
    assert looked is not None
    bands = {f"validation/loss/band_{band}" for band in range(2)}
    found = {name: curve for name, curve in looked.curves.items() if name.startswith("validation/")}
    assert found.keys() == {"validation/loss", *bands}
    assert all(curve.keys() == {2, 4} for curve in found.values())
    mean = sum(found[name][4] for name in bands) / 2
    assert found["validation/loss"][4] == pytest.approx(mean)
    assert found["validation/loss"][2] != found["validation/loss"][4]
    files = files_of(looked.keep / "validation")
    names = ("00.mp4", "01.mp4", "overview.png")
    assert files.keys() == {f"step_000000{step}/{name}" for step in (2, 4) for name in names}
    assert files["step_0000002/00.mp4"] != files["step_0000004/00.mp4"]
    assert looked.pictures == [("validation", 2), ("validation", 4)]
    about = read_metadata(looked.keep / "validation/step_0000004/00.mp4")
    assert (about["seed"], about["index"], about["step"]) == (0, 0, 4)


@pytest.mark.slow
def test_an_autoencoder_is_looked_at_and_is_the_same_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {}
    looked = None
    for name, validation in (("without", None), ("with", VALIDATION)):
        paths = write_project(tmp_path / name)
        looked = train("train-autoencoder", tmp_path / name, monkeypatch, validation)
        folders[name] = files_of(paths.autoencoder)
    assert folders["with"] == folders["without"]
    assert looked is not None
    for size in ("16x16", "32x32"):
        curve = looked.curves[f"validation/psnr/video/{size}"]
        assert curve.keys() == {2, 4}
        assert curve[4] == looked.curves[f"psnr/video/{size}"][4]  # no more clips than these are held out
    names = {f"{size}_{name}" for size in ("16x16", "32x32") for name in ("00.mp4", "01.mp4", "overview.png")}
    files = files_of(looked.keep / "validation")
    assert files.keys() == {f"step_000000{step}/{name}" for step in (2, 4) for name in names}


def test_where_nothing_is_held_out_nothing_is_measured_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path)
    write_latents(tmp_path / "data", LATENTS)
    looked = train("train-base", tmp_path, monkeypatch, {**VALIDATION, "sampling_steps": 2})
    assert not any(name.startswith("validation/") for name in looked.curves)
    assert "nothing is held out, so nothing is measured while training" in capsys.readouterr().out
