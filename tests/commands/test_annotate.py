"""Columns of the user's own: made clip by clip, resumed where a run was killed, and bounded by a filter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.ingest_project import make_project, run
from walt.commands.annotate.annotate import by_function, by_table
from walt.core.errors import ConfigurationError, RejectLimitError
from walt.core.paths import Paths
from walt.data.manifest import read_clip_rejects, read_manifest, read_rejects
from walt.ingest import clip_cache

STEP = """
from pathlib import Path

def red(frames, row):
    with open(Path(__file__).with_name("calls.txt"), "a") as calls:
        calls.write(row.key + "\\n")
    if row.kind == "image":
        raise ValueError("no stills, please")
    return {"red": float(frames[..., 0].mean()), "name": row.source}
"""


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
    module = f"step_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(STEP)
    return tmp_path


def what(root: Path) -> str:
    return f"step_{root.name}:red"


def calls(root: Path) -> list[str]:
    return (root / "calls.txt").read_text().split()


def motions_of(root: Path) -> list[Any]:
    rows = read_manifest(Paths(root).manifest)
    return sorted(row.measures["motion"] or 0.0 for row in rows if row.kind == "video")


def test_a_function_makes_columns_that_the_next_ingest_keeps(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {row.key: row for row in read_manifest(Paths(root).manifest)}
    assert by_function(root, what(root), None) == "datasets/annotations/red.parquet"
    videos = {key for key, row in before.items() if row.kind == "video"}
    assert "1 of 18 clips have no values" in " ".join(capsys.readouterr().out.split())
    assert run(root)["decoded_now"] == 0
    after = {row.key: row for row in read_manifest(Paths(root).manifest)}
    assert after.keys() == before.keys()
    assert {key for key, row in after.items() if row.measures["red"] is not None} == videos
    assert all(row.measures["name"] == row.source for row in after.values() if row.kind == "video")


def test_a_killed_run_goes_on_and_makes_the_same_table(root: Path) -> None:
    by_function(root, what(root), None)
    table = root / "datasets/annotations/red.parquet"
    whole, order = table.read_bytes(), calls(root)
    table.unlink()
    (root / "calls.txt").unlink()
    journal = root / "work/annotate/red.jsonl"
    found = {row["key"]: row for row in pq.read_table(pa.BufferReader(whole)).to_pylist()}
    code = pq.read_schema(pa.BufferReader(whole)).metadata[b"walt_code"].decode()
    done = [key for key in order if key in found][:5]
    values = [json.dumps([key, code, {"red": found[key]["red"], "name": found[key]["name"]}]) for key in done]
    journal.write_text("\n".join(values) + '\n["half a li')
    by_function(root, what(root), None)
    assert table.read_bytes() == whole
    assert set(calls(root)) == set(order) - set(done)
    assert not journal.exists()


@pytest.mark.slow
def test_a_filter_refuses_decodes_nothing_and_lets_in_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_function(root, what(root), None)
    run(root)
    clips = {row.key: row.measures["red"] for row in read_manifest(Paths(root).manifest)}
    reds = sorted(value for value in clips.values() if isinstance(value, float))
    middle = reds[len(reds) // 2]

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a source is decoded")

    monkeypatch.setattr(clip_cache, "cut", refuse)
    figures = run(root, filter={"red": (middle, None)})
    kept = {row.key for row in read_manifest(Paths(root).manifest)}
    assert kept == {key for key, red in clips.items() if isinstance(red, float) and red >= middle}
    refused = read_clip_rejects(Paths(root).clip_rejects)
    assert {row.code for row in refused} == {"below_threshold"}
    assert {row.cause for row in refused if row.source == "still.png"} == {
        "it has no red, which ingest.filter asks for"
    }
    assert figures["decoded_now"] == 0
    run(root)
    assert {row.key for row in read_manifest(Paths(root).manifest)} == clips.keys(), "a filter is not a deletion"


def test_measures_can_be_bounded_as_well(root: Path) -> None:
    motions = sorted(
        row.measures["motion"] or 0.0 for row in read_manifest(Paths(root).manifest) if row.kind == "video"
    )
    run(root, filter={"motion": (None, motions[3])})
    assert all(row.measures["motion"] <= motions[3] for row in read_manifest(Paths(root).manifest))


def test_a_filter_is_not_held_against_the_dataset_unless_nothing_is_left(root: Path) -> None:
    """``reject_limit`` is 0.5 there; a filter that keeps one source of nine is the user's decision."""
    motions = sorted(
        (row.measures["motion"] or 0.0) for row in read_manifest(Paths(root).manifest) if row.kind == "video"
    )
    run(root, filter={"motion": (motions[-1], None)})
    assert {row.code for row in read_rejects(Paths(root).rejects)} == {"below_threshold"}
    with pytest.raises(RejectLimitError, match=r"none of 9 inputs was accepted"):
        run(root, filter={"motion": (1e9, None)})


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"moton": (1.0, None)}, r"ingest\.filter: no column 'moton'; did you mean 'motion'\?"),
        ({"phash": (1.0, None)}, r"ingest\.filter: the column 'phash' holds text, not numbers"),
    ],
)
def test_a_filter_that_cannot_work_is_named(root: Path, bounds: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run(root, filter=bounds)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"key": ["a", "a"], "x": [1.0, 2.0]}, r"the key 'a' is there twice"),
        ({"clip": ["a"], "x": [1.0]}, r"a column 'key' of clips and at least one more are needed \(columns: clip, x\)"),
        ({"key": ["a"], "x": [[1.0]]}, r"column 'x' is of type list<.*>, expected numbers or text"),
        (  # pyarrow cannot read this column again, which is not the cause
            {"key": ["a", "b"], "x": pa.array([[1.0] * 4, None], pa.list_(pa.float32(), 4))},
            r"column 'x' is of type fixed_size_list<.*>\[4\], expected numbers or text",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_and_not_taken_over(root: Path, columns: Any, said: str) -> None:
    pq.write_table(pa.table(columns), root / "t.parquet")
    with pytest.raises(ConfigurationError, match=said):
        by_table(root, Path("t.parquet"), None)
    assert not (root / "datasets/annotations").exists()


def test_a_table_is_taken_over_and_a_name_that_is_taken_is_named(root: Path) -> None:
    keys = [row.key for row in read_manifest(Paths(root).manifest)]
    pq.write_table(pa.table({"key": keys, "score": list(range(len(keys)))}), root / "t.parquet")
    assert by_table(root, Path("t.parquet"), "scores") == "datasets/annotations/scores.parquet"
    run(root)
    assert sorted(row.measures["score"] for row in read_manifest(Paths(root).manifest)) == list(map(float, range(18)))
    pq.write_table(pa.table({"key": keys, "motion": [0.0] * len(keys)}), root / "t.parquet")
    with pytest.raises(ConfigurationError, match=r"'motion' of your data has the name of a column of a measure"):
        by_table(root, Path("t.parquet"), "others")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("gone_module:f", "No module named 'gone_module'"),
        ("json:gone", "no such function"),
        ("json", "neither MODULE:FUNCTION"),
    ],
)
def test_a_step_that_is_not_there_is_named(root: Path, step: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        by_function(root, step, "x")


@pytest.mark.slow
def test_numbers_of_a_list_come_into_the_manifest_and_bound_inputs_before_they_are_read(tmp_path: Path) -> None:
    make_project(tmp_path)
    table = tmp_path / "videos/captions.csv"
    rows = "".join(f"{name}.mp4,video {name},{number}\n" for number, name in enumerate("abcdefg"))
    table.write_text(f"path,caption,score\n{rows}")
    descriptor = tmp_path / "datasets/test.yaml"
    old = "{kind: captioned_folder, captions: captions.csv, path_column: path, caption_column: caption}"
    new = (
        "{kind: list, tables: [captions.csv], path_column: path, caption_columns: [caption], "
        "number_columns: [score], absent: refuse}"
    )
    descriptor.write_text(descriptor.read_text().replace(old, new))
    figures = run(tmp_path, filter={"score": (4.0, None)})
    rows_left = read_manifest(Paths(tmp_path).manifest)
    assert {(row.source, row.measures["score"]) for row in rows_left} == {
        ("e.mp4", 4.0),
        ("f.mp4", 5.0),
        ("g.mp4", 6.0),
    }
    assert figures["rejects"] == {"below_threshold": 4}
    assert figures["decoded_now"] == 3
    causes = {row.source: row.cause for row in read_rejects(Paths(tmp_path).rejects)}
    assert causes["a.mp4"] == "score 0 is less than 4"
    assert run(tmp_path, filter={"score": (6.0, None)})["decoded_now"] == 0
    assert run(tmp_path)["decoded_now"] == 4, "those that were never read"


def test_an_annotation_of_32_bits_is_within_a_bound_of_the_same_decimal(root: Path) -> None:
    keys = [row.key for row in read_manifest(Paths(root).manifest)]
    scores = pa.array([0.9] + [0.5] * (len(keys) - 1), pa.float32())
    (root / "datasets/annotations").mkdir(exist_ok=True)
    pq.write_table(pa.table({"key": keys, "score": scores}), root / "datasets/annotations/scores.parquet")
    run(root, filter={"score": (0.9, None)})
    assert [(row.key, row.measures["score"]) for row in read_manifest(Paths(root).manifest)] == [(keys[0], 0.9)]
