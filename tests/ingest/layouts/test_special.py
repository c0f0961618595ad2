"""What a look at a folder gives: the section that reads it whole, and what was seen and is not used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.sources import list_source, touch
from tests.support.tars import write_tar
from walt.core.errors import ConfigurationError
from walt.ingest.describe_files import Given
from walt.ingest.layouts.found import Found, splits_by_name
from walt.ingest.layouts.special import lance_note, recognise_special
from walt.ingest.sources.folders import open_folder
from walt.ingest.sources.items import Item
from walt.project.point_at_dataset import own_dataset


def look(root: Path) -> Found:
    found = recognise_special(open_folder(root, "."))
    assert found is not None
    return found


def settings(found: Found) -> dict[str, Any]:
    """The settings that are not at their defaults."""
    return found.source.model_dump(exclude_defaults=True, mode="json")


def listed(root: Path, found: Found) -> list[Item]:
    """Every input, read by the section that was found; nothing is refused."""
    listing = list_source(root, found.source.model_dump(mode="json"), caption_required=False)
    assert listing.refusals == []
    return listing.items


def test_parquet_with_bytes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        columns = {"video": pa.array([{"bytes": name.encode(), "path": "a.mp4"}]), "text": ["a cat"], "score": [1.0]}
        pq.write_table(pa.table(columns), tmp_path / f"data/{name}.parquet")
    found = look(tmp_path)
    assert settings(found) == {
        "kind": "parquet_bytes", "tables": ["**/*.parquet"], "column": "video", "caption_columns": ["text"],
        "split": {"train": ["data/train-*.parquet"], "held_out": ["data/test-*.parquet"]},
    }  # fmt: skip
    assert [(item.caption, item.split) for item in listed(tmp_path, found)] == [
        ("a cat", "held_out"),
        ("a cat", "train"),
    ]
    assert "not used: the columns score" in found.notes


def test_a_parquet_of_paths_and_lance_are_no_files_in_tables(tmp_path: Path) -> None:
    pq.write_table(pa.table({"video": ["a.mp4"], "text": ["a cat"]}), tmp_path / "t.parquet")
    folder = open_folder(tmp_path, ".")
    assert recognise_special(folder) is None
    assert lance_note(folder) is None
    touch(tmp_path, "d/x.lance/data/0.lance")
    assert lance_note(folder) == "not read: d/x.lance is Lance; export it to Parquet"


def test_lerobot(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    features = {"top": {"dtype": "video"}, "far": {"dtype": "video", "info": {"video.is_depth_map": True}}}
    path = "v/{video_key}/{episode_index:03d}.mp4"
    (tmp_path / "meta/info.json").write_text(json.dumps({"features": features, "video_path": path}))
    (tmp_path / "meta/episodes.jsonl").write_text('{"episode_index": 7, "tasks": ["open"]}\n')
    touch(tmp_path, "v/top/007.mp4")
    found = look(tmp_path)
    assert settings(found) == {"kind": "lerobot"}
    assert [item.caption for item in listed(tmp_path, found)] == ["open"]
    assert any("not used: cameras of distances: far" in note for note in found.notes)


def write_frames(folder: Path, count: int = 8) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(folder / f"{number:04}.png")


def test_folders_of_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "a")
    write_frames(tmp_path / "b", 9)
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"caption of {name}")
    found = look(tmp_path)
    assert settings(found) == {"kind": "frames", "folders": ["**"], "fps": 24.0, "caption": "txt"}
    assert [item.caption for item in listed(tmp_path, found)] == ["caption of a", "caption of b"]
    assert found.notes[0] == "2 folders hold numbered pictures (8 to 9): each is taken as a video, not as stills"
    assert "source.fps" in found.notes[1]


@pytest.mark.parametrize("other", ["a/cover.png", "b/1.png", "film.mp4", "a/0009.png"])
def test_pictures_that_are_no_frames_stay_pictures(tmp_path: Path, other: str) -> None:
    write_frames(tmp_path / "a")
    touch(tmp_path, other)
    assert recognise_special(open_folder(tmp_path, ".")) is None


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train/0.x", "train/b/1.x", "test/0.x"], {"train": ("train/**/*.x",), "held_out": ("test/**/*.x",)}),
        (["d/Train_0.x", "d/validation-0.x"], {"train": ("d/Train_*.x",), "held_out": ("d/validation-*.x",)}),
        (["train-0.x", "train-1.x"], None),
        (["train-0.x", "val-0.x", "0.x"], None),
        (["trainer.x", "valley.x"], None),
    ],
)
def test_splits_are_found_in_names(names: list[str], splits: dict[str, tuple[str, ...]] | None) -> None:
    assert splits_by_name(names, ".x") == splits


# ------------------------------------------------------------------------------------- Parquet with bytes, energon


def table(path: Path, /, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


CELLS = [{"bytes": b"a video", "path": "a.mp4"}, {"bytes": b"a video", "path": "b.mp4"}]


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"caption": pa.array(["a cat", "a dog"]).dictionary_encode()}, "caption"),
        ({"captions": pa.array([["a cat"], ["a dog"]], pa.list_(pa.string(), 1))}, "captions"),
        ({"meta": [{"caption": "a cat", "fps": 24}, {"caption": "a dog", "fps": 24}]}, "meta.caption"),
        ({"json": ['{"text": "a cat"}', '{"text": "a dog"}']}, "json.text"),
        ({"caption": [{"short": "a cat", "page": 1}, {"short": "a dog", "page": 2}]}, "caption.short"),
    ],
)
def test_captions_beside_bytes(tmp_path: Path, columns: dict[str, Any], name: str) -> None:
    table(tmp_path / "d/t.parquet", video=CELLS, **columns)
    described = own_dataset(tmp_path, Given("d"))
    found = [[(caption.name, caption.text) for caption in item.captions] for item in described.listing.items]
    assert found == [[(name, "a cat")], [(name, "a dog")]]


def test_a_table_of_captions_beside_one_of_bytes_ends_init(tmp_path: Path) -> None:
    table(tmp_path / "d/a_captions.parquet", id=["a", "b"], caption=["a cat", "a dog"])
    table(tmp_path / "d/videos.parquet", id=["a", "b"], video=CELLS)
    with pytest.raises(ConfigurationError, match=r"captions may be lost: a_captions\.parquet not read"):
        own_dataset(tmp_path, Given("d"))
    described = own_dataset(tmp_path, Given("d", use_captions=False))
    assert len(described.listing.items) == 2


def test_bytes_beside_a_table_that_names_files_are_not_taken_for_files(tmp_path: Path) -> None:
    touch(tmp_path, "d/a.mp4", "d/b.mp4")
    table(tmp_path / "d/captions.parquet", path=["a.mp4", "b.mp4"], caption=["a cat", "a dog"])
    table(tmp_path / "d/features.parquet", path=["a.mp4", "b.mp4"], data=[b"1234", b"5678"])
    assert recognise_special(open_folder(tmp_path, "d")) is None


def test_folders_that_name_a_value_are_said(tmp_path: Path) -> None:
    table(tmp_path / "d/label=cat/0.parquet", video=CELLS, caption=["a cat", "one cat"])
    assert "  not used: the folders label=cat" in list(own_dataset(tmp_path, Given("d")).lines())


def energon(folder: Path, split: str, extension: str, content: str) -> None:
    (folder / ".nv-meta").mkdir(parents=True)
    (folder / ".nv-meta/split.yaml").write_text(split)
    for name in ("a.tar", "b.tar"):
        write_tar(folder / name, {"k1.mp4": b"a video", f"k1.{extension}": content.encode()})


@pytest.mark.parametrize("below", ["", "data/"])
def test_energons_description_of_a_folder_below_and_names_as_it_writes_them(tmp_path: Path, below: str) -> None:
    energon(tmp_path / "d" / below, "split_parts: {train: [./a.tar], val: []}\nexclude: []\n", "txt", "a cat")
    described = own_dataset(tmp_path, Given("d"))
    assert [(item.source, item.split) for item in described.listing.items] == [(f"{below}a.tar::k1.mp4", "train")]
    assert "  tars left out, since they are excluded or in no split: 1" in list(described.lines())


def test_energons_fields_of_a_sample_name_its_caption(tmp_path: Path) -> None:
    energon(tmp_path / "d", "split_parts: {train: [a.tar], val: [b.tar]}\n", "json", '{"about": {"words": "a cat"}}')
    (tmp_path / "d/.nv-meta/dataset.yaml").write_text("field_map: {image: mp4, caption: 'json[about][words]'}\n")
    described = own_dataset(tmp_path, Given("d"))
    assert [item.caption for item in described.listing.items] == ["a cat", "a cat"]


def test_a_split_of_energon_with_another_name_is_named(tmp_path: Path) -> None:
    energon(tmp_path / "d", "split_parts: {pretrain: [a.tar]}\n", "txt", "a cat")
    with pytest.raises(ConfigurationError, match="the split 'pretrain' is none of train, val, test"):
        own_dataset(tmp_path, Given("d"))
