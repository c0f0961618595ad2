"""Steps and tables of the user's own that go wrong: one bad clip is not the end, and nothing passes a filter unseen."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.ingest_project import make_project, run
from walt.commands.annotate.annotate import by_function, by_table
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.data.manifest import read_clip_rejects, read_manifest


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied."""
    root = tmp_path_factory.mktemp("ingested")
    make_project(root)
    run(root)
    return root


@pytest.fixture
def root(ingested: Path, tmp_path: Path) -> Path:
    shutil.copytree(ingested, tmp_path, dirs_exist_ok=True)
    return tmp_path


def step(root: Path, body: str, module: str = "step") -> str:
    """The name of a new function ``score`` of the user's."""
    name = f"{module}_{root.name}"
    (root / f"{name}.py").write_text(f"def score(frames, row):\n{body}")
    return f"{name}:score"


def table(root: Path, name: str = "score") -> dict[str, Any]:
    rows = pq.read_table(root / f"datasets/annotations/{name}.parquet").to_pylist()
    return {row["key"]: row for row in rows}


def keys(root: Path) -> list[str]:
    return [row.key for row in read_manifest(Paths(root).manifest)]


def test_a_rerun_in_which_only_bad_clips_are_left_succeeds_and_keeps_the_table(root: Path) -> None:
    what = step(root, "    assert row.kind == 'video'\n    return {'x': 1.0}\n")
    by_function(root, what, None)
    first = (root / "datasets/annotations/score.parquet").read_bytes()
    by_function(root, what, None)
    assert (root / "datasets/annotations/score.parquet").read_bytes() == first
    assert len(table(root)) == 17


def test_a_step_may_import_another_module_of_the_project_when_it_is_called(root: Path) -> None:
    (root / f"later_{root.name}.py").write_text("VALUE = 3.0\n")
    by_function(root, step(root, f"    from later_{root.name} import VALUE\n    return {{'x': VALUE}}\n"), None)
    assert {row["x"] for row in table(root).values()} == {3.0}


@pytest.mark.parametrize("body", ["    return {\n", "    return {}\n\nundefined\n"])
def test_a_module_that_cannot_be_imported_is_one_line(root: Path, body: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^step_.*: (SyntaxError|NameError): ") as caught:
        by_function(root, step(root, body), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["'\\udcff'", "float('inf')", "b'1.5'", "[1.0]"])
def test_a_value_that_no_table_can_hold_is_a_failure_of_its_clip(root: Path, value: str) -> None:
    by_function(root, step(root, f"    return {{'x': {value} if row.kind == 'image' else 'a'}}\n"), None)
    assert len(table(root)) == 17


@pytest.mark.parametrize("name", ["motion", "caption_truncated", "split"])
def test_a_name_of_the_manifest_is_refused_before_all_clips_are_computed(root: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'"):
        by_function(root, step(root, f"    return {{'{name}': 1.0}}\n"), None)
    assert not (root / "datasets/annotations").exists()
    pq.write_table(pa.table({"key": keys(root), name: [1.0] * 18}), root / "t.parquet")
    with pytest.raises(ConfigurationError, match=f"'{name}'"):
        by_table(root, Path("t.parquet"), None)
    assert not (root / "datasets/annotations").exists()


def test_a_number_that_is_none_is_not_within_bounds(root: Path) -> None:
    found = keys(root)
    pq.write_table(pa.table({"key": found, "x": [float("nan"), *[1.0] * 17]}), root / "t.parquet")
    by_table(root, Path("t.parquet"), None)
    run(root, filter={"x": (0.5, None)})
    assert {row.key: row.cause for row in read_clip_rejects(Paths(root).clip_rejects)} == {
        found[0]: "it has no x, which ingest.filter asks for"
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(list(range(18)), "'key' is of type int64, expected text"), ([None, *"b" * 17], "without a key")],
)
def test_keys_that_are_no_text_are_named(root: Path, wrong: list[Any], said: str) -> None:
    pq.write_table(pa.table({"key": wrong, "x": [1.0] * 18}), root / "t.parquet")
    with pytest.raises(ConfigurationError, match=said):
        by_table(root, Path("t.parquet"), None)


def test_a_function_does_not_write_over_a_table_that_something_else_made(root: Path) -> None:
    pq.write_table(pa.table({"key": keys(root), "x": [1.0] * 18}), root / "score.parquet")
    by_table(root, Path("score.parquet"), None)
    with pytest.raises(ConfigurationError, match=r"score\.parquet was not made by walt annotate .*--name"):
        by_function(root, step(root, "    return {'x': 2.0}\n"), None)
    assert {row["x"] for row in table(root).values()} == {1.0}
