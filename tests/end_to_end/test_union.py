"""Videos of one collection and pictures of another, trained on together, as the paper does."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.support.project import copy_project, walt
from walt.core.config import read_yaml
from walt.core.paths import Paths
from walt.data.manifest import read_manifest
from walt.project.registry import get_stage
from walt.project.runner import run_stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def pictures(file: Path, count: int) -> None:
    """A tar of captioned pictures."""
    file.parent.mkdir(parents=True)
    with tarfile.open(file, "w") as archive:
        for number in range(count):
            Image.new("RGB", (80, 70), (25 * number, 200 - 20 * number, 90)).save(file.parent / "x.png")
            (file.parent / "x.txt").write_text(f"a field of colour {number}")
            for suffix in ("png", "txt"):
                archive.add(file.parent / f"x.{suffix}", f"{number}.{suffix}")
                (file.parent / f"x.{suffix}").unlink()


def test_videos_and_pictures_of_two_collections_train_one_model(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    walt(project, "init", "--recipe", "tiny", "--force")
    descriptor = read_yaml(project / "datasets/union.yaml")
    shapes = read_yaml(project / "datasets/shapes.yaml")
    members = descriptor["source"]["members"]
    members["videos"] |= {key: shapes[key] for key in ("source", "held_out", "generator")} | {"path": "shapes"}
    members["videos"]["generator"]["images"] = 0
    (project / "datasets/union.yaml").write_text(json.dumps(descriptor), encoding="utf-8")
    params = read_yaml(project / "params.yaml")
    params["dataset"] = {"descriptor": "datasets/union.yaml", "path": "data/union"}
    params["sample"]["prompts"] = "held_out"
    params["promotion"] |= {"metric": "frechet_distance/random_network", "better": "lower", "guards": [], "floor": None}
    (project / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    pictures(project / "data/union/pictures/0.tar", 8)
    walt(project, "prepare")

    names = ("ingest", "train-autoencoder", "caption", "encode-text", "encode-video", "train-base")
    figures = {name: run_stage(get_stage(name), project) for name in names}
    found = Counter(
        (row.source.partition("/")[0], row.kind, row.split) for row in read_manifest(Paths(project).manifest)
    )
    assert found["pictures", "image", "train"] == 8
    held_out = found["videos", "video", "held_out"]
    assert 0 < held_out < 12
    assert {(member, kind) for member, kind, _ in found} == {("pictures", "image"), ("videos", "video")}
    assert figures["ingest"]["members"] == {"pictures": "8 of 8 inputs", "videos": "12 of 12 inputs"}
    assert (figures["train-base"]["videos"], figures["train-base"]["images"]) == (12 - held_out, 8)
    with closing(sqlite3.connect(project / "mlflow.db")) as runs:
        drawn = {key for (key,) in runs.execute("select distinct key from metrics")}
    assert {"video", "image"} <= drawn, "each step has some of both"
    assert "Members of the union" in walt(project, "inspect")
