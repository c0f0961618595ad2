"""A table whose stages are the real ones: only here do they find each other's artefacts through links."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.support import small_table
from tests.support.forked_stages import ForkedStages
from walt.project.recorded_outputs import RECORD

PAGE = Path("results/tables/3a-demo")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_database: Path, stages: ForkedStages) -> Path:
    """A project in which the table was made undisturbed."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copy(empty_database, root / "mlflow.db")
    stages.finish(root, "table", module=small_table.__name__)
    return root


@pytest.mark.slow
def test_a_small_table_from_the_videos_to_the_page(whole: Path) -> None:
    found = json.loads((whole / PAGE / "table.json").read_text())["rows"]
    losses = {name: row["seeds"]["0"]["held_out_loss/base"] for name, row in found.items()}
    assert losses["patch size 1"] != losses["patch size 2"]
    stages = [folder.name.rsplit("-", 1)[0] for folder in (whole / "work/tables").iterdir() if folder.is_dir()]
    assert {name: stages.count(name) for name in ("ingest", "train-autoencoder", "train-base", "evaluate")} == {
        "ingest": 1, "train-autoencoder": 1, "train-base": 2, "evaluate": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_a_table_that_was_killed_runs_nothing_twice_and_ends_as_one_that_was_not(
    tmp_path: Path, whole: Path, empty_database: Path, stages: ForkedStages
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    process = stages(tmp_path, "table", module=small_table.__name__)
    while not _training_after_a_whole_row(tmp_path) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / PAGE / "table.html").exists()
    ended = _records(tmp_path)
    said = stages.finish(tmp_path, "table", module=small_table.__name__)
    assert "patch size 1, seed 0 (1 of 2) there already" in said
    again = {name for name, when in ended.items() if _records(tmp_path)[name] != when}
    assert {name.rsplit("-", 1)[0] for name in again} == {"ingest"}, "there might be new clips"
    for name in ("table.json", "table.md", "table.html", "table.png"):
        assert (tmp_path / PAGE / name).read_bytes() == (whole / PAGE / name).read_bytes()


def _records(root: Path) -> dict[str, int]:
    """Folder of a stage that has ended -> when."""
    return {file.parents[2].name: file.stat().st_mtime_ns for file in root.glob(f"work/tables/*/work/*/{RECORD}")}


def _training_after_a_whole_row(root: Path) -> bool:
    """Whether the first row has ended and the second one's training has a checkpoint."""
    ended = _records(root)
    checkpoints = root.glob("work/tables/train-base-*/work/train-base/step-*")
    return any(name.startswith("evaluate-") for name in ended) and any(
        file.parents[2].name not in ended for file in checkpoints
    )
