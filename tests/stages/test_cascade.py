"""The models beside the base one: classes instead of text, images alone, finetuning to another shape, two
super-resolution models, and stages that have nothing to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from tests.support.tiny_latents import ROWS, write_latents
from tests.support.tiny_loop import Killed
from tests.support.tiny_models import BASE, DIFFUSION, SECOND, SUPER_RESOLUTION, drawn
from tests.support.training_stages import COMMON, KILLED_AT, SHORT, follow
from tests.support.trainings import diffusion_training
from walt.core.config import Section
from walt.core.errors import ConfigurationError, RejectLimitError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.sizes import size_folder
from walt.core.transformers import get_transformer
from walt.data.shards import shard_name, write_index, write_shard
from walt.data.text_tables import write_labels
from walt.nn.pretrained import load_config
from walt.project.trained_transformers import cascade, trained_transformers
from walt.stages import train_transformer
from walt.training.config import IfDifferent, ResumeConfig
from walt.training.continuation import DifferentRunError
from walt.transformer.config import AspectConfig, TransformerConfig
from walt.transformer.initial_weights import at_aspect
from walt.transformer.model import WaltTransformer, save_transformer

CLASSES = BASE.model_copy(
    update={"conditioning": "class", "num_classes": 20, "text_width": None, "cross_attention": None}
)
IMAGES = CLASSES.model_copy(update={"latent_grid": (1, 2, 2), "spatiotemporal_window": (1, 2, 2), "adaln": "separate"})
SHORT_TRAINING = diffusion_training(**SHORT)
ASPECT = AspectConfig(
    resolution=(16, 32), latent_grid=(2, 2, 4), spatial_window=(1, 2, 4), spatiotemporal_window=(2, 2, 4)
)


def train(paths: Paths, architecture: TransformerConfig, **changes: Any) -> dict[str, Any]:
    return run_training("base", architecture, paths, diffusion_training(**{**SHORT, **changes}))


def run_training(
    name: str,
    architecture: Section | None,
    paths: Paths,
    training: Section | None = SHORT_TRAINING,
    if_different: IfDifferent = "refuse",
) -> dict[str, Any]:
    common = {**COMMON, "resume": ResumeConfig(if_different=if_different, kept_set_aside=1)}
    config = train_transformer.Config(**common, diffusion=DIFFUSION, architecture=architecture, training=training)
    return train_transformer.run(config, paths, get_transformer(name))


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Latents, text and classes; nothing is tracked."""
    follow(monkeypatch, stop=None)
    write_latents(tmp_path / "data")
    write_labels(tmp_path / "data/text", [(row.key, number) for number, row in enumerate(ROWS)])
    return Paths(tmp_path)


def write_noise(paths: Paths, architecture: TransformerConfig) -> None:
    """Latents of the resolution of ``architecture``."""
    frames, *grid = architecture.latent_grid
    samples = [
        (
            row.key,
            {"safetensors": save({"latents": torch.randn(4, frames if row.kind == "video" else 1, *grid).half()})},
        )
        for row in ROWS
    ]
    folder = paths.latents / size_folder(architecture.resolution)
    write_index(folder, "x", [write_shard(folder / shard_name("latents", 0), samples)])


def test_a_model_of_classes_is_trained_on_the_clips_classes(paths: Paths) -> None:
    for file in paths.text.glob("*.tar"):  # nobody needs the text
        file.unlink()
    figures = train(paths, CLASSES, image_fraction=0.25)
    table = load_file(paths.base / "model.safetensors")["label_embedding.table"]
    assert table.shape == (21, 16)
    assert (figures["videos"], figures["images"]) == (6, 5)
    with pytest.raises(ConfigurationError, match="a clip has class 10, but num_classes 3"):
        train(paths, CLASSES.model_copy(update={"num_classes": 3}))


def test_a_model_of_nothing_but_images(paths: Paths) -> None:
    figures = train(paths, IMAGES, image_fraction=1.0)
    assert (figures["images"], load_config(paths.base, TransformerConfig)) == (5, IMAGES)


