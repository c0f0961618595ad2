"""``walt sample --model``: other models than the project's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_project import register_release, sample_project
from tests.support.tiny_models import BASE, drawn
from tests.support.tracking import CONFIG
from walt.commands.sample.generate import Request, run
from walt.commands.sample.models import find_models
from walt.commands.ui.catalogue import describe
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.paths import Paths
from walt.tracking import server
from walt.tracking.given_release import list_releases
from walt.transformer.model import WaltTransformer, save_transformer


def video(root: Path, out: Path, **options: Any) -> bytes:
    request = Request(prompts=("a cat",), steps=2, formats=("mp4",), out=out, **options)
    (file,) = run(request, root)
    return file.read_bytes()


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    project = sample_project(tmp_path / "project")
    shutil.copy(empty_database, project / "mlflow.db")
    return project


def retrain(root: Path) -> None:
    """Other weights of the base model."""
    save_transformer(Paths(root).base, drawn(WaltTransformer(BASE), 5))


@pytest.mark.slow
def test_a_release_is_sampled_from_whole_by_its_alias_and_by_its_version(root: Path, tmp_path: Path) -> None:
    first = video(root, tmp_path)
    register_release(root, 20)
    retrain(root)
    second = video(root, tmp_path)
    assert second != first
    register_release(root, 60)
    assert [(one.version, one.aliases, one.address) for one in list_releases(CONFIG, root)] == [
        ("2", ("champion",), "models:/walt-base/2"), ("1", (), "models:/walt-base/1"),
    ]  # fmt: skip
    shutil.rmtree(Paths(root).base)  # the project's own are not what is asked for
    for address in ("models:/walt-base/1", "walt-base/1", "base/1"):
        assert video(root, tmp_path, model=address) == first
    assert video(root, tmp_path, model="models:/walt-base@champion") == second
    assert find_models(root, "models:/walt-base@champion").address == "models:/walt-base/2"


@pytest.mark.slow
def test_another_projects_folder(root: Path, tmp_path: Path) -> None:
    other = sample_project(tmp_path / "other")
    retrain(other)
    made = video(other, tmp_path)
    assert video(root, tmp_path, model=str(other)) == video(root, tmp_path, model="../other") == made
    assert video(root, tmp_path) != made


@pytest.mark.slow
def test_what_is_no_release_is_refused_with_its_reason(root: Path) -> None:
    for address, said in {
        "models:/walt-base@champion": "no such model version",
        "models:/walt-base/7": "no such model version",
        "models:/walt-sr-2x/1": "named by its base model: walt-base@ALIAS or walt-base/VERSION$",
        "models:/walt-base": "models:/walt-base: no such folder, and no version of a model such as walt-base@champion",
        "nowhere": "nowhere: no such folder, and no version of a model such as walt-base@champion or walt-base/3$",
        "walt-base@champion": "walt-base@champion: the registry has no such model version",
        "base/7": "base/7: the registry has no such model version",
        "models": "params.yaml: no such file",
    }.items():
        with pytest.raises(ConfigurationError, match=said):
            find_models(root, address)
    connection = server.connect(CONFIG, root)
    server.register(connection, None, Paths(root).base, "base")
    assert list_releases(CONFIG, root) == []
    with pytest.raises(ConfigurationError, match="version 1 was never evaluated with other models"):
        find_models(root, "models:/walt-base/1")


@pytest.mark.slow
def test_files_that_changed_in_the_registry_are_not_sampled_from(root: Path) -> None:
    register_release(root, 20)
    for file in (root / "mlartifacts").rglob("model.safetensors"):
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptArtifactError, match="other files than were registered"):
        find_models(root, "models:/walt-base/1")


def test_before_anything_is_trained_the_line_says_what_to_do(root: Path) -> None:
    shutil.rmtree(root / "models")
    with pytest.raises(StorageError, match=r"no trained models here yet; `dvc repro` trains them"):
        find_models(root).load()
    with pytest.raises(StorageError, match=r"`dvc repro` trains them"):
        describe(find_models(root))
