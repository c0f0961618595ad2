"""Stages whose work is spread over ranks by tar, by batch of prompts or by batch of clips: not a byte differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import evaluated_project, video_project
from tests.support.many_ranks import on_ranks
from tests.support.rank_tasks import held_out_losses, measures_of_an_autoencoder, run_stage
from tests.support.settings import compute_settings
from tests.support.text_project import CONFIG, make_described_project
from tests.support.tiny_clips import write_clips
from tests.support.tiny_models import AUTOENCODER, DIFFUSION, ENCODE_VIDEO, SAMPLE, write_models
from tests.support.training_stages import COMMON, SHORT
from tests.support.trainings import autoencoder_training
from walt.autoencoder.io import load_autoencoder
from walt.core.paths import Paths
from walt.ingest.config import DatasetConfig
from walt.stages import sample, train_autoencoder

REPOSITORY = Path(__file__).resolve().parents[2]


def sampling() -> sample.Config:
    return sample.Config(
        seed=0,
        diffusion=DIFFUSION,
        dataset=DatasetConfig(descriptor=str(REPOSITORY / "datasets/shapes.yaml"), path="data/shapes"),
        encode_video=ENCODE_VIDEO,
        sample=SAMPLE.model_copy(update={"prompts": "adherence", "count": 5, "batch_size": 2}),
        compute=compute_settings(workers=1),
    )


def content(folder: Path) -> dict[str, bytes]:
    files = (file for top in ("data", "models", "results") for file in (folder / top).rglob("*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "config", "make"),
    [
        ("encode_video", video_project.config(), video_project.make_video_project),
        ("encode_text", CONFIG, make_described_project),
        ("sample", sampling(), write_models),
    ],
)
def test_two_ranks_make_the_bytes_of_one(stage: str, config: Any, make: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    before = content(tmp_path / "one").keys()
    (figures,) = on_ranks(1, run_stage, stage, config, tmp_path / "one")
    of_two = on_ranks(2, run_stage, stage, config, tmp_path / "two")
    assert of_two[0] == figures
    made = content(tmp_path / "one")
    assert made.keys() > before
    assert content(tmp_path / "two") == made
    if stage != "sample":  # and what one rank has made, three find
        again = on_ranks(3, run_stage, stage, config, tmp_path / "one")
        assert again[0]["reused"] == again[0]["tars"] > 1
        assert content(tmp_path / "one") == made


@pytest.mark.slow
def test_an_evaluation_has_the_same_bytes_on_one_two_and_three_ranks(tmp_path: Path) -> None:
    paths = evaluated_project.write_project(tmp_path)
    found = []
    for count in (1, 2, 3):
        figures = on_ranks(count, run_stage, "evaluate", evaluated_project.config(), tmp_path)
        assert not any(figures[1:]), "the first one alone reports"
        found.append((figures[0], paths.evaluation.read_bytes()))
        paths.evaluation.unlink()
    assert found == [found[0]] * 3
    assert {"frechet_distance/random_network", "adherence/all", "adherence/base/shape", "held_out_loss/base"} <= set(
        found[0][0]
    )


@pytest.mark.slow
def test_what_is_measured_of_an_autoencoder_does_not_differ_by_a_bit(tmp_path: Path) -> None:
    write_clips(Paths(tmp_path).clips)
    (alone,) = on_ranks(1, measures_of_an_autoencoder, tmp_path)
    errors = {"latents/mean_error", "latents/std_error"}
    assert alone.keys() == {"mean", "std", "count", "psnr/video/16x16", "psnr/video/32x32", *errors}
    for count in (2, 3):
        assert on_ranks(count, measures_of_an_autoencoder, tmp_path) == [alone] * count


@pytest.mark.slow
def test_an_autoencoder_is_published_whole_by_ranks_that_had_a_share_of_it(tmp_path: Path) -> None:
    forms = [form.model_copy(update={"batch_size": 2}) for form in autoencoder_training().forms]
    training = autoencoder_training(**SHORT, forms=forms, joint=True)
    found = {}
    for count, sharding in ((1, "none"), (2, "none"), (2, "full")):
        root = tmp_path / f"{count}-{sharding}"
        write_clips(Paths(root).clips)
        compute = compute_settings(workers=1, sharding=sharding)
        config = train_autoencoder.Config(
            **{**COMMON, "compute": compute}, autoencoder=AUTOENCODER, train_autoencoder=training
        )
        figures = on_ranks(count, run_stage, "train_autoencoder", config, root)
        model, statistics = load_autoencoder(Paths(root).autoencoder, "cpu")
        found[count, sharding] = model.state_dict() | {"mean": statistics.mean, "std": statistics.std}, figures[0]
        assert (Paths(root).work("train-autoencoder") / "step-000000004" / "manifest.json").is_file()
    weights, figures_alone = found.pop((1, "none"))
    assert {"parameters", "steps", "psnr/video/16x16"} <= set(figures_alone)
    for others, of_others in found.values():
        assert of_others == pytest.approx(figures_alone, rel=1e-4)
        assert others.keys() == weights.keys()
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_held_out_losses_do_not_differ_by_a_bit() -> None:
    (alone,) = on_ranks(1, held_out_losses)
    assert on_ranks(2, held_out_losses) == [alone, alone]
