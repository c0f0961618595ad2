"""What a list finds in blocks of rows is what it finds in each row by itself, whatever the table holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.odd_json import json_lines_files
from tests.support.sources import LIST, touch
from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.ingest.sources import file_list, rows
from walt.ingest.sources.adapters import entries
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.sources.items import Entry, Item, Rules
from walt.ingest.sources.kinds import FileList
from walt.ingest.tables import json_blocks, read

SOURCE = LIST | {"tables": ["t.jsonl"]}
OTHERS: dict[str, Any] = {
    "caption_columns": [["caption"], ["caption"], ["caption", "extra"], []],
    "number_columns": [[], ["score"], ["split", "score"], ["extra"]],
    "span_columns": [None, ["start", "end"]], "split_column": [None, "split"], "group_column": [None, "extra"],
    "label_column": [None, "split"], "path_column": ["path", "path", "{path}", "c/{path}.mp4"],
    "suffixes": [[], [".mp4"]], "absent": ["refuse", "skip"], "unlisted": ["ignore", "take"],
    "where": [{}, {}, {"split": ["train"]}], "relative_to": ["folder", "table"],
}  # fmt: skip
SOURCES = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in OTHERS.items()})
RULES = st.builds(Rules, st.booleans(), st.booleans(), st.sampled_from([3, 60]), st.just(0.1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    root: Path = tmp_path_factory.mktemp("files")
    touch(root, "a.mp4", "b.mp4", "c/d.mp4", "e.png", "c/a.mp4.mp4", "f.mp4")
    return root


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Any:
    """Tables of a few lines have several blocks."""
    with patch.object(read, "_LOOKED_AT", 2), patch.object(json_blocks, "_BLOCK", 512):
        yield


def listed(folder: Path, source: dict[str, Any], rules: Rules) -> tuple[list[str], list[str]]:
    """All entries, or the error, and what was said of them; written out, so that -0.0 and 1 are not 0.0 and 1.0."""
    said: list[str] = []
    section = parse_section(SOURCE | source, FileList, "d.yaml")
    with patch.object(file_list, "warning", said.append), patch.object(rows, "warning", said.append):
        try:
            found = entries(section, Dataset(LocalFolder(folder), rules, ("train", "x")))
            return [repr(entry) for entry in found], said
        except ConfigurationError as error:
            return [str(error)], said


@pytest.mark.slow
@settings(deadline=None)
@given(json_lines_files(), SOURCES, RULES)
def test_a_block_gives_the_entries_that_its_rows_give(
    folder: Path, content: bytes, source: dict[str, Any], rules: Rules
) -> None:
    (folder / "t.jsonl").write_bytes(content)
    found = listed(folder, source, rules)
    with patch.object(json_blocks, "_read", lambda *_: None):
        assert found == listed(folder, source, rules)


def test_plain_rows_are_not_looked_at_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = range(40)
    lines = [
        json.dumps({"path": "a.mp4", "caption": f"c{n}" * (n != 30), "start": n / 3, "end": n + 1}) for n in number
    ]
    (folder / "t.jsonl").write_text("\n".join([*lines, lines[7]]))
    source = parse_section(SOURCE | {"span_columns": ["start", "end"]}, FileList, "d.yaml")
    looked_at: list[int] = []
    by_row = file_list._Rows.entry

    def entry(self: Any, row: Any) -> Entry | None:
        looked_at.append(row.line)
        return by_row(self, row)

    monkeypatch.setattr(file_list._Rows, "entry", entry)
    found = list(entries(source, Dataset(LocalFolder(folder), Rules(True, True, 60), None)))
    assert looked_at == [1, 2, 31, 41]  # the first ones, one without a caption, one that is there twice
    assert sum(isinstance(one, Item) for one in found) == 39
    assert found[10].source == "a.mp4#t=3.333,11"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_column_may_be_read_as_text_and_as_a_number(tmp_path: Path, suffix: str) -> None:
    """One of groups, of labels, or of a part of the file's name."""
    touch(tmp_path, "a_1.mp4", "a_x.mp4")
    rows = [{"name": "a", "part": part, "caption": "a cat"} for part in ("1", "x")]
    as_csv = "name,part,caption\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    text = as_csv if suffix == "csv" else "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / f"t.{suffix}").write_text(text)
    section = parse_section(
        SOURCE | {
            "tables": [f"t.{suffix}"], "path_column": "{name}_{part}.mp4", "caption_columns": ["caption"],
            "group_column": "part", "number_columns": ["part"],
        }, FileList, "d.yaml",
    )  # fmt: skip
    found = entries(section, Dataset(LocalFolder(tmp_path), Rules(True, True, 60, 0.1), None))
    items = [entry for entry in found if isinstance(entry, Item)]
    assert {item.source: (item.group, dict(item.numbers or {})) for item in items} == {
        "a_1.mp4": ("1", {"part": 1.0}), "a_x.mp4": ("x", {"part": None}),
    }  # fmt: skip
