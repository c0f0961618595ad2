"""``walt promote``: where the release with the alias is measured again. The decision is in ``tests/tracking``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.evaluated_project import write_project
from tests.support.tiny_models import AUTOENCODER, BASE, drawn
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.commands.promote import champion
from walt.commands.promote.champion import measure_champion
from walt.commands.promote.command import promote
from walt.core.errors import ConfigurationError, CorruptArtifactError, LockedError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.storage import lock, write_json
from walt.project.recipes import load_recipe
from walt.project.runner import load_params
from walt.tracking.releases import release_digests, release_folders
from walt.transformer.model import WaltTransformer, save_transformer

PARAMS = load_recipe("tiny")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that are run; they leave an evaluation of nothing."""
    names: list[str] = []

    def run_stage(stage: Any, root: Path) -> None:
        names.append(stage.name)
        write_json(Paths(root).evaluation, {"models": release_digests(release_folders(Paths(root)))})

    monkeypatch.setattr(champion, "run_stage", run_stage)
    return names


def _copies(project: Paths, folder: Path, *names: str) -> dict[str, Path]:
    """Of the project's models."""
    found = release_folders(project)
    return {name: Path(shutil.copytree(found[name], folder / name)) for name in names}


def test_other_models_are_measured_with_this_projects_data_and_settings(
    project: Paths, ran: list[str], tmp_path: Path
) -> None:
    models = _copies(project, tmp_path, "base", "sr-2x", "autoencoder", "text-encoder")
    assert measure_champion(PARAMS, project.root, models)["models"] == release_digests(models)
    assert ran == ["sample", "evaluate"]
    place = Paths(project.root / "work/promote/champion")
    for name in ("clips", "manifest", "latents", "text"):
        assert getattr(place, name).resolve() == getattr(project, name)
    assert is_left_out(place.aspect)
    assert is_left_out(place.sr_4x)
    params = load_params(place.root)
    assert params.dataset.descriptor == str(project.root / PARAMS.dataset.descriptor)
    assert params.tracking.uri == f"sqlite:///{project.root / 'mlflow.db'}", "the registry that everything is in"
    assert params.sample == PARAMS.sample


def test_two_promotions_of_a_project_at_once_are_refused(tmp_path: Path) -> None:
    """Both would measure the release with the alias in one folder."""
    with lock(Paths(tmp_path).work("promote") / "lock"), pytest.raises(LockedError, match="held by process"):
        promote(PARAMS, tmp_path)


def test_a_release_without_super_resolution_is_measured_without(project: Paths, ran: list[str], tmp_path: Path) -> None:
    models = _copies(project, tmp_path, "base", "autoencoder", "text-encoder")
    assert measure_champion(PARAMS, project.root, models)["models"].keys() == models.keys()
    assert is_left_out(Paths(project.root / "work/promote/champion").sr_2x)


def test_latents_of_another_autoencoder_are_not_taken_for_its_own(
    project: Paths, ran: list[str], tmp_path: Path
) -> None:
    models = _copies(project, tmp_path, "base", "autoencoder", "text-encoder")
    save_autoencoder(
        models["autoencoder"], drawn(CausalAutoencoder(AUTOENCODER), 9),
        LatentStatistics(torch.zeros(4), torch.ones(4), 8),
    )  # fmt: skip
    measure_champion(PARAMS, project.root, models)
    place = Paths(project.root / "work/promote/champion")
    assert is_left_out(place.latents)
    assert is_left_out(place.text)
    assert not is_left_out(project.latents), "the project's own stay"


def test_a_release_of_another_size_is_refused_before_any_work(project: Paths, ran: list[str], tmp_path: Path) -> None:
    """As after another recipe in the same project."""
    models = _copies(project, tmp_path, "base", "autoencoder", "text-encoder")
    small = BASE.model_copy(update={"resolution": (8, 8), "latent_grid": (3, 1, 1), "spatial_window": (1, 1, 1),
                                    "spatiotemporal_window": (3, 1, 1)})  # fmt: skip
    save_transformer(models["base"], drawn(WaltTransformer(small), 2))
    with pytest.raises(ConfigurationError) as refused:
        measure_champion(PARAMS, project.root, models)
    assert ran == []
    said = str(refused.value)
    assert "cannot be measured here: it makes videos of 8x8, and no clips are stored in that size" in said
    assert "ingest.sizes" in said
    assert "tracking.model_prefix" in said


def test_a_release_of_longer_videos_is_refused_before_any_work(project: Paths, ran: list[str], tmp_path: Path) -> None:
    """Of the same size: as after another ingest.num_frames in the same project."""
    models = _copies(project, tmp_path, "base", "autoencoder", "text-encoder")
    longer = BASE.model_copy(update={"latent_grid": (3, 2, 2), "spatiotemporal_window": (3, 2, 2)})
    save_transformer(models["base"], drawn(WaltTransformer(longer), 2))
    with pytest.raises(ConfigurationError) as refused:
        measure_champion(PARAMS, project.root, models)
    assert ran == []
    assert refused.value.exit_status == 2
    said = "cannot be measured here: it makes videos of 9 frames, and the stored clips have 1 or 5: what is measured"
    assert said in str(refused.value)
    assert "set ingest.num_frames to 9" in str(refused.value)


def test_latents_are_left_out_where_a_size_has_none(project: Paths, ran: list[str], tmp_path: Path) -> None:
    other = Paths(shutil.copytree(project.root, tmp_path / "project", symlinks=True))
    models = _copies(project, tmp_path, "base", "sr-2x", "autoencoder", "text-encoder")
    measure_champion(PARAMS, other.root, models)
    place = Paths(other.root / "work/promote/champion")
    assert not is_left_out(place.latents)
    shutil.rmtree(other.latents / "16x16")
    measure_champion(PARAMS, other.root, models)
    assert is_left_out(place.latents)


def test_what_cannot_be_measured_is_one_line(project: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise CorruptArtifactError("no clips of 8x8")

    monkeypatch.setattr(champion, "run_stage", fails)
    models = _copies(project, tmp_path, "base", "autoencoder", "text-encoder")
    with pytest.raises(ConfigurationError, match=r"the release with the alias cannot be measured .*: no clips of 8x8"):
        measure_champion(PARAMS, project.root, models)
