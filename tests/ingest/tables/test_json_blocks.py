"""Blocks of JSON lines read by column are the same rows as each line read by itself, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.odd_json import json_lines_files
from walt.core.errors import ConfigurationError
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.tables import json_blocks, read
from walt.ingest.tables.cells import Block, Columns, Row
from walt.ingest.tables.read import read_blocks, read_rows

COLUMNS: Columns = {"path": "text", "caption": "texts", "start": "moment", "end": "moment", "split": "text"}
NUMBERS: Columns = {"score": "number"}


def shown(folder: Path, columns: Columns = COLUMNS, numbers: Columns = NUMBERS) -> list[str] | str:
    """The rows of ``t.jsonl``, or the error; written out, so that -0.0, 1 and True are not 0.0 and 1.0."""
    try:
        return [repr((row.line, row.values)) for row in read_rows(LocalFolder(folder), "t.jsonl", columns, numbers)]
    except ConfigurationError as error:
        return str(error)


def by_line(folder: Path, columns: Columns = COLUMNS, numbers: Columns = NUMBERS) -> list[str] | str:
    with patch.object(json_blocks, "_read", lambda *_: None):
        return shown(folder, columns, numbers)


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Any:
    """Tables of a few lines have several blocks."""
    with patch.object(read, "_LOOKED_AT", 2), patch.object(json_blocks, "_BLOCK", 256):
        yield


@pytest.mark.slow
@settings(deadline=None)
@given(json_lines_files(), st.booleans())
def test_a_block_gives_the_rows_that_its_lines_give(tmp_path_factory: Any, content: bytes, all_columns: bool) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "t.jsonl").write_bytes(content)
    columns = COLUMNS if all_columns else {"caption": COLUMNS["caption"]}
    assert shown(folder, columns) == by_line(folder, columns)


@pytest.mark.parametrize(
    ("first", "further"),
    [
        ({"n": 1}, ['{"n": 9007199254740993}', '{"n": 7.5}']),
        ({"n": 0.5}, ['{"n": 1}', '{"n": 123456789012345678901234567890}', '{"n": 0.1}']),
        ({"n": 0.5, "x": 1}, ['{"n": 1, "x": 2}', '{"n": 2, "x": 3}']),
        ({"n": None}, ['{"n": null}', '{"m": 1}']),
        ({"n": "a"}, ['{"n": "\\u0061\\ud83d\\ude00"}', '{"n": "2020-01-01"}', '{"n": "\u00e9"}', '{"n": null}']),
    ],
)
@pytest.mark.parametrize("kind", ["text", "texts", "number", "moment"])
def test_plain_tables_are_read_by_column(tmp_path: Path, first: Any, further: list[str], kind: Any) -> None:
    lines = [json.dumps(first)] * 2 + further
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n")
    assert shown(tmp_path, {"n": kind}, {}) == by_line(tmp_path, {"n": kind}, {})


def test_where_every_line_is_plain_the_rows_come_in_blocks(tmp_path: Path) -> None:
    row = {"path": "a.mp4", "end": 1, "more": {"x": ["Inf"]}, "day": "2020-01-01"}
    (tmp_path / "t.jsonl").write_text("\r\n".join(json.dumps(row | {"start": number}) for number in range(50)))
    columns: Columns = {"$table": "text", "path": "text", "start": "moment", "end": "moment"}
    parts = list(read_blocks(LocalFolder(tmp_path), "t.jsonl", columns, NUMBERS))
    blocks = [part for part in parts if isinstance(part, Block)]
    assert [type(part) for part in parts[:2]] == [Row, Row]
    assert len(parts) == len(blocks) + 2
    assert [line for block in blocks for line in block.lines] == list(range(3, 51))
    assert blocks[-1].row(len(blocks[-1]) - 1) == Row("t.jsonl", 50, ("t.jsonl", "a.mp4", 49.0, 1.0, None))


def test_deeply_nested_values_are_refused_and_never_come_to_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = '{"path": "a.mp4", "more": [[1]]}'
    deep = '{"path": "a.mp4", "more": ' + "[" * 100_000 + "]" * 100_000 + "}"  # pyarrow would read it

    read_json = pa.json.read_json

    def watched(stream: pa.BufferReader, **options: Any) -> pa.Table:
        data = stream.read()
        assert b"[[[[" not in data
        return read_json(pa.BufferReader(data), **options)

    monkeypatch.setattr(pa.json, "read_json", watched)
    (tmp_path / "t.jsonl").write_text("\n".join([plain, plain, deep, plain]))
    found = list(read_rows(LocalFolder(tmp_path), "t.jsonl", {"path": "text"}))
    assert [row.problem for row in found] == [None, None, "nested too deeply", None]
