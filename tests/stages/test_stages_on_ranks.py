"""Stages whose work is spread over ranks by tar, by batch of prompts or by batch of clips: not a byte differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import video_project
from tests.support.many_ranks import on_ranks
from tests.support.rank_tasks import held_out_losses, run_stage
from tests.support.settings import compute_settings
from tests.support.text_project import CONFIG, make_text_project
from tests.support.tiny_models import DIFFUSION, ENCODE_VIDEO, SAMPLE, write_models
from walt.ingest.config import DatasetConfig
from walt.stages import sample

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
        ("encode_text", CONFIG, make_text_project),
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


def test_held_out_losses_do_not_differ_by_a_bit() -> None:
    (alone,) = on_ranks(1, held_out_losses)
    assert on_ranks(2, held_out_losses) == [alone, alone]
