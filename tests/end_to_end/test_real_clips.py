"""All stages on real videos: odd containers, rotations, several streams, broken files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import SHARED, copy_project, walt
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.data.manifest import read_manifest, read_rejects
from walt.project.registry import STAGES
from walt.project.runner import run_stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not (SHARED / "data/clips").is_dir(), reason="the real clips are not beside this project"),
]


def test_every_stage_runs_on_real_clips(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    videos = str(SHARED / "data")
    walt(project, "init", "--recipe", "tiny", "--force", "--videos", videos, "--captions", "captions.csv",
        "--name", "real")  # fmt: skip
    walt(project, "prepare")
    figures = {stage.name: run_stage(stage, project) for stage in STAGES}

    paths = Paths(project)
    rejects = {row.source: row for row in read_rejects(paths.rejects)}
    accepted = {row.source for row in read_manifest(paths.manifest)}
    assert figures["ingest"]["accepted"] + figures["ingest"]["rejected"] == figures["ingest"]["inputs"]
    assert not accepted & rejects.keys()
    assert "clips/misc/example.mp4" in accepted
    assert {"broken/broken.mp4", "broken/empty.flv"} <= rejects.keys()
    assert rejects["clips/misc/video_90.mov"].code == "too_short"
    assert len(list(paths.samples.glob("*.mp4"))) == 4
    metrics = read_json(paths.evaluation)["metrics"]
    assert "frechet_distance/random_network" in metrics
    assert not any(name.startswith("adherence") for name in metrics), "real clips have no adherence check"
    assert paths.report.stat().st_size > 10_000
