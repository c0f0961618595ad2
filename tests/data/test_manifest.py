"""The tables of ingest: what is written is read back, with the same bytes every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.printable import printable
from walt.data.captions import Caption
from walt.data.clip_table import CLIPS_TABLE, ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.data.manifest import (
    ManifestRow,
    RejectRow,
    caption_names,
    count_manifest,
    has_manifest,
    iterate_columns,
    iterate_manifest,
    read_manifest,
    read_manifest_rows,
    read_rejects,
    read_sources,
    write_manifest,
    write_rejects,
)
from walt.data.partitions import write_parts

CAPTIONS = (Caption("short", "a cat"), Caption("dense", "a cat of grey fur, ünd mörë"))
ROW = ManifestRow(
    key="00ff", kind="video", split="train", source="a b\n'ü'.mp4", source_sha256="ab", start_seconds=2.125,
    end_seconds=4.25, num_frames=17, captions=CAPTIONS, caption_truncated=False, label=None, shard=3, sha256="cd",
)  # fmt: skip
REJECTS = [RejectRow("b.mp4", None, "ingest", "missing", "no such file"), RejectRow("a.mp4", "ab", "ingest", "x", "y")]


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, key="01", captions=(), label=7, caption_truncated=True)]
    assert not has_manifest(tmp_path / "m")
    write_manifest(tmp_path / "m", [(0, rows)])
    assert has_manifest(tmp_path / "m")
    assert read_manifest(tmp_path / "m") == rows
    write_rejects(tmp_path / "r.parquet", REJECTS)
    assert read_rejects(tmp_path / "r.parquet") == sorted(REJECTS, key=lambda row: row.source)


@pytest.mark.slow
def test_readers_of_parts_equal_the_reader_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.data.manifest._ROWS_AT_A_TIME", 3)
    monkeypatch.setattr("walt.data.partitions._ROWS_PER_GROUP", 5)
    rows = [replace(ROW, key=f"{n:02x}", source=f"{n // 3}.mp4", label=n % 2 or None) for n in range(17)]
    write_manifest(tmp_path, [(3, rows[:7]), (4, rows[7:8]), (9, rows[8:])])
    assert read_manifest(tmp_path) == list(iterate_manifest(tmp_path)) == rows
    assert count_manifest(tmp_path) == 17
    assert list(iterate_columns(tmp_path, "label", "key")) == [(row.label, row.key) for row in rows]
    assert read_sources(tmp_path) == {row.source for row in rows}
    for places in ([], [0], [16, 7, 6], [8, 8], list(range(17))):
        assert read_manifest_rows(tmp_path, places) == [rows[place] for place in places]
    with pytest.raises(KeyError):
        read_manifest_rows(tmp_path, [17])
    (tmp_path / "part-000004.parquet").unlink()
    assert read_manifest_rows(tmp_path, [0, 8]) == [rows[0], rows[8]], "only the parts that hold a row are read"


def test_empty_tables_keep_their_columns(tmp_path: Path) -> None:
    write_rejects(tmp_path / "r.parquet", [])
    assert read_rejects(tmp_path / "r.parquet") == []


def test_the_same_rows_give_the_same_bytes_and_leave_the_file_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rejects(tmp_path / name, REJECTS if name == "a" else REJECTS[::-1])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    before = (tmp_path / "a").stat()
    write_rejects(tmp_path / "a", REJECTS)
    assert (tmp_path / "a").stat() == before


def test_the_table_of_clips_has_no_captions(tmp_path: Path) -> None:
    write_clip_rows(tmp_path / "a", [ClipRow.of(ROW)])
    write_clip_rows(
        tmp_path / "b", [ClipRow.of(replace(ROW, captions=(Caption("", "a dog"),), label=1, source="other"))]
    )
    a, b = (tmp_path / name / CLIPS_TABLE for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    assert pq.read_table(a).to_pylist() == [
        {
            "key": "00ff",
            "kind": "video",
            "split": "train",
            "shard": 3,
            "source_sha256": "ab",
            "start_seconds": 2.125,
            "num_frames": 17,
            "sizes": None,
        }
    ]


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.parquet"):
        read_rejects(tmp_path / "gone.parquet")
    write_rejects(tmp_path / "r.parquet", REJECTS)
    data = (tmp_path / "r.parquet").read_bytes()
    (tmp_path / "r.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptArtifactError, match=r"r\.parquet"):
        read_rejects(tmp_path / "r.parquet")
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(CorruptArtifactError, match="columns"):
        read_rejects(tmp_path / "other.parquet")


def test_names_that_are_not_utf8_become_printable() -> None:
    assert printable("caf\udce9.mp4") == "caf\\xe9.mp4"
    assert printable("new\nline ü.mp4") == "new\nline ü.mp4"


def test_captions_come_back_by_every_reader_with_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.data.manifest._ROWS_AT_A_TIME", 2)
    given = [ROW.captions, (), (Caption("", "a"),), (), ROW.captions[::-1]]
    rows = [replace(ROW, captions=captions) for captions in given]
    write_manifest(tmp_path, [(0, rows[:3]), (1, rows[3:])])
    found = [row.captions for row in read_manifest(tmp_path)]
    assert found == given
    assert [captions for (captions,) in iterate_columns(tmp_path, "captions")] == found
    assert caption_names(tmp_path) == {"short", "dense", ""}
    assert (ROW.caption, replace(ROW, captions=()).caption) == ("a cat", None)


def test_captions_are_lists_of_structs_for_other_readers(tmp_path: Path) -> None:
    write_manifest(tmp_path, [(0, [ROW, replace(ROW, captions=())])])
    table = pq.read_table(tmp_path / "part-000000.parquet")
    assert table.schema.field("captions").type.value_type.names == ["name", "text"]
    assert table["captions"].to_pylist() == [
        [{"name": "short", "text": "a cat"}, {"name": "dense", "text": "a cat of grey fur, ünd mörë"}],
        [],
    ]


def test_a_manifest_from_when_clips_had_one_caption_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, [(0, [ROW])])
    table = pq.read_table(tmp_path / "part-000000.parquet")
    place = table.schema.get_field_index("captions")
    older = table.set_column(place, pa.field("caption", pa.string()), pa.array(["a cat"]))
    write_parts(tmp_path, [(0, older.to_pylist())], older.schema)
    with pytest.raises(CorruptArtifactError, match=r"columns .*'caption'.*, expected .*'captions'"):
        read_manifest(tmp_path)