def test_images_alone_need_images(paths: Paths) -> None:
    write_latents(paths.root / "data", tuple(row for row in ROWS if row.kind == "video"))
    with pytest.raises(RejectLimitError, match="no image in the split train"):
        train(paths, IMAGES, image_fraction=1.0)


@pytest.mark.slow
def test_finetuning_starts_from_the_base_model_at_the_new_shape(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    base = drawn(WaltTransformer(BASE), 1)
    save_transformer(paths.base, base)
    write_noise(paths, BASE.with_keys_of(ASPECT))
    first: list[dict[str, torch.Tensor]] = []
    load = WaltTransformer.load_state_dict
    monkeypatch.setattr(
        WaltTransformer, "load_state_dict", lambda self, state, **k: (first.append(state), load(self, state, **k))[1]
    )
    run_training("aspect", ASPECT, paths)
    wide = BASE.with_keys_of(ASPECT)
    expected = at_aspect(base.state_dict(), BASE, wide)
    assert all(torch.equal(first[-1][name], value) for name, value in expected.items())
    assert load_config(paths.aspect, TransformerConfig) == wide
    trained = load_file(paths.aspect / "model.safetensors")
    assert trained["position.space"].shape == (2, 4, 16)
    assert not torch.equal(trained["patch_in.weight"], expected["patch_in.weight"])


@pytest.mark.slow
def test_finetuning_of_another_base_model_is_another_result(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    write_noise(paths, BASE.with_keys_of(ASPECT))
    for stop, expected in ((KILLED_AT, [0, 1, 2]), (KILLED_AT + 1, [2, 3])):
        torch.manual_seed(1)
        save_transformer(paths.base, WaltTransformer(BASE))
        steps = follow(monkeypatch, stop=stop)
        with pytest.raises(Killed):
            run_training("aspect", ASPECT, paths)
        assert steps == expected
    torch.manual_seed(2)
    save_transformer(paths.base, WaltTransformer(BASE))
    steps = follow(monkeypatch, stop=None)
    with pytest.raises(DifferentRunError, match=r"weights\.start_from \w{8} -> \w{8}"):
        run_training("aspect", ASPECT, paths)
    assert steps == []
    run_training("aspect", ASPECT, paths, if_different="afresh")
    assert steps == [0, 1, 2, 3]


@pytest.mark.slow
def test_null_leaves_a_stage_out_and_a_later_model_takes_its_place(paths: Paths) -> None:
    save_transformer(paths.base, WaltTransformer(BASE))
    for name in ("aspect", "sr_2x", "sr_4x"):
        assert run_training(name, None, paths, None) == {"left_out": name}
    assert all(is_left_out(folder) for folder in (paths.aspect, paths.sr_2x, paths.sr_4x))
    assert list(trained_transformers(paths)) == list(cascade(paths)) == ["base"]
    run_training("sr_2x", SUPER_RESOLUTION, paths)
    assert not is_left_out(paths.sr_2x)
    assert list(cascade(paths)) == ["base", "sr_2x"]
    assert list(cascade(paths, super_resolution=False)) == ["base"]


def test_the_finetuned_model_takes_the_base_models_place(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    for name in ("base", "aspect", "sr_2x", "sr_4x"):
        getattr(paths, name).mkdir(parents=True)
    assert list(trained_transformers(paths)) == ["base", "aspect", "sr_2x", "sr_4x"]
    assert list(cascade(paths)) == ["aspect", "sr_2x", "sr_4x"]
    assert list(cascade(paths, super_resolution=False)) == ["aspect"]


@pytest.mark.slow
def test_the_second_super_resolution_model_sees_the_firsts_size(paths: Paths) -> None:
    write_noise(paths, SECOND)
    assert run_training("sr_4x", SECOND, paths)["steps"] == 4
    assert load_config(paths.sr_4x, TransformerConfig) == SECOND
