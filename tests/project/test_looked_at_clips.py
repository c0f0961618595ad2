"""Which held-out clips a training looks at: the first of those that the evaluation draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.evaluated_project import write_recordings
from tests.support.looked_at import VALIDATION, Recorder, train, write_project
from tests.support.ranks_project import parameters
from tests.support.settings import changed, recipe
from tests.support.tiny_clips import ROWS, SIZES, clip_row, write_clips
from tests.support.tiny_models import AUTOENCODER, drawn
from walt.autoencoder.model import CausalAutoencoder
from walt.core.config import parse_section
from walt.core.paths import Paths
from walt.data.latent_dataset import LatentDataset
from walt.evaluation.held_out import held_out_errors
from walt.evaluation.protocol_inputs import wanted_clips
from walt.evaluation.random_network import RandomNetwork
from walt.project.autoencoder_validation import AutoencoderValidation
from walt.project.looked_at_clips import looked_at
from walt.project.params import Params
from walt.training.autoencoder_measures import held_out_psnr

GROUPS = {"v0": "a", "v1": "a", "v2": "a", "v3": "b", "v4": "b"}
KEYS = sorted(GROUPS)
PARAMS = recipe("demo")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    write_recordings(Paths(tmp_path), GROUPS)
    return Paths(tmp_path)


def test_they_are_the_first_of_those_that_the_evaluation_draws(paths: Paths) -> None:
    held_out_rows = tuple(clip_row(row.key, row.kind, "held_out", row.shard) for row in ROWS)
    write_clips(paths.clips, held_out_rows)
    judged = [clip.key for clip in wanted_clips(changed(PARAMS.evaluate, real_clips=5), paths, SIZES[0], 5)]
    assert sorted(judged) == KEYS
    assert judged[:3] != KEYS[:3], "the test could not tell a draw from the first by key"
    for most in range(7):
        assert looked_at(PARAMS, paths, KEYS, most) == judged[:most]


def test_they_are_of_all_recordings_whatever_the_order_of_the_table(paths: Paths) -> None:
    first = looked_at(PARAMS, paths, KEYS, 2)
    assert {GROUPS[key] for key in first} == {"a", "b"}
    assert looked_at(PARAMS, paths, KEYS[::-1], 2) == first


@pytest.mark.parametrize("known", ["nothing", "others"])
def test_without_their_recordings_they_are_drawn_one_by_one_which_is_said(
    known: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path)
    if known == "others":
        write_recordings(paths, GROUPS)
    keys = [f"w{number}" for number in range(8)]
    found = looked_at(PARAMS, paths, keys, 4)
    assert len({*found}) == 4
    assert found == looked_at(PARAMS, paths, keys[::-1], 8)[:4]
    assert found != keys[:4]
    assert capsys.readouterr().out.count("drawn without regard to their recordings") == 2


@pytest.mark.slow
def test_a_transformers_training_that_goes_on_looks_at_the_same_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_project(tmp_path)
    seen: list[tuple[str, ...]] = []

    def watched(*arguments: Any, **more: Any) -> Tensor:
        seen.append(tuple(key for batch in arguments[2] for key in batch.keys))
        return held_out_errors(*arguments, **more)

    monkeypatch.setattr("walt.project.transformer_validation.held_out_errors", watched)
    validation = {**VALIDATION, "clips": 2, "samples": 0, "sampling_steps": 2}
    for steps in (2, 4):
        train("train-base", tmp_path, monkeypatch.setattr, validation, steps=steps)
    keys = LatentDataset(paths.latents, SIZES[0], "held_out").video_keys
    assert {*seen} == {tuple(looked_at(PARAMS, paths, [*keys], 2))}
    assert len(seen) > 2


@pytest.mark.slow
def test_an_autoencoders_psnr_is_that_of_the_drawn_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_project(tmp_path)
    keys = ["v3", "v5", "v6"]
    write_clips(paths.clips, (*ROWS, *(clip_row(key, "video", "held_out", 1) for key in keys[1:])))
    first = looked_at(PARAMS, paths, keys, 1)
    assert first != keys[:1], "the test could not tell a draw from the first by key"
    seen = []

    def watched(*arguments: Any) -> dict[str, float]:
        seen.append(arguments[4] if len(arguments) > 4 else None)
        return held_out_psnr(*arguments)

    monkeypatch.setattr("walt.stages.train_autoencoder.held_out_psnr", watched)
    train("train-autoencoder", tmp_path, monkeypatch.setattr, {**VALIDATION, "clips": 1, "samples": 1}, steps=2)
    assert seen == [dict.fromkeys(SIZES, first), None], "of a look, and of all in the end"


def test_reconstructions_that_cannot_be_measured_are_left_out_of_a_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where an autoencoder is about to diverge: the training goes on, and its own guard decides."""
    paths, model = write_project(tmp_path), drawn(CausalAutoencoder(AUTOENCODER), 0)
    params = parse_section(parameters(train_autoencoder={"validation": VALIDATION}), Params, "params.yaml")
    look = AutoencoderValidation(params, paths, Recorder(tmp_path), None, "random_network", RandomNetwork())
    look.drawn = {size: {"video": ["v3", "v5"]} for size in SIZES}
    assert len(look._distances(model, sharded=False)) == len(SIZES)
    with torch.no_grad():
        next(model.decoder.parameters()).fill_(torch.nan)
    for _ in range(2):
        assert look._distances(model, sharded=False) == {}
    said = "no distance of reconstructions: random_network cannot measure one of them"
    assert capsys.readouterr().out.replace("\n", " ").count(said) == 1
