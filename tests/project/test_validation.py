"""What looks at each kind of model while a stage trains it, as the runner hands it over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.looked_at import VALIDATION, train, trained_on_ranks, write_project
from tests.support.many_ranks import on_ranks
from tests.support.tiny_latents import ROWS as LATENTS
from tests.support.tiny_latents import write_latents
from tests.support.tiny_loop import files_of
from walt.core.paths import Paths
from walt.media.playable import read_metadata


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "model"), [("train-base", "base"), ("train-sr-2x", "sr_2x")])
def test_a_transformer_is_looked_at_and_is_the_same_to_the_byte(
    stage: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {}
    looked = None
    for name, validation in (("without", None), ("with", {**VALIDATION, "sampling_steps": 2})):
        paths = write_project(tmp_path / name)
        looked = train(stage, tmp_path / name, monkeypatch.setattr, validation)
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
        looked = train("train-autoencoder", tmp_path / name, monkeypatch.setattr, validation)
        folders[name] = files_of(paths.autoencoder)
    assert folders["with"] == folders["without"]
    assert looked is not None
    for size in ("16x16", "32x32"):
        curve = looked.curves[f"validation/psnr/video/{size}"]
        assert curve.keys() == {2, 4}
        assert curve[4] == looked.curves[f"psnr/video/{size}"][4]  # no more clips than these are held out
        distances = looked.curves[f"validation/reconstruction_frechet_distance/random_network/video/{size}"]
        assert distances.keys() == {2, 4}
        assert all(distance > 0.0 for distance in distances.values())
    names = {f"{size}_{name}" for size in ("16x16", "32x32") for name in ("00.mp4", "01.mp4", "overview.png")}
    files = files_of(looked.keep / "validation")
    assert files.keys() == {f"step_000000{step}/{name}" for step in (2, 4) for name in names}


def test_where_nothing_is_held_out_nothing_is_measured_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path)
    write_latents(tmp_path / "data", LATENTS)
    looked = train("train-base", tmp_path, monkeypatch.setattr, {**VALIDATION, "sampling_steps": 2})
    assert not any(name.startswith("validation/") for name in looked.curves)
    said = capsys.readouterr().out
    assert said.count("nothing is held out, so nothing is measured while training") == 1, "once, not at each look"


@pytest.mark.slow  # ranks; what only they can see: a look in step, which would wait for ever where it is not
@pytest.mark.parametrize(("stage", "model"), [("train-sr-2x", "sr_2x"), ("train-autoencoder", "autoencoder")])
def test_a_sharded_model_is_looked_at_and_is_the_same_to_the_byte(stage: str, model: str, tmp_path: Path) -> None:
    for sharding in ("full", "none"):
        for name in ("with", "without"):
            write_project(tmp_path / sharding / name)
    curves = {
        sharding: on_ranks(2, trained_on_ranks, stage, tmp_path / sharding, sharding)[0][0]
        for sharding in ("full", "none")
    }
    folder = {name: files_of(getattr(Paths(tmp_path / "full" / name), model)) for name in ("with", "without")}
    assert folder["with"] == folder["without"]
    seen = {name: curve for name, curve in curves["full"].items() if name.startswith("validation/")}
    assert seen.keys() == {name for name in curves["none"] if name.startswith("validation/")} != set()
    for name, curve in seen.items():
        assert curve == pytest.approx(curves["none"][name], rel=1e-3)
    made = files_of(tmp_path / "full/with/artifacts/validation")
    assert made.keys() == files_of(tmp_path / "none/with/artifacts/validation").keys()
