"""Parquet tables that hold the files: every type of bytes and text is read, and only the row that is asked for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.sources import by_source, codes, list_source
from walt.core.errors import ConfigurationError
from walt.ingest.sources import parquet_cells
from walt.ingest.sources.locations import hash_location, local_copy, num_bytes

SOURCE: dict[str, Any] = {"kind": "parquet_bytes", "tables": ["*.parquet"], "column": "video"}
TERMS = pa.dictionary(pa.int32(), pa.string())
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, rows: int | None = None, /, **columns: Any) -> None:
    pq.write_table(pa.table(columns), path, row_group_size=rows)


def content(location: str, folder: Path) -> bytes:
    with local_copy(location, folder) as path:
        return path.read_bytes()


def test_rows_of_hugging_face_with_captions_labels_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    files = [{"bytes": f"video {n}".encode(), "path": f"clips/{n}.mp4"} for n in range(5)]
    files[3]["path"] = "still.png"
    write(
        tmp_path / "t.parquet", 2, video=pa.array(files, STRUCT), text=["a", "b", None, "d", "e"],
        more=[["x", "y"], [], None, ["z"], [None]], label=["cat", "dog", None, "cat", "cow"], score=[1, 2, None, 4, 5],
    )  # fmt: skip
    settings = {"caption_columns": ["text", "more"], "label_column": "label", "number_columns": ["score"]}
    found = list_source(tmp_path, SOURCE | settings, classes="classes.txt")
    assert {
        name: (item.kind, [tuple(caption) for caption in item.captions], item.label, dict(item.numbers or {}))
        for name, item in by_source(found).items()
    } == {
        "t.parquet::0/0.mp4": ("video", [("text", "a"), ("more", "x"), ("more", "y")], 0, {"score": 1.0}),
        "t.parquet::1/1.mp4": ("video", [("text", "b")], 1, {"score": 2.0}),
        "t.parquet::3/still.png": ("image", [("text", "d"), ("more", "z")], 0, {"score": 4.0}),
    }
    assert codes(found) == {"t.parquet::2/2.mp4": "no_caption", "t.parquet::4/4.mp4": "unknown_class"}
    assert [content(item.path, tmp_path / "work") for item in found.items] == [b"video 0", b"video 1", b"video 3"]
    item = found.items[2]
    assert (hash_location(item.path), num_bytes(item.path)) == (hashlib.sha256(b"video 3").hexdigest(), 7)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize(
    "text", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_type_of_bytes_and_text(tmp_path: Path, kind: pa.DataType, text: pa.DataType) -> None:
    blobs = [os.urandom(3000) for _ in range(7)]
    captions = pa.array([f"caption {n % 3}" for n in range(7)]).cast(text)
    write(tmp_path / "t.parquet", 3, video=pa.array(blobs, kind), caption=captions)
    found = list_source(tmp_path, SOURCE | {"caption_columns": ["caption"]})
    assert found.refusals == []
    assert [content(item.path, tmp_path / "work") for item in found.items] == blobs
    assert [item.caption for item in found.items] == [f"caption {n % 3}" for n in range(7)]
    assert {item.kind for item in found.items} == {"video"}


def test_a_row_without_bytes_is_missing_or_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "here.mp4").write_bytes(b"here")
    names = ["here.mp4", "gone.mp4", "../up.mp4", None, "inside.mp4"]
    files = [{"bytes": b"inside" if name == "inside.mp4" else None, "path": name} for name in names]
    write(tmp_path / "t.parquet", video=pa.array(files, STRUCT))
    found = list_source(tmp_path, SOURCE, caption_required=False)
    assert [content(item.path, tmp_path / "work") for item in found.items] == [b"here", b"inside"]
    assert codes(found) == {
        "t.parquet::1/gone.mp4": "missing", "t.parquet::2/up.mp4": "outside", "t.parquet::3": "missing",
    }  # fmt: skip


def test_bytes_of_a_caption_that_are_not_text_refuse_one_row(tmp_path: Path) -> None:
    texts = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\4\0\0\0\7\0\0\0"), pa.py_buffer(b"caf\xe9cat"))
    write(tmp_path / "t.parquet", video=pa.array([b"1", b"2"]), caption=texts)
    found = list_source(tmp_path, SOURCE | {"caption_columns": ["caption"]})
    assert codes(found) == {"t.parquet::0": "bad_caption"}
    assert [item.caption for item in found.items] == ["cat"]


def test_tables_are_split_by_name(tmp_path: Path) -> None:
    for name in ("train-0", "test-0"):
        write(tmp_path / f"{name}.parquet", video=pa.array([name.encode()]))
    split = {"train": ["train-*"], "held_out": ["test-*"]}
    found = list_source(tmp_path, SOURCE | {"split": split}, caption_required=False)
    assert [item.split for item in found.items] == ["held_out", "train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": "vidoe"}, r"t\.parquet: no column 'vidoe'; did you mean 'video'\?"),
        ({"column": "path"}, r"column 'path' is of type string, expected bytes, .*; a table of paths is of kind list"),
        ({"column": "score"}, r"column 'score' is of type double, expected bytes"),
        ({"caption_columns": ["txt"]}, r"no column 'txt'"),
        ({"number_columns": ["path"]}, r"column 'path' is of type string, expected a number"),
        ({"label_column": "path"}, r"needs the descriptor's key 'classes'"),
        ({"tables": ["data.lance"]}, r"data\.lance: is Lance, which is not read: export it to Parquet"),
        ({"tables": ["x*.parquet"]}, r"x\*\.parquet: no such file"),
        ({"tables": ["*.bin"]}, r"a\.bin: not valid Parquet"),
    ],
)
def test_a_wrong_column_or_table_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / "t.parquet", video=pa.array([b"1"]), path=["a"], score=[1.5])
    (tmp_path / "a.bin").write_bytes(b"PAR1 not a table PAR1")
    with pytest.raises(ConfigurationError, match=message) as caught:
        list_source(tmp_path, SOURCE | changes)
    assert "\n" not in str(caught.value)


def test_a_table_that_became_shorter_affects_its_rows_alone(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", video=pa.array([b"1", b"2"]))
    last = list_source(tmp_path, SOURCE, caption_required=False).items[1]
    write(tmp_path / "t.parquet", video=pa.array([b"1"]))
    with pytest.raises(OSError, match="become shorter"):
        content(last.path, tmp_path / "work")
    (tmp_path / "t.parquet").write_bytes(b"no table")
    with pytest.raises(OSError, match="not valid Parquet"):
        content(last.path, tmp_path / "work")


def test_a_page_that_does_not_fit_into_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.parquet", video=pa.array([b"1"]))
    (item,) = list_source(tmp_path, SOURCE, caption_required=False).items

    def fail(stream: Any) -> Any:
        raise pa.ArrowMemoryError("malloc of size 99 failed")

    monkeypatch.setattr(parquet_cells, "open_table", fail)
    with pytest.raises(OSError, match=r"larger than ingest\.memory_mb allows: write it with smaller row groups"):
        content(item.path, tmp_path / "work")
