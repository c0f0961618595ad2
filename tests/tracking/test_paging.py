"""MLflow gives what it finds a page at a time: all pages are read, by all who ask."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.tracking import CONFIG
from walt.tracking import paging, server
from walt.tracking.given_release import list_releases
from walt.tracking.lineage import Registry
from walt.tracking.measured import MEASURED_TAG
from walt.tracking.paging import all_of
from walt.tracking.release_runs import DECISION_TAG, MODELS_TAG, PARENT_TAG, models_digest, note_decision
from walt.tracking.table_runs import TableRuns

ROOT = Path(__file__).parents[2]


SEARCHES = ("search_runs", "search_model_versions", "search_registered_models")


@pytest.fixture
def connection(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> server.Connection:
    """Its client gives two entries at a time, however many are asked for."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    for name in SEARCHES:
        whole = getattr(MlflowClient, name)

        def two(*arguments: Any, whole: Callable[..., Any] = whole, **named: Any) -> Any:
            return whole(*arguments, **named | {"max_results": 2})

        monkeypatch.setattr(MlflowClient, name, two)
    return server.connect(CONFIG, tmp_path)


@dataclass
class _Page:
    entries: list[int]
    token: str | None

    def __iter__(self) -> Iterator[int]:
        return iter(self.entries)


def test_pages_are_asked_for_until_there_is_none() -> None:
    asked: list[tuple[str, int, str | None]] = []

    def search(query: str, max_results: int, page_token: str | None) -> _Page:
        asked.append((query, max_results, page_token))
        return {None: _Page([1, 2], "second"), "second": _Page([], "third"), "third": _Page([3], "")}[page_token]

    assert [*all_of(search, "name = 'a'")] == [1, 2, 3]
    assert asked == [("name = 'a'", paging.PAGE, token) for token in (None, "second", "third")]


def versions_made(connection: server.Connection, root: Path, count: int) -> None:
    """Versions of a base model; each but the last belongs to a release."""
    for number in range(count):
        folder = root / f"base-{number}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(bytes([number]))
        version = server.register(connection, None, folder, "base")
        if number < count - 1:
            connection.client.set_model_version_tag("walt-base", version, MEASURED_TAG, "{}")


@pytest.mark.slow
def test_releases_and_versions_of_all_pages_are_listed(connection: server.Connection, tmp_path: Path) -> None:
    versions_made(connection, tmp_path, 5)
    assert [release.version for release in list_releases(CONFIG, tmp_path)] == ["4", "3", "2", "1"]
    found = Registry(CONFIG, tmp_path, tmp_path / "kept").versions
    assert {version.version for version in found} == {"1", "2", "3", "4", "5"}


def run_of(connection: server.Connection, **tags: str) -> str:
    return str(connection.client.create_run(connection.experiment_id, tags=tags).info.run_id)


def test_a_decision_is_written_on_all_runs_of_a_release(connection: server.Connection) -> None:
    models = {"base": "aa"}
    runs = [run_of(connection, **{MODELS_TAG: models_digest(models)}) for _ in range(5)]
    other = run_of(connection, **{MODELS_TAG: "another"})
    note_decision(connection, models, "it stays")
    said = [connection.client.get_run(run).data.tags.get(DECISION_TAG) for run in (*runs, other)]
    assert said == ["it stays"] * 5 + [None]


def test_a_table_lets_go_of_all_cells_that_it_has_no_more(connection: server.Connection, tmp_path: Path) -> None:
    runs = TableRuns(connection, "table 3a, demo", "Patch size", 1000)
    cells = [runs.log_cell(digest, digest, {}, {}, 2000) for digest in "abcdefg"]
    (tmp_path / "page").mkdir()
    runs.finish("g", tmp_path / "page", 3000)
    of_table = [PARENT_TAG in connection.client.get_run(cell).data.tags for cell in cells]
    assert of_table == [False] * 6 + [True]


def _searches(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of a method ``search_...``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("search_"):
            yield node


def test_who_searches_reads_all_pages_or_wants_one_entry() -> None:
    texts = {
        file: file.read_text(encoding="utf-8") for name in ("walt", "flows") for file in (ROOT / name).rglob("*.py")
    }
    alone = []
    for file, text in texts.items():
        for call in _searches(ast.parse(text)) if ".search_" in text else ():
            most = next((name.value for name in call.keywords if name.arg == "max_results"), None)
            if not (isinstance(most, ast.Constant) and most.value == 1):
                alone.append(f"{file.relative_to(ROOT)}:{call.lineno}")
    assert not alone, "these see the first page only: walt.tracking.paging.all_of"
