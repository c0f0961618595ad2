"""Files that other columns of a table name are no inputs without captions, and a line says which they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import Files, V
from tests.support.miniatures import IN_VIDEOS, describe, lines, refusals

FURTHER = ["control/a.mp4", "control/b.mp4", "masks/a.png", "masks/b.png"]
ROWS: list[dict[str, Any]] = [
    {"video": f"videos/{name}.mp4", "prompt": text, "control": f"control/{name}.mp4", "mask": f"masks/{name}.png"}
    for name, text in (("a", "a cat"), ("b", "a dog"))
]  # fmt: skip
ELSEWHERE = [{**row, "control": f"/data/there/{row['control']}", "mask": f"./{row['mask']}"} for row in ROWS]
IN_LISTS = [{"video": row["video"], "prompt": row["prompt"], "control": [row["control"], row["mask"]]} for row in ROWS]


def csv(rows: list[dict[str, Any]]) -> str:
    return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"t.csv": csv(ROWS)}, "control (2), mask (2)"), ({"t.jsonl": lines(*ROWS)}, "control (2), mask (2)"),
        ({"t.json": ELSEWHERE}, "control (2), mask (2)"), ({"t.jsonl": lines(*IN_LISTS)}, "control (4)"),
        ({"t.parquet": pa.Table.from_pylist(IN_LISTS)}, "control (4)"),
    ],
    ids=["CSV", "JSON lines", "of another machine", "lists", "lists in Parquet"],
)  # fmt: skip
def test_controls_and_masks_are_no_inputs(tmp_path: Path, table: Files, said: str) -> None:
    described = describe(tmp_path, {**IN_VIDEOS, **dict.fromkeys(FURTHER, V), **table})
    assert {item.source: item.caption for item in described.listing.items} == {
        "videos/a.mp4": "a cat", "videos/b.mp4": "a dog",
    }  # fmt: skip
    assert not refusals(described)
    assert any(f"files that other columns name are not inputs: {said}" in line for line in described.lines())


def test_a_row_without_a_caption_changes_nothing(tmp_path: Path) -> None:
    rows = [*ROWS[:1], {**ROWS[1], "prompt": ""}]
    described = describe(tmp_path, {**IN_VIDEOS, **dict.fromkeys(FURTHER, V), "t.csv": csv(rows)})
    assert refusals(described) == {"videos/b.mp4": "no_caption"}


@pytest.mark.parametrize("further", ["videos/c.mp4", "masks/c.png", "elsewhere/a.mp4"])
def test_a_file_that_no_column_names_is_still_refused_by_name(tmp_path: Path, further: str) -> None:
    described = describe(tmp_path, {**IN_VIDEOS, **dict.fromkeys([*FURTHER, further], V), "t.csv": csv(ROWS)})
    assert refusals(described)[further] == "no_caption"


def embedded(size: int) -> pa.Table:
    """Captions beside embeddings, of which one is missing, as pyarrow writes them and cannot read them again."""
    embeddings = pa.array([[0.5] * size, None], pa.list_(pa.float32(), size))
    return pa.Table.from_pylist([{key: row[key] for key in ("video", "prompt")} for row in ROWS]).append_column(
        "embedding", embeddings
    )


def test_captions_beside_embeddings_of_which_one_is_missing_are_read(tmp_path: Path) -> None:
    described = describe(tmp_path, {**IN_VIDEOS, "t.parquet": embedded(4)})
    assert {item.caption for item in described.listing.items} == {"a cat", "a dog"}
    assert not refusals(described)


def test_a_column_that_may_be_a_span_and_cannot_be_read_is_said_with_what_to_do(tmp_path: Path) -> None:
    described = describe(tmp_path, {**IN_VIDEOS, "t.parquet": embedded(2)})
    [said] = [line for line in described.lines() if "t.parquet" in line]
    assert "t.parquet: pyarrow reads no column of fixed-size lists in which one is empty" in said
    assert "store_schema=False" in said
