"""A table in MLflow: one parent, a run for each cell, nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG
from walt.tracking.release_runs import PARENT_TAG
from walt.tracking.server import Connection, connect
from walt.tracking.table_runs import TableRuns


@pytest.fixture
def connection(tmp_path: Path, empty_database: Path) -> Connection:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return connect(CONFIG, tmp_path)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "table.md").write_text("# Table")
    return tmp_path / "page"


def make(connection: Connection, page: Path, digests: tuple[str, ...], values: float = 1.0) -> TableRuns:
    runs = TableRuns(connection, "table 3a, demo", "Patch size", 1000)
    for digest in digests:
        params = {"row": digest, "seed": 0, "base": {"patch_size": 2}}
        runs.log_cell(digest, f"row {digest}", params, {"fvd": values}, 2000)
    runs.finish(digests, page, 3000)
    return runs


def children(connection: Connection, parent: str) -> dict[str, str]:
    """Name -> run id."""
    found = connection.client.search_runs([connection.experiment_id], f"tags.`{PARENT_TAG}` = '{parent}'")
    return {str(run.info.run_name): str(run.info.run_id) for run in found}


def test_each_cell_is_a_run_below_one_parent(connection: Connection, page: Path) -> None:
    runs = make(connection, page, ("a", "b"))
    found = children(connection, runs.run_id)
    assert set(found) == {"row a", "row b"}
    cell = connection.client.get_run(found["row a"])
    assert cell.data.params == {"row": "a", "seed": "0", "base.patch_size": "2"}
    assert cell.data.metrics == {"fvd": 1.0}
    assert cell.info.status == "FINISHED"
    parent = connection.client.get_run(runs.run_id)
    assert (parent.info.run_name, parent.info.status) == ("table 3a, demo", "FINISHED")
    assert [file.path for file in connection.client.list_artifacts(runs.run_id)] == ["table.md"]


def test_again_is_the_same_runs(connection: Connection, page: Path) -> None:
    first = make(connection, page, ("a", "b"))
    before = children(connection, first.run_id)
    again = make(connection, page, ("a", "b", "c"))
    assert again.run_id == first.run_id
    after = children(connection, again.run_id)
    assert {name: after[name] for name in before} == before
    assert set(after) == {"row a", "row b", "row c"}


def test_a_cell_of_earlier_settings_is_no_longer_the_tables_and_comes_back_with_them(
    connection: Connection, page: Path
) -> None:
    first = make(connection, page, ("a", "b"))
    make(connection, page, ("a", "new"))
    assert set(children(connection, first.run_id)) == {"row a", "row new"}
    make(connection, page, ("a", "b"))
    assert set(children(connection, first.run_id)) == {"row a", "row b"}


def test_another_table_has_a_parent_of_its_own(connection: Connection, page: Path) -> None:
    first = make(connection, page, ("a",))
    other = TableRuns(connection, "table 3a, paper", "Patch size", 1000)
    assert other.run_id != first.run_id


def test_a_table_that_broke_off_says_so_until_it_goes_on(connection: Connection, page: Path) -> None:
    runs = TableRuns(connection, "table 3a, demo", "Patch size", 1000)
    runs.break_off(2000)
    assert connection.client.get_run(runs.run_id).info.status == "FAILED"
    again = make(connection, page, ("a",))
    assert again.run_id == runs.run_id
    assert connection.client.get_run(runs.run_id).info.status == "FINISHED"
