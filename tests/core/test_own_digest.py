"""Files that hold the SHA-256 of their own content."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walt.core.errors import CorruptArtifactError
from walt.core.own_digest import check_parquet, parquet_writer, read_json_with_digest, write_json_with_digest

TABLE = pa.table({"key": ["a", "b"] * 40, "count": range(80)}).replace_schema_metadata({"form": "1"})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    with parquet_writer(path, TABLE.schema, compression="zstd") as writer:
        writer.write_table(TABLE)
    return path


def test_other_readers_find_the_table_as_it_was_written(table: Path) -> None:
    check_parquet(table)
    found = pq.read_table(table)
    assert found.equals(TABLE)
    assert found.schema.metadata == TABLE.schema.metadata


def test_the_same_table_gives_the_same_bytes_and_stays_untouched(table: Path) -> None:
    before = table.stat()
    with parquet_writer(table, TABLE.schema, keep_equal=True, compression="zstd") as writer:
        writer.write_table(TABLE)
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_no_bit_of_a_table_can_be_flipped(table: Path) -> None:
    data = table.read_bytes()
    for place in (*range(0, 400, 7), *range(400, len(data), 3)):
        table.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(CorruptArtifactError, match="differs from its own digest"):
            check_parquet(table)


def test_a_table_of_an_earlier_version_has_no_digest(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "table.parquet")
    check_parquet(tmp_path / "table.parquet")


def test_a_row_group_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schema"), parquet_writer(tmp_path / "x.parquet", TABLE.schema) as writer:
        writer.write_table(pa.table({"key": pa.array([1])}, schema=pa.schema([("key", pa.int64())])))
    assert not list(tmp_path.iterdir())


def test_json_is_read_back_without_its_digest(tmp_path: Path) -> None:
    value = {"a": [0.1, None, "ü"], "b": {"c": True}}
    write_json_with_digest(tmp_path / "a.json", value)
    assert read_json_with_digest(tmp_path / "a.json") == (value, True)
    (tmp_path / "b.json").write_text(json.dumps(value))
    assert read_json_with_digest(tmp_path / "b.json") == (value, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "sha256": "0"}', "differs from its own digest"),
        ('{"a": 1', "not JSON"),
        ("[1]", "expected a mapping, found list"),
        ("\udcff", "not JSON"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CorruptArtifactError, match=rf"a\.json: {message}"):
        read_json_with_digest(tmp_path / "a.json")
