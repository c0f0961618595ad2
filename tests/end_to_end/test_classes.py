"""All stages without a caption: real UCF-101 videos by their class, and pictures in ImageNet's folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import SHARED, copy_project, walt
from walt.core.config import read_yaml
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.core.transformers import TRANSFORMER_NAMES, TRANSFORMERS
from walt.data.manifest import read_manifest
from walt.data.text_tables import read_labels
from walt.media.mp4 import decode_clip
from walt.project.registry import STAGES
from walt.project.runner import run_stage
from walt.sampling.samples import read_samples

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not (SHARED / "data/clips").is_dir(), reason="the real clips are not beside this project"),
]
TRAININGS = [transformer.training for transformer in TRANSFORMERS]


def of_classes(project: Path, name: str, num_classes: int) -> dict[str, Any]:
    """The tiny recipe's parameters for a dataset of classes; nothing takes text."""
    walt(project, "init", "--recipe", "tiny", "--force")
    params = read_yaml(project / "params.yaml")
    params["dataset"] = {"descriptor": f"datasets/{name}.yaml", "path": f"data/{name}"}
    for model in ("base", "sr_2x", "sr_4x"):
        params[model] |= {
            "conditioning": "class", "num_classes": num_classes, "text_width": None, "cross_attention": None,
        }  # fmt: skip
    params["text"] = None
    params["sample"]["prompts"] = "classes"
    params["promotion"] |= {"metric": "frechet_distance/random_network", "better": "lower", "guards": [], "floor": None}
    return params


def run_all(project: Path, params: dict[str, Any]) -> dict[str, Any]:
    (project / "params.yaml").write_text(json.dumps(params), encoding="utf-8")  # JSON is YAML
    walt(project, "check")
    walt(project, "prepare")
    return {stage.name: run_stage(stage, project) for stage in STAGES}


def test_videos_by_their_class(tmp_path: Path) -> None:
    """Split 2, whose training list has the four clips that are here."""
    project = copy_project(tmp_path / "project")
    params = of_classes(project, "ucf101", 101)
    for training in TRAININGS:
        params[training]["image_fraction"] = 0.0
    params["train_autoencoder"]["forms"] = params["train_autoencoder"]["forms"][:1]
    descriptor = project / "datasets/ucf101.yaml"
    text = descriptor.read_text(encoding="utf-8").replace("split: 1", "split: 2")
    descriptor.write_text(text.replace("absent: refuse", "absent: skip"), encoding="utf-8")
    shutil.copytree(SHARED / "data/clips/ucf101", project / "data/ucf101/UCF-101")
    shutil.copytree(SHARED / "data/annotations/ucf101", project / "data/ucf101/ucfTrainTestlist")
    figures = run_all(project, params)

    paths = Paths(project)
    assert figures["ingest"]["accepted"] == 4
    assert is_left_out(paths.text_encoder)
    labels = read_labels(paths.text)
    classes = {Path(row.source).parent.name: labels[row.key] for row in read_manifest(paths.manifest)}
    assert classes == {"ApplyEyeMakeup": 0, "BaseballPitch": 6, "Basketball": 7, "Biking": 10}
    samples = read_samples(paths.samples)
    assert [sample.prompt for sample in samples] == ["class 0", "class 1", "class 2", "class 3"]
    assert decode_clip(samples[0].path.read_bytes()).shape == (9, 64, 128, 3)
    walt(project, "sample", "--class", "6", "--no-cascade", "--format", "gif")
    assert (project / "samples/class-6-seed0.gif").is_file()


def test_pictures_by_their_class(tmp_path: Path) -> None:
    """An autoencoder in 2D and a base model of one frame; nothing follows it."""
    project = copy_project(tmp_path / "project")
    params = of_classes(project, "imagenet", 1000)
    for section in (*TRANSFORMER_NAMES[1:], *TRAININGS[1:]):
        params[section] = None
    params["ingest"] |= {"num_frames": 1, "sizes": [[16, 16]]}
    params["autoencoder"] |= {"dimensions": 2, "temporal_downsample": [False] * 2}
    params["train_autoencoder"]["forms"] = [{"resolution": [16, 16], "num_frames": 1, "batch_size": 2, "weight": 1}]
    params["base"] |= {"latent_grid": [1, 2, 2], "spatiotemporal_window": [1, 2, 2], "adaln": "separate"}
    params["train_base"]["image_fraction"] = 1.0
    params["sample"] |= {"cascade": False, "count": 3}
    pictures = project / "data/imagenet"
    shutil.copytree(SHARED / "data/images/wnid", pictures / "train")
    held_out = pictures / "val/n02123045/chelsea.png"
    held_out.parent.mkdir(parents=True)
    (pictures / "train/n02123045/chelsea.png").rename(held_out)
    shutil.copy(SHARED / "data/annotations/imagenet/imagenet_class_index.json", pictures)
    figures = run_all(project, params)

    paths = Paths(project)
    assert (figures["ingest"]["images"], figures["ingest"]["held_out"]) == (5, 1)
    assert (figures["train-base"]["images"], figures["train-base"]["videos"]) == (4, 0)
    assert "held_out_loss/base" in read_json(paths.evaluation)["metrics"]
    assert [decode_clip(sample.path.read_bytes()).shape for sample in read_samples(paths.samples)] == [
        (1, 16, 16, 3)
    ] * 3
