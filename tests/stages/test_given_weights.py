"""Transformers that start from given weights: strictly the same architecture, recorded, and part of what the run is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from tests.support.settings import changed, recipe
from tests.support.tiny_latents import write_latents
from tests.support.tiny_loop import Killed
from tests.support.tiny_models import BASE, DIFFUSION, SUPER_RESOLUTION
from tests.support.training_stages import COMMON, KILLED_AT, SHORT, follow
from tests.support.trainings import diffusion_training
from walt.core.config import parse_section
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.core.transformers import get_transformer
from walt.project.params import Params
from walt.stages import train_transformer
from walt.training import loop
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.model import WaltTransformer, save_transformer


def write_start(folder: Path, architecture: TransformerConfig = BASE, seed: int = 5) -> dict[str, torch.Tensor]:
    """A trained transformer's folder, no weight of which is zero; returns its weights."""
    torch.manual_seed(seed)
    model = WaltTransformer(architecture)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    save_transformer(folder, model)
    return {name: value.clone() for name, value in model.state_dict().items()}


def config(architecture: TransformerConfig = BASE, start: str | None = "start") -> train_transformer.Config:
    training = diffusion_training(**SHORT, initial_weights=start)
    return train_transformer.Config(**COMMON, diffusion=DIFFUSION, architecture=architecture, training=training)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "sr_2x"])
def test_the_first_weights_are_those_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    architecture = {"base": BASE, "sr_2x": SUPER_RESOLUTION}[name]
    write_latents(tmp_path / "data")
    start = write_start(tmp_path / "start", architecture)
    first: list[dict[str, torch.Tensor]] = []
    tags: list[dict[str, str]] = []

    def train(*, model: torch.nn.Module, **rest: Any) -> loop.TrainingResult:
        first.append({key: value.clone() for key, value in model.state_dict().items()})
        return loop.train(model=model, **rest)

    @contextmanager
    def untracked(_config: object, _root: Path, _name: str, _params: object, found: dict[str, str]) -> Iterator[Any]:
        tags.append(found)
        yield MagicMock()

    monkeypatch.setattr(train_transformer, "train", train)
    monkeypatch.setattr(train_transformer, "start_run", untracked)
    train_transformer.run(config(architecture), Paths(tmp_path), get_transformer(name))
    assert all(torch.equal(value, start[key]) for key, value in first[0].items())
    digest = sha256_file(tmp_path / "start" / "model.safetensors")
    assert tags == [{"initial_weights": "start", "initial_weights.sha256": digest}]


@pytest.mark.slow
def test_they_are_part_of_what_the_run_is_and_where_they_lie_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_latents(tmp_path / "data")
    for folder, seed in (("start", 5), ("copy", 5)):
        write_start(tmp_path / folder, seed=seed)
    follow(monkeypatch, stop=KILLED_AT)
    with pytest.raises(Killed):
        train_transformer.run(config(), Paths(tmp_path), get_transformer("base"))
    (newest, *_) = sorted((tmp_path / "work/train-base").glob("step-*"), reverse=True)
    identity = read_json(newest / "state.json")["identity"]
    assert identity["weights"]["initial_weights"] == sha256_file(tmp_path / "start" / "model.safetensors")
    steps = follow(monkeypatch, stop=None)
    train_transformer.run(config(start="copy"), Paths(tmp_path), get_transformer("base"))
    assert steps == [2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 2 * BASE.heads}, rf"heads: {2 * BASE.heads} there, {BASE.heads} here"),  # the same tensors
        ({"qk_norm": False}, "qk_norm: False there, True here"),
        ({"latent_grid": (2, 4, 4), "spatial_window": (1, 4, 4)}, "latent_grid: .*; spatial_window"),
        ({"layers": 1}, "layers"),
    ],
)
def test_another_architecture_is_refused_setting_by_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    write_latents(tmp_path / "data")
    write_start(tmp_path / "start", BASE.model_copy(update=changes))
    steps = follow(monkeypatch, stop=None)
    with pytest.raises(ConfigurationError, match=f"start: a transformer of another architecture .*{message}"):
        train_transformer.run(config(), Paths(tmp_path), get_transformer("base"))
    assert not steps


@pytest.mark.slow
def test_levels_of_noise_may_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They change what is learned, but no tensor: adapting a model to them is what one starts from it for."""
    write_latents(tmp_path / "data")
    other = SuperResolutionConfig(factor=2, max_noise_level=60, sampling_noise_level=1)
    write_start(tmp_path / "start", SUPER_RESOLUTION.model_copy(update={"super_resolution": other}))
    steps = follow(monkeypatch, stop=None)
    train_transformer.run(config(SUPER_RESOLUTION), Paths(tmp_path), get_transformer("sr_2x"))
    assert steps == [0, 1, 2, 3]


def test_a_finetuned_model_has_its_weights_already() -> None:
    data = recipe("tiny").model_dump(mode="json")
    finetuning = changed(recipe("tiny").train_base, initial_weights="models/other").model_dump(mode="json")
    aspect = {
        key: data["base"][key] for key in ("resolution", "latent_grid", "spatial_window", "spatiotemporal_window")
    }
    with pytest.raises(ConfigurationError, match=r"finetune_aspect\.initial_weights must be null: aspect starts from"):
        parse_section({**data, "aspect": aspect, "finetune_aspect": finetuning}, Params, "params.yaml")
