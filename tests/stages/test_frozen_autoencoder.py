"""A frozen autoencoder: published byte for byte, nothing trained, and latents that were encoded with it stay."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.diffusers_vaes import write_cogvideox, write_wan
from tests.support.tiny_clips import ROWS, clip_row, write_clips
from tests.support.tiny_models import AUTOENCODER
from tests.support.tracking import CONFIG as TRACKING
from tests.support.training_stages import COMMON, follow
from tests.support.trainings import autoencoder_training
from tests.support.video_project import config as encoding
from tests.support.video_project import make_video_project
from walt.autoencoder.io import load_autoencoder
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.data.clip_dataset import ClipDataset
from walt.nn.pretrained import weights_digest
from walt.stages import encode_video, train_autoencoder
from walt.tracking import server


def config(frozen: str, **changes: Any) -> train_autoencoder.Config:
    training = autoencoder_training(frozen=frozen)
    return train_autoencoder.Config(**{**COMMON, "autoencoder": AUTOENCODER, "train_autoencoder": training, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Clips, and a trained autoencoder in the folder ``given``."""
    paths = make_video_project(tmp_path)
    paths.autoencoder.rename(tmp_path / "given")
    return paths


@pytest.mark.slow
def test_new_clips_only_add_latents(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = follow(monkeypatch, None)
    given = content(paths.root / "given")
    figures = train_autoencoder.run(config("given"), paths)
    assert {name: data for name, data in content(paths.autoencoder).items() if name in given} == given
    assert (figures["steps"], figures["address"], steps) == (0, "given", [])
    assert figures["sha256"] == weights_digest(paths.root / "given")
    assert figures["psnr/video/16x16"] == read_json(paths.autoencoder / "metrics.json")["psnr/video/16x16"]
    assert encode_video.run(encoding(), paths)["tars"] == 4
    before = content(paths.latents)

    added = (clip_row("v9", "video", "train", 2), clip_row("v8", "video", "held_out", 2))
    shutil.rmtree(paths.clips)
    write_clips(paths.clips, (*ROWS, *added))
    train_autoencoder.run(config("given"), paths)
    again = encode_video.run(encoding(), paths)
    assert (again["tars"], again["reused"], again["clips"]) == (6, 4, len(ROWS) + 2)
    after = content(paths.latents)
    assert {name: after[name] for name in before if name.endswith(".tar")} == {
        name: data for name, data in before.items() if name.endswith(".tar")
    }


def test_figures_and_curves_that_came_with_it_stay(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(monkeypatch, None)
    for name in ("metrics.json", "history.json"):
        (paths.root / "given" / name).write_text(f'{{"of": "{name}"}}')
    (paths.root / "given/notes.txt").write_text("mine")
    train_autoencoder.run(config("given"), paths)
    published = content(paths.autoencoder)
    assert published == {name: data for name, data in content(paths.root / "given").items() if name != "notes.txt"}


@pytest.mark.slow
def test_the_champion_is_published_and_stays_the_same_version(paths: Paths) -> None:
    for name, text in {"metrics.json": '{"psnr": 30.0}', "history.json": "[]"}.items():
        (paths.root / "given" / name).write_text(text)
    connection = server.connect(TRACKING, paths.root)
    version = server.register(connection, None, paths.root / "given", "autoencoder")
    connection.client.set_registered_model_alias("walt-autoencoder", "champion", version)
    given = content(paths.root / "given")
    shutil.rmtree(paths.root / "given")
    address = "models:/walt-autoencoder@champion"
    figures = train_autoencoder.run(config(address, tracking=TRACKING), paths)
    assert content(paths.autoencoder) == given
    assert (figures["address"], figures["version"]) == (address, version)
    (run,) = connection.client.search_runs([connection.experiment_id])
    assert run.data.tags["frozen"] == address
    assert run.data.tags["frozen.sha256"] == weights_digest(paths.autoencoder)
    assert run.data.tags["frozen.version"] == version
    assert run.data.metrics["psnr/video/16x16"] == figures["psnr/video/16x16"]
    assert [found.version for found in connection.client.search_model_versions("")] == [int(version)]


def test_what_cannot_be_published_as_it_is_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(monkeypatch, None)

    def refuse(error: type[Exception], message: str, frozen: str = "given", **changes: Any) -> None:
        with pytest.raises(error, match=message):
            train_autoencoder.run(config(frozen, **changes), paths)
        assert not (paths.autoencoder / "metrics.json").exists(), "nothing is published"

    refuse(ConfigurationError, "no such folder", "nowhere")
    wider = AUTOENCODER.model_copy(update={"base_channels": 8})
    refuse(ConfigurationError, r"another autoencoder \(base_channels: 4 there, 8 here\)", autoencoder=wider)
    (paths.root / "given/statistics.json").rename(paths.root / "statistics.json")
    refuse(StorageError, "statistics")
    (paths.root / "statistics.json").rename(paths.root / "given/statistics.json")
    shutil.copytree(paths.root / "given", paths.autoencoder)
    refuse(ConfigurationError, "which this stage replaces", "models/autoencoder")


def test_frozen_and_first_weights_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="frozen is given, so nothing is trained from initial_weights"):
        autoencoder_training(frozen="given", initial_weights="other")


@pytest.mark.slow
def test_an_autoencoder_of_diffusers_is_the_first_stage(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents, statistics over the clips, and a project's folder that may be frozen in turn."""
    write_wan(paths.root / "wan")
    steps = follow(monkeypatch, None)
    figures = train_autoencoder.run(config("wan"), paths)
    assert (figures["steps"], figures["address"], steps) == (0, "wan", [])
    assert figures["psnr/video/16x16"] == read_json(paths.autoencoder / "metrics.json")["psnr/video/16x16"]
    model, statistics = load_autoencoder(paths.autoencoder)
    assert (statistics.count > 0, bool((statistics.std > 0).all())) == (True, True)
    assert encode_video.run(encoding(), paths)["tars"] == 4
    with torch.no_grad():
        latents = [
            model.encode(clips.frames([key], [0], len(clips.clip(key))))[0].flatten(2)
            for size in ((16, 16), (32, 32)) for clips in [ClipDataset(paths.clips, size, "train")]
            for key in [*clips.video_keys, *clips.image_keys]
        ]  # fmt: skip
    assert torch.allclose(torch.cat(latents, dim=2).mean((0, 2)), statistics.mean, atol=1e-5)
    paths.autoencoder.rename(paths.root / "first")
    train_autoencoder.run(config("first"), paths)
    assert content(paths.autoencoder) == content(paths.root / "first")


@pytest.mark.slow
def test_one_of_diffusers_that_is_not_causal_is_refused_before_work(paths: Paths) -> None:
    write_cogvideox(paths.root / "cog")
    with pytest.raises(ConfigurationError, match="not causal"):
        train_autoencoder.run(config("cog"), paths)
    assert not paths.autoencoder.exists()
