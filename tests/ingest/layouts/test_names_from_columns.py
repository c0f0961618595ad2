"""File names that are put together from several columns: each caption is of the file that all of them name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import Files, V
from tests.support.miniatures import describe, lines
from walt.ingest.layouts.tables import TableColumns

KINETICS = "youtube_id,time_start,time_end,caption\nabc,84,94,a cat\nabc,120,130,a dog\nxyz,84,94,a cow\n"
CUT = ["clips/abc_000084_000094.mp4", "clips/abc_000120_000130.mp4", "clips/xyz_000084_000094.mp4"]
ROWS = [
    {"youtube_id": "abc", "time_start": 84, "time_end": 94, "caption": "a cat"},
    {"youtube_id": "abc", "time_start": 120, "time_end": 130, "caption": "a dog"},
    {"youtube_id": "xyz", "time_start": 84, "time_end": 94, "caption": "a cow"},
]  # fmt: skip
DATABASE = {
    "abc": {"subset": "training", "recipe_type": "113", "annotations": [{"segment": [0, 2], "sentence": "a cat"}]},
    "xyz": {"subset": "validation", "recipe_type": "114", "annotations": [{"segment": [1, 3], "sentence": "a cow"}]},
}


def captions(tmp_path: Path, files: Files, **given: Any) -> dict[str, tuple[str | None, str | None]]:
    """File -> its caption and group."""
    described = describe(tmp_path, files, **given)
    assert not described.listing.refusals
    assert not described.choice.may_lose_captions
    here = tmp_path / "d"
    return {
        Path(item.path).relative_to(here).as_posix(): (item.caption, item.group) for item in described.listing.items
    }


@pytest.mark.parametrize(
    "table",
    [
        {"t.csv": KINETICS}, {"t.jsonl": lines(*ROWS)}, {"t.json": ROWS}, {"t.parquet": pa.Table.from_pylist(ROWS)},
        {"annotations/t.csv": KINETICS},
    ],
    ids=["CSV", "JSON lines", "JSON", "Parquet", "CSV in a folder"],
)  # fmt: skip
def test_moments_with_zeros_as_kinetics_has_them(tmp_path: Path, table: Files) -> None:
    """The files are the parts already, and those of one recording are a group."""
    found = captions(tmp_path, dict.fromkeys(CUT, V) | table)
    assert found == dict(zip(CUT, [("a cat", "abc"), ("a dog", "abc"), ("a cow", "xyz")], strict=True))
    described = describe(tmp_path, {})
    assert not any(item.span for item in described.listing.items)
    assert any("the files are parts of youtube_id already" in line for line in described.lines())


def test_a_moment_alone_as_audiocaps_has_it(tmp_path: Path) -> None:
    table = "youtube_id,start_time,caption\nabc,30,a cat\nxyz,5,a cow\n"
    found = captions(tmp_path, {"abc_30.mp4": V, "xyz_5.mp4": V, "t.csv": table})
    assert found == {"abc_30.mp4": ("a cat", "abc"), "xyz_5.mp4": ("a cow", "xyz")}


def test_parts_of_one_recording_are_no_group_since_nothing_could_be_held_out(tmp_path: Path) -> None:
    table = "video_id,start,end,caption\nx,0,2,a cat\nx,2,4,a dog\n"
    found = captions(tmp_path, {"x_0_2.mp4": V, "x_2_4.mp4": V, "t.csv": table})
    assert found == {"x_0_2.mp4": ("a cat", None), "x_2_4.mp4": ("a dog", None)}


@pytest.mark.parametrize("name", ["id", "file_name"])
def test_names_that_are_there_once_for_each_split(tmp_path: Path, name: str) -> None:
    suffix = ".mp4" if name == "file_name" else ""
    table = f"split,{name},caption\ntrain,a{suffix},a cat\ntest,a{suffix},a dog\ntrain,b{suffix},a cow\n"
    videos = {"data/train/a.mp4": V, "data/test/a.mp4": V, "data/train/b.mp4": V}
    found = captions(tmp_path, {**videos, "t.csv": table})
    assert {path: caption for path, (caption, _) in found.items()} == {
        "data/train/a.mp4": "a cat", "data/test/a.mp4": "a dog", "data/train/b.mp4": "a cow",
    }  # fmt: skip


def test_folders_of_columns_as_youcook2_has_them(tmp_path: Path) -> None:
    videos = {"raw/training/113/abc.mp4": V, "raw/validation/114/xyz.mkv": V}
    found = captions(tmp_path, {**videos, "t.json": {"database": DATABASE}})
    assert found == {"raw/training/113/abc.mp4": ("a cat", None), "raw/validation/114/xyz.mkv": ("a cow", None)}


def test_a_folder_that_is_a_column_is_taken_as_that_although_the_first_rows_are_all_in_it(tmp_path: Path) -> None:
    rows = "".join(f"P01,v{number},clip {number}\n" for number in range(70)) + "P02,w,the last\n"
    videos = {f"P01/videos/v{number}.mp4": V for number in range(70)} | {"P02/videos/w.mp4": V}
    found = captions(tmp_path, {**videos, "t.csv": f"participant,video_id,caption\n{rows}"})
    assert found["P02/videos/w.mp4"] == ("the last", None)
    assert len(found) == 71


def test_labels_of_files_in_the_folders_of_their_classes(tmp_path: Path) -> None:
    table = "label,youtube_id,time_start,time_end\neating,abc,84,94\njumping high,xyz,1,11\n"
    videos = {"train/eating/abc_000084_000094.mp4": V, "train/jumping high/xyz_000001_000011.mp4": V}
    files = {**videos, "t.csv": table}
    described = describe(tmp_path, files)
    assert any(
        "t.csv: no column of captions; --label-column label reads its labels" in line for line in described.lines()
    )
    described = describe(tmp_path, {}, columns=TableColumns(label="label"))
    assert {Path(item.path).name: item.label for item in described.listing.items} == {
        "abc_000084_000094.mp4": 0, "xyz_000001_000011.mp4": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "files",
    [
        {"abc_000084_000094.mp4": V, "abc_000120_000131.mp4": V, "xyz_1_2.mp4": V, "t.csv": KINETICS},
        {"abc_84_94.mp4": V, "abc_85_95.mp4": V, "xyz_3_4.mp4": V, "t.json": json.dumps(ROWS)},
    ],
)
def test_names_that_only_begin_as_the_rows_are_not_guessed(tmp_path: Path, files: Files) -> None:
    described = describe(tmp_path, files)
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)


def test_a_template_that_the_user_writes_may_have_zeros(tmp_path: Path) -> None:
    columns = TableColumns(path="clips/{youtube_id}_{time_start:06}_{time_end:06}.mp4", captions=("caption",))
    found = captions(tmp_path, {**dict.fromkeys(CUT, V), "t.csv": KINETICS}, columns=columns)
    assert [found[path][0] for path in CUT] == ["a cat", "a dog", "a cow"]
