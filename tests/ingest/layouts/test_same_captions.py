"""Captions that are there twice, as exports leave them: where both say the same, nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.layout_folder import TWO, Files
from tests.support.miniatures import describe, lines
from walt.core.errors import ConfigurationError
from walt.ingest import describe_files
from walt.ingest.layouts import same_captions, second_look
from walt.ingest.sources.adapters import entries
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry

TABLE = {"metadata.csv": "file_name,text\na.mp4,a cat\nb.mp4,a dog\n"}
TEXTS = {"a.txt": " a cat\n", "b.txt": "a dog"}
RECORDS = [{"file_name": "a.mp4", "text": "a cat", "score": 0.5}, {"file_name": "b.mp4", "text": "a dog", "score": 1}]


@pytest.mark.parametrize(
    ("files", "table"),
    [
        (TABLE | TEXTS, "metadata.csv"), (TABLE | {"a.json": {"caption": "a cat"}}, "metadata.csv"),
        ({"videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "a cat\na dog\n", **TEXTS}, "videos.txt"),
        (TABLE | {"t.jsonl": lines(*({**record, "split": "train"} for record in RECORDS))}, "t.jsonl"),
        (TABLE | {"videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "a cat\na dog\n"}, "metadata.csv"),
        (TABLE | {"captions.json": {"a.mp4": "a cat"}}, "metadata.csv"),
        (TABLE | TEXTS | {"captions.json": {"a.mp4": "a cat", "b.mp4": "a dog"}}, "captions.json"),
    ],
    ids=["texts", "JSON beside", "lines and texts", "two tables", "table and lines", "a part", "three"],
)  # fmt: skip
def test_the_same_captions_are_read_once(tmp_path: Path, files: Files, table: str) -> None:
    described = describe(tmp_path, {**TWO, **files})
    assert [item.caption for item in described.listing.items] == ["a cat", "a dog"]
    assert not described.choice.may_lose_captions
    assert any(
        line.startswith("not read: ") and f"the same captions as in {table}" in line for line in described.lines()
    )


def test_a_table_with_texts_beside_it_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []

    def counted(source: Any, dataset: Dataset) -> Iterator[Entry]:
        listed.append(source.kind)
        return entries(source, dataset)

    for module in (same_captions, second_look, describe_files):
        monkeypatch.setattr(module, "entries", counted)
    assert not describe(tmp_path, {**TWO, **TABLE, **TEXTS}).choice.may_lose_captions
    assert listed == ["list", "folder"]


def test_the_same_parts_are_read_once(tmp_path: Path) -> None:
    table = {"t.csv": "path,start,end,caption\na.mp4,0,3,a cat sits\na.mp4,3,7,a cat runs\n"}
    parts = [{"start": 0, "end": 3, "caption": "a cat sits"}, {"start": 3, "end": 7, "caption": "a cat runs"}]
    described = describe(tmp_path, {**TWO, **table, "a.json": parts})
    assert not described.choice.may_lose_captions
    other = describe(tmp_path / "other", {**TWO, **table, "a.json": [*parts, {"start": 7, "end": 9, "caption": "x"}]})
    assert other.choice.may_lose_captions


def test_a_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, **TABLE, "a.json": {"caption": "a cat"}, "b.json": "{"})
    assert described.choice.may_lose_captions


def test_what_says_something_else_is_named(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, **TABLE, "a.txt": "a cat", "b.txt": "a big dog"})
    assert described.choice.may_lose_captions
    assert any("b.txt says something else than metadata.csv" in line for line in described.lines())


def test_a_text_of_a_file_that_the_table_leaves_out_is_named(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "t.csv": "file_name,text\na.mp4,a cat\n", **TEXTS})
    assert described.choice.may_lose_captions


def test_two_tables_of_other_captions_end_init(tmp_path: Path) -> None:
    other = {"a.mp4": "a cat", "b.mp4": "a wolf"}
    with pytest.raises(ConfigurationError, match=r"metadata\.csv and t\.json both name files and captions"):
        describe(tmp_path, {**TWO, **TABLE, "t.json": other})


def test_tables_of_other_parts_end_init(tmp_path: Path) -> None:
    """A caption of a part is another one than that of the whole file, if its words are the same."""
    with pytest.raises(ConfigurationError, match="both name files and captions"):
        describe(tmp_path, {**TWO, **TABLE, "t.csv": "path,start,end,caption\na.mp4,0,1,a cat\nb.mp4,0,1,a dog\n"})


@pytest.mark.parametrize("rows", ["a.mp4,a cat\n", "b.mp4,a dog\na.mp4,a cat\n"])
def test_a_table_that_is_in_another_of_its_form_is_left_out(tmp_path: Path, rows: str) -> None:
    """As OpenVid's HD part is in its whole list: else each of its rows would be a refused one."""
    described = describe(tmp_path, {**TWO, **TABLE, "HD.csv": f"file_name,text\n{rows}"})
    assert [item.caption for item in described.listing.items] == ["a cat", "a dog"]
    assert not described.listing.refusals
    assert not described.choice.may_lose_captions
    assert any("all of it is in" in line for line in described.lines())
