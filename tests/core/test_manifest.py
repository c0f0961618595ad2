"""The tables of ingest: what is written is read back, with the same bytes every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.manifest import (
    ManifestRow,
    RejectRow,
    printable,
    read_manifest,
    read_rejects,
    write_clips,
    write_manifest,
    write_rejects,
)

ROW = ManifestRow(
    key="00ff", kind="video", split="train", source="a b\n'ü'.mp4", source_sha256="ab", start_seconds=2.125,
    end_seconds=4.25, num_frames=17, caption="a cat", caption_truncated=False, label=None, shard=3, sha256="cd",
)  # fmt: skip
REJECTS = [RejectRow("b.mp4", None, "ingest", "missing", "no such file"), RejectRow("a.mp4", "ab", "ingest", "x", "y")]


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, key="01", caption=None, label=7, caption_truncated=True)]
    write_manifest(tmp_path / "m.parquet", rows)
    assert read_manifest(tmp_path / "m.parquet") == rows
    write_rejects(tmp_path / "r.parquet", REJECTS)
    assert read_rejects(tmp_path / "r.parquet") == sorted(REJECTS, key=lambda row: row.source)


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
    write_clips(tmp_path / "a", [ROW])
    write_clips(tmp_path / "b", [replace(ROW, caption="a dog", label=1, source="other")])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.read_table(tmp_path / "a").to_pylist() == [
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
        read_manifest(tmp_path / "gone.parquet")
    write_manifest(tmp_path / "m.parquet", [ROW])
    data = (tmp_path / "m.parquet").read_bytes()
    (tmp_path / "m.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptArtifactError, match=r"m\.parquet"):
        read_manifest(tmp_path / "m.parquet")
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(CorruptArtifactError, match="columns"):
        read_manifest(tmp_path / "other.parquet")


def test_names_that_are_no_text_become_printable() -> None:
    assert printable("caf\udce9.mp4") == "caf\\xe9.mp4"
    assert printable("new\nline ü.mp4") == "new\nline ü.mp4"
