"""``walt table``: from the command to the page and MLflow; the stages only note that they were run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from typer.testing import CliRunner

from tests.support.table_project import FakeStages, use_fake_stages
from tests.support.tracking import DOWN
from walt.cli import app
from walt.commands.table import grid
from walt.commands.table.grid import run
from walt.core.errors import ConfigurationError, LockedError, StorageError
from walt.core.storage import lock
from walt.project.recipes import recipe_text
from walt.tracking.config import TrackingConfig
from walt.tracking.server import connect

DISTANCE = "frechet_distance/random_network"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder, without tracking."""
    monkeypatch.setattr(grid, "_Tracked", MagicMock())
    return tmp_path


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    """The larger the patch, the larger the distance."""
    fake = FakeStages(score=lambda data: 10.0 * data["base"]["patch_size"] + 0.1 * data["seed"])
    use_fake_stages(monkeypatch, fake)
    return fake


@pytest.mark.slow
def test_a_table_is_made_with_its_page_and_its_runs(stages: FakeStages, tmp_path: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    out = run("3a", "demo", (0, 1), tmp_path)
    assert out == tmp_path / "results/tables/3a-demo"
    found = json.loads((out / "table.json").read_text())["rows"]
    assert found["patch size 4"]["seeds"]["1"][DISTANCE] == pytest.approx(40.1)
    assert found["patch size 2"]["compared"][DISTANCE]["agreement"] == "as in the paper"
    config = TrackingConfig(
        uri="sqlite:///mlflow.db", experiment="walt-tables", model_prefix="walt", system_metrics=False
    )
    connection = connect(config, tmp_path)
    runs = connection.client.search_runs([connection.experiment_id])
    assert sorted(str(run.info.run_name) for run in runs) == [
        *(f"patch size {size}, seed {seed}" for size in (1, 2, 4) for seed in (0, 1)),
        "table 3a, demo",
    ]


@pytest.mark.slow
def test_it_goes_on_after_it_broke_off_and_the_page_has_what_was_there(stages: FakeStages, project: Path) -> None:
    broken = [True]
    stages.fails = lambda stage, data: stage.name == "evaluate" and data["base"]["patch_size"] == 4 and bool(broken)
    with pytest.raises(StorageError):
        run("3a", "demo", (0,), project)
    page = project / "results/tables/3a-demo/table.json"
    assert json.loads(page.read_text())["rows"]["patch size 2"]["seeds"]["0"]
    assert json.loads(page.read_text())["rows"]["patch size 4"]["seeds"] == {}
    broken.clear()
    run("3a", "demo", (0,), project)
    assert json.loads(page.read_text())["rows"]["patch size 4"]["seeds"]["0"][DISTANCE] == 40.0
    assert stages.count("train-base") == 3


@pytest.mark.slow
def test_more_seeds_run_only_those(stages: FakeStages, project: Path) -> None:
    run("3a", "demo", (0,), project)
    run("3a", "demo", (0, 1), project)
    assert stages.count("train-base") == 6


@pytest.mark.slow
def test_a_table_of_autoencoders_takes_the_figures_of_their_stage(stages: FakeStages, project: Path) -> None:
    out = run("3f", "demo", (0, 1), project)
    found = json.loads((out / "table.json").read_text())["rows"]["4 channels"]["seeds"]
    assert found == {"0": {"psnr/video/32x32": 20.0}, "1": {"psnr/video/32x32": 21.0}}
    assert stages.count("train-base") == 0


@pytest.mark.slow
def test_without_mlflow_the_table_is_made_with_a_warning(
    stages: FakeStages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = recipe_text("demo").replace("sqlite:///mlflow.db", DOWN.uri)
    (tmp_path / "params.yaml").write_text(text)
    out = run("3a", "demo", (0,), tmp_path)
    assert (out / "table.md").is_file()
    assert "does not take the table's runs" in capsys.readouterr().out


@pytest.mark.slow
def test_the_projects_machine_settings_hold(stages: FakeStages, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "params.yaml").write_text(recipe_text("demo").replace("  workers: 2", "  workers: 7"))
    seen = []
    real: Callable[..., object] = grid.cells

    def noted(*arguments: object) -> object:
        found = real(*arguments)
        seen.append(found)
        return found

    monkeypatch.setattr(grid, "cells", noted)
    run("3a", "demo", (0,), project)
    assert seen[0][0].own.compute.workers == 7  # type: ignore[index]


def test_two_at_once_are_refused(stages: FakeStages, project: Path) -> None:
    with lock(project / "work/tables/lock"), pytest.raises(LockedError):
        run("3a", "demo", (0,), project)


def test_a_scale_that_a_table_does_not_have_is_refused(stages: FakeStages, project: Path) -> None:
    with pytest.raises(ConfigurationError, match="table 2 has no scale 'demo'"):
        run("2", "demo", (0,), project)


def test_the_command_lists_tables_and_asks_for_one() -> None:
    listed = CliRunner().invoke(app, ["table", "--list"])
    assert listed.exit_code == 0
    assert "Self-conditioning" in listed.output
    asked = CliRunner().invoke(app, ["table"])
    assert asked.exit_code != 0
