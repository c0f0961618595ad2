"""A stage runs once at a time, and no stage removes the lock under which it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.text_project import make_text_project, write_no_captions
from tests.support.video_project import make_video_project
from walt.core.errors import LockedError
from walt.core.paths import Paths
from walt.core.storage import lock, read_json
from walt.ingest.config import DatasetConfig
from walt.project.recipes import load_recipe
from walt.project.registry import STAGES, Stage, get_stage
from walt.project.runner import PARAMS_FILE, run_stage

DESCRIPTOR = {
    "name": "test", "summary": "A test.", "licence": "CC0-1.0", "homepage": None,
    "source": {
        "kind": "captioned_folder", "captions": "captions.csv", "path_column": "path", "caption_column": "caption",
    },
    "classes": None, "caption_required": True, "images": True, "held_out": 0.0, "adherence": None, "generator": None,
}  # fmt: skip


def write_params(root: Path, **sections: Any) -> None:
    params = load_recipe("demo").model_copy(update=sections)
    (root / PARAMS_FILE).write_text(json.dumps(params.model_dump(mode="json")), encoding="utf-8")  # JSON is YAML


def prepare_ingest(root: Path) -> None:
    (root / "descriptor.yaml").write_text(json.dumps(DESCRIPTOR), encoding="utf-8")
    (root / "videos").mkdir()
    Image.new("RGB", (80, 80), (200, 30, 30)).save(root / "videos/red.png")
    (root / "videos/captions.csv").write_text("path,caption\nred.png,red\n", encoding="utf-8")
    write_params(root, dataset=DatasetConfig(descriptor="descriptor.yaml", path="videos"))


def prepare_encode_text(root: Path) -> None:
    write_no_captions(make_text_project(root))
    write_params(root)


def prepare_encode_video(root: Path) -> None:
    make_video_project(root)
    write_params(root)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_that_runs_already_is_refused(stage: Stage, tmp_path: Path) -> None:
    write_params(tmp_path)
    with (
        lock(Paths(tmp_path).work(stage.name) / "lock"),
        pytest.raises(LockedError, match=rf"{stage.name}/lock: held by process {os.getpid()}$") as error,
    ):
        run_stage(stage, tmp_path)
    assert error.value.exit_status == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prepare"),
    [
        ("ingest", prepare_ingest),
        ("encode-text", prepare_encode_text),
        ("encode-video", prepare_encode_video),
    ],
)
def test_stages_that_tidy_up_keep_their_lock_and_their_last_result(
    name: str, prepare: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    work = Paths(tmp_path).work(name)
    with lock(work / "lock"):
        inode = (work / "lock").stat().st_ino
    first = run_stage(get_stage(name), tmp_path)
    assert (work / "lock").stat().st_ino == inode  # another file under the name would lock nobody out
    result_seen: list[Any] = []
    monkeypatch.setattr("walt.project.runner.write_json", lambda path, _: result_seen.append(read_json(path)))
    run_stage(get_stage(name), tmp_path)  # which finds what the first made
    assert (work / "lock").stat().st_ino == inode
    assert result_seen == [json.loads(json.dumps(first))]
