"""The stages that train: what a checkpoint must share with them to be taken up, and what latents are measured on."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch._dynamo
from safetensors.torch import load_file

from tests.support.package_copy import copy_package, edit, edit_comment
from tests.support.pretrained import write_resnet
from tests.support.tiny_clips import write_clips
from tests.support.tiny_latents import ROWS, write_latents
from tests.support.tiny_loop import Killed
from tests.support.tiny_models import AUTOENCODER, BASE, DIFFUSION
from tests.support.training_stages import COMMON, KILLED_AT, SHORT, follow
from tests.support.trainings import autoencoder_training, diffusion_training
from walt.autoencoder.config import DiscriminatorConfig
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics, RunningStatistics
from walt.core.config import Section
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.core.transformers import get_transformer
from walt.data.clip_dataset import ClipDataset
from walt.data.text_tables import write_members
from walt.stages import train_autoencoder, train_transformer
from walt.training import compilation, loop
from walt.training.autoencoder_config import AutoencoderLossConfig
from walt.training.autoencoder_measures import measure_latents
from walt.training.continuation import DifferentRunError
from walt.transformer.model import WaltTransformer

ROOT = Path(__file__).resolve().parents[2]
TRANSFORMER = get_transformer("base")


def base_config() -> Section:
    training = diffusion_training(**SHORT)
    return train_transformer.Config(**COMMON, diffusion=DIFFUSION, architecture=BASE, training=training)


def autoencoder_config() -> Section:
    training = autoencoder_training(**SHORT)
    return train_autoencoder.Config(**COMMON, autoencoder=AUTOENCODER, train_autoencoder=training)


def run(stage: ModuleType, config: Section, paths: Paths) -> None:
    stage.run(config, paths, *([TRANSFORMER] if stage is train_transformer else []))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that a test may edit; the stages take it for their own."""
    return copy_package(tmp_path / "copy", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "make_config", "edited", "counts"),
    [
        (train_transformer, base_config, "walt/training/diffusion_objective.py", True),
        (train_transformer, base_config, "walt/stages/train_transformer.py", True),
        (train_transformer, base_config, "walt/sampling/prompt_to_video.py", False),  # not a part of the stage
        (train_transformer, base_config, "walt/core/log.py", False),  # messages only
        (train_autoencoder, autoencoder_config, "walt/training/autoencoder_objective.py", True),
        (train_autoencoder, autoencoder_config, "walt/transformer/model.py", False),
    ],
)
def test_a_checkpoint_of_other_code_is_refused_by_the_names_of_the_files(
    stage: ModuleType,
    make_config: Callable[[], Section],
    edited: str,
    counts: bool,
    tmp_path: Path,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    write_latents(tmp_path / "data")
    steps = follow(monkeypatch, stop=KILLED_AT)
    with pytest.raises(Killed):
        run(stage, make_config(), paths)
    assert steps == [0, 1, 2]
    edit(package, edited)
    steps = follow(monkeypatch, stop=KILLED_AT + 1)
    if counts:
        with pytest.raises(DifferentRunError, match=rf"of a run with another result: {edited} changed\. Undo this"):
            run(stage, make_config(), paths)
        assert not steps
    else:
        with pytest.raises(Killed):
            run(stage, make_config(), paths)
        assert steps == [2, 3]


@pytest.mark.slow
def test_a_comment_or_another_docstring_changes_no_code(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_latents(tmp_path / "data")
    follow(monkeypatch, stop=KILLED_AT)
    with pytest.raises(Killed):
        run(train_transformer, base_config(), Paths(tmp_path))
    edit_comment(package, "walt/training/diffusion_objective.py")
    steps = follow(monkeypatch, stop=None)
    run(train_transformer, base_config(), Paths(tmp_path))
    assert steps == [2, 3]
    assert not (Paths(tmp_path).base / "changes.json").exists()


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_the_captions_that_it_would_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {row.key: ("short", "dense", "model") for row in ROWS}

    def train(root: Path, weights: dict[str, float] | None, stops: tuple[int | None, ...]) -> dict[str, torch.Tensor]:
        write_latents(root / "data", names=names)
        training = diffusion_training(**SHORT, caption_weights=weights)
        config = train_transformer.Config(**COMMON, diffusion=DIFFUSION, architecture=BASE, training=training)
        for stop in stops:
            follow(monkeypatch, stop)
            with nullcontext() if stop is None else pytest.raises(Killed):
                run(train_transformer, config, Paths(root))
        return load_file(Paths(root).base / "model.safetensors")

    whole, resumed = train(tmp_path / "a", None, (None,)), train(tmp_path / "b", None, (1, 3, None))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    short = train(tmp_path / "c", {"dense": 0, "model": 0}, (None,))
    assert any(not torch.equal(whole[name], short[name]) for name in whole)
    with pytest.raises(ConfigurationError, match=r"^train_base\.caption_weights: all captions of the clip 'v0'"):
        train(tmp_path / "d", {"dense": 0, "model": 0, "short": 0}, (None,))


@pytest.mark.slow
def test_members_of_a_union_are_drawn_by_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed and taken up again, on weights of two members; the figures say how often each was drawn."""

    def train(root: Path, weights: dict[str, float] | None, *stops: int | None) -> dict[str, Any]:
        write_latents(root / "data")
        write_members(root / "data/text", [(row.key, "a" if row.key in ("v0", "v1", "i0") else "b") for row in ROWS])
        training = diffusion_training(**SHORT, member_weights=weights)
        config = train_transformer.Config(**COMMON, diffusion=DIFFUSION, architecture=BASE, training=training)
        figures: dict[str, Any] = {}
        for stop in stops:
            follow(monkeypatch, stop)
            with nullcontext() if stop is None else pytest.raises(Killed):
                figures = train_transformer.run(config, Paths(root), get_transformer("base"))
        return figures | {"weights": load_file(Paths(root).base / "model.safetensors")}

    def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return all(torch.equal(tensor, other["weights"][name]) for name, tensor in one["weights"].items())

    evenly = train(tmp_path / "evenly", None, None)
    whole = train(tmp_path / "whole", {"a": 1, "b": 0}, None)
    assert not same(evenly, whole)
    assert "members" not in evenly
    assert set(whole["members"]["video"]) == {"a"}
    assert re.fullmatch(r"100.0%, \d+.\d\d epochs", whole["members"]["video"]["a"])
    assert same(whole, train(tmp_path / "resumed", {"a": 1, "b": 0}, 1, 3, None))
    assert set(train(tmp_path / "both", {"a": 1, "b": 3}, None)["members"]["video"]) == {"a", "b"}
    with pytest.raises(ConfigurationError, match=r"^train_base\.member_weights: no member is called 'c'"):
        train(tmp_path / "wrong", {"a": 1, "b": 1, "c": 1}, None)


def game_config(initial_weights: str | None = "start") -> train_autoencoder.Config:
    """The paper's terms, all of them, and first weights from elsewhere. Folders are relative to the root."""
    loss = {"reconstruction": 5.0, "kl": 1e-6, "perceptual": 0.1, "adversarial": 0.1, "lecam": 0.001, "r1": 10.0}
    training = autoencoder_training(
        **SHORT, joint=True, loss=AutoencoderLossConfig(**loss), perceptual_network="resnet",
        discriminator=DiscriminatorConfig(base_channels=2, channel_multipliers=(2,)), initial_weights=initial_weights,
    )  # fmt: skip
    return train_autoencoder.Config(**COMMON, autoencoder=AUTOENCODER, train_autoencoder=training)


def write_start(folder: Path, seed: int = 5) -> dict[str, torch.Tensor]:
    """A trained autoencoder's folder; returns its weights."""
    torch.manual_seed(seed)
    model = CausalAutoencoder(AUTOENCODER)
    channels = AUTOENCODER.latent_channels
    save_autoencoder(folder, model, LatentStatistics(torch.zeros(channels), torch.ones(channels), 8))
    return model.state_dict()


@pytest.mark.slow
def test_a_game_starts_from_given_weights_and_logs_each_term(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    write_resnet(tmp_path / "resnet")
    start = write_start(tmp_path / "start")
    first: list[dict[str, torch.Tensor]] = []

    def train(*, model: torch.nn.Module, **rest: Any) -> loop.TrainingResult:
        first.append({name: value.clone() for name, value in model.state_dict().items()})
        return loop.train(model=model, **rest)

    follow(monkeypatch, stop=None)
    monkeypatch.setattr(train_autoencoder, "train", train)
    train_autoencoder.run(game_config(), paths)
    assert all(torch.equal(value, start[name]) for name, value in first[0].items())
    history = read_json(paths.autoencoder / "history.json")
    terms = {"reconstruction", "kl", "perceptual", "adversarial", "loss", "grad_norm"}
    of_the_discriminator = {"adversarial", "lecam", "r1", "real_logits", "fake_logits", "loss", "grad_norm"}
    assert history[-1].keys() == terms | {f"discriminator/{name}" for name in of_the_discriminator} | {"step", "lr"}
    assert "is left out" not in capsys.readouterr().out
    assert not any("discriminator" in name for name in load_file(paths.autoencoder / "model.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["resnet", "start"])
def test_a_checkpoint_under_other_pretrained_weights_is_refused(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    write_resnet(tmp_path / "resnet")
    write_start(tmp_path / "start")
    for stop, expected in ((KILLED_AT, [0, 1, 2]), (KILLED_AT + 1, [2, 3])):  # unchanged, it is taken up
        steps = follow(monkeypatch, stop=stop)
        with pytest.raises(Killed):
            train_autoencoder.run(game_config(), paths)
        assert steps == expected
    if changed == "resnet":
        write_resnet(tmp_path / "resnet", seed=1)
    else:
        write_start(tmp_path / "start", seed=6)
    steps = follow(monkeypatch, stop=None)
    key = {"resnet": "perceptual_network", "start": "initial_weights"}[changed]
    with pytest.raises(DifferentRunError, match=rf"another result: weights\.{key} [0-9a-f]{{8}} -> [0-9a-f]{{8}}\. "):
        train_autoencoder.run(game_config(), paths)
    assert not steps


def test_a_missing_perceptual_network_ends_the_stage_before_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    steps = follow(monkeypatch, stop=None)
    with pytest.raises(ConfigurationError, match=r"train_autoencoder\.perceptual_network: no folder .*resnet"):
        train_autoencoder.run(game_config(initial_weights=None), paths)
    assert not steps


@pytest.mark.slow
def test_the_log_says_which_terms_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    follow(monkeypatch, stop=None)
    train_autoencoder.run(autoencoder_config(), paths)
    shown = capsys.readouterr().out
    for term in ("perceptual", "adversarial", "lecam", "r1"):
        assert f"the {term} term has weight 0 and is left out" in shown
    assert "the reconstruction term" not in shown


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("stage", [train_transformer, train_autoencoder], ids=["transformer", "autoencoder"])
def test_activation_checkpointing_reaches_the_model(
    stage: ModuleType, again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    write_latents(tmp_path / "data")
    found: list[bool] = []

    def train(*, model: torch.nn.Module, **_: Any) -> loop.TrainingResult:
        found.append(bool(model.activation_checkpointing))
        raise Killed

    follow(monkeypatch, stop=None)
    for module in (train_transformer, train_autoencoder):
        monkeypatch.setattr(module, "train", train)
    config = base_config() if stage is train_transformer else autoencoder_config()
    section = "training" if stage is train_transformer else "train_autoencoder"
    training = getattr(config, section).model_copy(update={"activation_checkpointing": again})
    with pytest.raises(Killed):
        run(stage, config.model_copy(update={section: training}), paths)
    assert found == [again]


@pytest.mark.slow
def test_compilation_reaches_the_blocks_or_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are compiled when they are first called, so here nothing is."""
    write_latents(tmp_path / "data")
    found: list[bool] = []

    def train(*, model: WaltTransformer, **_: Any) -> loop.TrainingResult:
        found.append(all(block._compiled_call_impl is not None for block in model.blocks))
        raise Killed

    follow(monkeypatch, stop=None)
    monkeypatch.setattr(train_transformer, "train", train)
    monkeypatch.setattr(compilation, "missing_for_processors", lambda: None)
    config = base_config()
    for wanted in (False, True):
        training = diffusion_training(**{**SHORT, "compile": wanted})
        with pytest.raises(Killed), torch._dynamo.config.patch():
            run(train_transformer, config.model_copy(update={"training": training}), Paths(tmp_path))
    assert found == [False, True]
    monkeypatch.undo()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigurationError, match=r"^train_base\.compile is true, .* there is no 'no-such-c[^\n]*$"):
        run(train_transformer, config.model_copy(update={"training": training}), Paths(tmp_path))


@pytest.mark.slow
def test_latents_are_measured_on_every_trained_size_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    write_clips(paths.clips)
    torch.manual_seed(0)
    model = CausalAutoencoder(AUTOENCODER).eval()
    expected = RunningStatistics(AUTOENCODER.latent_channels)
    for side in (16, 32):
        clips = ClipDataset(paths.clips, (side, side), "train")
        for key in (*clips.video_keys, *clips.image_keys):
            with torch.no_grad():
                expected.update(model.encode(clips.frames([key], [0], len(clips.clip(key))))[0])
    # the stage itself, on weights that stay as drawn: what it measures must not hang on which form comes first
    follow(monkeypatch, stop=None)
    untrained = loop.TrainingResult(model.state_dict(), [])
    monkeypatch.setattr(train_autoencoder, "train", lambda **_: untrained)
    forms = autoencoder_training().forms
    found = []
    for order in (forms, forms[::-1]):
        training = autoencoder_training(forms=order)
        config = train_autoencoder.Config(**COMMON, autoencoder=AUTOENCODER, train_autoencoder=training)
        train_autoencoder.run(config, paths)
        found.append((paths.autoencoder / "statistics.json").read_bytes())
    assert found[0] == found[1]
    datasets = {(side, side): ClipDataset(paths.clips, (side, side), "train") for side in (32, 16)}
    measured, errors = measure_latents(model, datasets, autoencoder_training(), 0)
    assert errors == {"latents/mean_error": 0.0, "latents/std_error": 0.0}
    result = expected.result()
    # 4 videos of 2 latent frames and 2 images; 2x2 cells at the small size, 4x4 at the large one
    assert measured.count == result.count == (4 * 2 + 2) * (4 + 16)
    torch.testing.assert_close(measured.mean, result.mean)
    torch.testing.assert_close(measured.std, result.std)
    few = autoencoder_training(statistics_clips=3)
    some, errors = measure_latents(model, datasets, few, 0)
    again, _ = measure_latents(model, datasets, few, 0)
    other, _ = measure_latents(model, datasets, few, 1)
    assert some.to_json() == again.to_json() != other.to_json()
    assert some.count < measured.count
    assert min(errors.values()) > 0.0
