"""A table in parts: what changes is written, what does not is not touched, and nothing half-made is believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from walt.core.errors import CorruptArtifactError, StorageError
from walt.data.partitions import PARTS_INDEX, read_part, read_parts, write_parts

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("number", pa.int64())])
Content = dict[int, list[int]]
"""Numbers of the rows by part."""


def write(folder: Path, content: Content) -> None:
    write_parts(folder, ((part, (row(n) for n in numbers)) for part, numbers in content.items()), SCHEMA)


def row(number: int) -> dict[str, Any]:
    return {"key": f"{number:08x}", "number": number or None}


def tables(folder: Path, schema: pa.Schema = SCHEMA, columns: list[str] | None = None) -> list[pa.Table]:
    return [table for part in read_parts(folder) for table in read_part(folder, part, schema, columns)]


def read(folder: Path) -> list[dict[str, Any]]:
    return [found for table in tables(folder) for found in table.to_pylist()]


def expected(content: Content) -> list[dict[str, Any]]:
    return [row(number) for numbers in content.values() for number in numbers]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


BEFORE: Content = {0: [3, 0, 2], 11: [5], 12: list(range(100)), 1234567: [7, 7]}
AFTER: Content = {5: [8], 11: [5], 12: list(range(99)), 1234567: [7, 7]}
"""One is new, one changed, one gone, two are as they were."""


def test_rows_come_back_in_the_order_of_the_parts(tmp_path: Path) -> None:
    write(tmp_path, BEFORE)
    assert read(tmp_path) == expected(BEFORE)
    assert [(part.part, part.rows) for part in read_parts(tmp_path)] == [
        ("part-000000.parquet", 3), ("part-000011.parquet", 1), ("part-000012.parquet", 100),
        ("part-1234567.parquet", 2),
    ]  # fmt: skip
    assert tables(tmp_path, columns=["number"])[0].to_pydict() == {"number": [3, None, 2]}


@pytest.mark.parametrize("content", [{}, {0: []}])
def test_a_table_without_rows(tmp_path: Path, content: Content) -> None:
    write(tmp_path, content)
    assert len(read_parts(tmp_path)) == len(content)
    assert read(tmp_path) == []


def test_others_read_the_folder_as_one_table(tmp_path: Path) -> None:
    write(tmp_path / "data", BEFORE)
    table = pq.read_table(tmp_path / "data")
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == expected(BEFORE)
    assert ds.dataset(tmp_path / "data").count_rows() == 106
    assert pytest.importorskip("pandas").read_parquet(tmp_path / "data").shape == (106, 2)


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    write(tmp_path, BEFORE)
    first, bytes_of_first = stamps(tmp_path), files(tmp_path)
    write(tmp_path, BEFORE)
    assert stamps(tmp_path) == first, "nothing at all"
    write(tmp_path, AFTER)
    second = stamps(tmp_path)
    same = {name for name in second if second[name] == first.get(name)}
    assert same == {"part-000011.parquet", "part-1234567.parquet"}
    assert second.keys() - same == {"part-000005.parquet", "part-000012.parquet", PARTS_INDEX}
    assert read(tmp_path) == expected(AFTER)
    write(tmp_path, BEFORE)
    assert files(tmp_path) == bytes_of_first, "history leaves no trace"


def test_a_file_that_the_index_does_not_name_is_not_read_and_is_removed_by_the_next_write(tmp_path: Path) -> None:
    write(tmp_path, BEFORE)
    before = files(tmp_path)
    (tmp_path / "part-000001.parquet").write_bytes((tmp_path / "part-000000.parquet").read_bytes())
    (tmp_path / "part-000000.parquet.7.tmp").write_bytes(b"of a killed run")
    (tmp_path / "folder").mkdir()
    assert read(tmp_path) == expected(BEFORE)
    index = stamps(tmp_path)[PARTS_INDEX]
    write(tmp_path, BEFORE)
    assert files(tmp_path) == before
    assert stamps(tmp_path)[PARTS_INDEX] == index


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["part-000000.parquet", "part-1234567.parquet", PARTS_INDEX])
def test_damage_anywhere_is_found_and_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, BEFORE)
    whole = (tmp_path / name).read_bytes()
    for place in range(0, len(whole), 7):
        for damaged in (whole[:place], flip(whole, place)):
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(CorruptArtifactError, match=name):
                read(tmp_path)
    (tmp_path / name).write_bytes(whole[:-1])
    with pytest.raises(CorruptArtifactError, match=name):
        read(tmp_path)
    write(tmp_path, BEFORE)
    assert (tmp_path / name).read_bytes() == whole, "and made again"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=rf"{PARTS_INDEX}: no such file"):
        read(tmp_path)
    write(tmp_path, BEFORE)
    (tmp_path / "part-000012.parquet").unlink()
    with pytest.raises(CorruptArtifactError, match=r"part-000012.*missing"):
        read(tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"parts": [{"part": "a"}]}', '{"parts": 3}', '{"parts": [], "x": 1}', "\xff"]
)
def test_a_file_that_is_not_an_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / PARTS_INDEX).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptArtifactError, match=PARTS_INDEX):
        read(tmp_path)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path, BEFORE)
    with pytest.raises(
        CorruptArtifactError, match=r"part-000000\.parquet: columns \['key', 'number'\], expected \['x'\]"
    ):
        tables(tmp_path, pa.schema([("x", pa.int64())]))


class Killed(BaseException):
    """Nothing handles it."""


def interrupted(folder: Path, content: Content, moment: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Write, and stop before the ``moment``-th flush, rename or removal of a file; whether it came so far."""
    count = 0

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= moment:
                raise Killed
            return call(*arguments, **options)

        return watching

    with monkeypatch.context() as patch:
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
            patch.setattr(owner, name, watched(getattr(owner, name)))
        try:
            write(folder, content)
        except Killed:
            return True
    return False


def what_is_read(folder: Path, after: Content) -> str:
    try:
        rows = read(folder)
    except StorageError:
        return "none"
    return "old" if rows == expected(BEFORE) else "new" if rows == expected(after) else "mixed"


@pytest.mark.parametrize("after", [AFTER, {11: [5], 12: BEFORE[12]}], ids=["other rows", "fewer parts"])
def test_stopped_anywhere_readers_see_the_old_rows_or_none_and_a_rerun_makes_it_whole(
    after: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "whole", after)
    whole, seen = files(tmp_path / "whole"), list[str]()
    for moment in range(1, 100):
        folder = tmp_path / str(moment)
        write(folder, BEFORE)
        if not interrupted(folder, after, moment, monkeypatch):
            break
        seen.append(what_is_read(folder, after))
        write(folder, after)
        assert files(folder) == whole
    assert len(seen) > 5
    assert seen == sorted(seen, key=["old", "none", "new"].index)
    assert {"old", "none"} <= set(seen)


def test_the_index_can_be_read_by_people(tmp_path: Path) -> None:
    write(tmp_path, {0: [1]})
    index = json.loads((tmp_path / PARTS_INDEX).read_text())
    assert index.keys() == {"parts", "sha256"}
    assert index["parts"][0].keys() == {"part", "rows", "bytes", "sha256"}
