"""JSON in the shapes that people keep: lists, maps, lines; what is in them twice, or not at all, is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from walt.core.errors import ConfigurationError
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.tables.cells import BadValue, Columns
from walt.ingest.tables.read import PLAIN, Shape, read_rows

TEXTS: Columns = {"path": "text", "caption": "texts"}
CAT = {"path": "a.mp4", "caption": "a cat"}


def rows(folder: Path, content: Any, columns: Columns = TEXTS, shape: Shape = PLAIN, name: str = "t.json") -> list[Any]:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return [(row.line, *row.values) for row in read_rows(LocalFolder(folder), name, columns, shape=shape)]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ([CAT], "t.json"),
        (json.dumps(CAT) + "\n", "t.jsonl"),
        (json.dumps(CAT) + "\r\n\n", "t.ndjson"),
        ([CAT], "t.jsonl"),
        ("\ufeff" + json.dumps([CAT]), "t.json"),
    ],
)
def test_records_of_a_list_and_of_lines_are_the_same(tmp_path: Path, content: Any, name: str) -> None:
    assert rows(tmp_path, content, name=name) == [(1, "a.mp4", ("a cat",))]


def test_lines_in_a_file_called_json_are_read_as_lines(tmp_path: Path) -> None:
    content = json.dumps(CAT) + "\n" + json.dumps(CAT | {"path": "b.mp4"}) + "\n"
    assert rows(tmp_path, content) == [(1, "a.mp4", ("a cat",)), (2, "b.mp4", ("a cat",))]


def test_a_map_gives_its_keys_and_values(tmp_path: Path) -> None:
    content = {"a.mp4": ["a cat", "a small cat"], "b.mp4": "a dog"}
    found = rows(tmp_path, content, {"$key": "text", "$value": "texts"})
    assert found == [(1, "a.mp4", ("a cat", "a small cat")), (2, "b.mp4", ("a dog",))]


def test_records_under_a_key_see_the_whole_file(tmp_path: Path) -> None:
    content = {"meta": {"id": "X"}, "data": [{"clip": "1"}, {"clip": "2"}]}
    columns: Columns = {"$file.meta.id": "text", "clip": "text"}
    assert rows(tmp_path, content, columns, Shape(records="data")) == [(1, "X", "1"), (2, "X", "2")]
    with pytest.raises(ConfigurationError, match=r"no list or map of records at 'dat'; did you mean 'data'\?"):
        rows(tmp_path, content, columns, Shape(records="dat"))


def test_lists_side_by_side_make_a_row_each(tmp_path: Path) -> None:
    content = [
        {"id": "v", "spans": [[0, 1], [1, 2]], "texts": ["a cat", "a dog"]},
        {"id": "w", "spans": [[0, 1]], "texts": []},
    ]
    columns: Columns = {"id": "text", "spans": "list", "texts": "texts"}
    first, second, third = rows(tmp_path, content, columns, Shape(explode=("spans", "texts")))
    assert (first, second) == ((1, "v", (0, 1), ("a cat",)), (1, "v", (1, 2), ("a dog",)))
    assert third[1].cause == "its lists differ in length: spans 1, texts 0"


def test_records_are_joined_by_a_key(tmp_path: Path) -> None:
    content = {"videos": [{"id": 1, "split": "train"}], "sentences": [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]}
    columns: Columns = {"text": "text", "split": "text"}
    found = rows(tmp_path, content, columns, Shape(records="sentences", join=("videos", "id", "id")))
    assert found == [(1, "a", "train"), (2, "b", None)]
    content["videos"].append({"id": 1, "split": "test"})
    with pytest.raises(ConfigurationError, match=r"two records of 'videos' have the id 1"):
        rows(tmp_path, content, columns, Shape(records="sentences", join=("videos", "id", "id")))


def test_the_key_of_a_join_may_have_another_name_in_the_first(tmp_path: Path) -> None:
    content = {"videos": [{"id": 7, "file": "a.mp4"}], "notes": [{"id": 1, "video_id": 7}, {"id": 7, "video_id": 8}]}
    columns: Columns = {"id": "text", "file": "text"}
    found = rows(tmp_path, content, columns, Shape(records="notes", join=("videos", "id", "video_id")))
    assert found == [(1, "1", "a.mp4"), (2, "7", None)]


def test_fields_inside_of_others(tmp_path: Path) -> None:
    content = [{
        "scene": {"caption": "a cat"}, "captions": [{"idx": 0, "text": "x"}, {"idx": -1, "text": "all"}],
        "models": {"m": {"short": "s"}, "n": {"short": "t"}}, "dotted.name": "d",
    }]  # fmt: skip
    columns: Columns = {
        "scene.caption": "text", "captions.-1.text": "text", "captions.*.text": "texts", "models.*.short": "texts",
        "dotted.name": "text", "captions.7.text": "text", "scene.caption.deeper": "text",
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"no column 'captions\.7\.text'"):
        rows(tmp_path, content, columns)
    columns = {name: kind for name, kind in columns.items() if name not in ("captions.7.text", "scene.caption.deeper")}
    assert rows(tmp_path, content, columns) == [(1, "a cat", "all", ("x", "all"), ("s", "t"), "d")]


def test_a_line_that_is_not_a_record_is_one_bad_row(tmp_path: Path) -> None:
    lines = [json.dumps(CAT), "{broken", "[1]", '{"path": "a", "path": "b", "caption": "c"}', json.dumps(CAT)]
    found = rows(tmp_path, "\n".join(lines), name="t.jsonl")
    assert [line for line, *_ in found] == [1, 2, 3, 4, 5]
    causes = [values[0].cause for _, *values in found if isinstance(values[0], BadValue)]
    assert causes == [
        "not valid JSON: Expecting property name enclosed in double quotes", "not a JSON object",
        "the key 'path' is there twice",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"path": "a.mp4"},\n{"path": }]', r"t\.json, line 2: not valid JSON"),
        ('{"a.mp4": "x", "a.mp4": "y"}', r"the key 'a\.mp4' is there twice"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
        ("3", "neither a list of records nor a map"),
        ('[{"file": "a.mp4", "caption": "x"}]', r"no column 'path' \(columns: file, caption\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        rows(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "cause"),
    [
        (1.5, "1.5 is a fraction, expected text"),
        (True, "True is a truth value, expected text"),
        ({"short": "s"}, "a record with the keys short: name one of them, as in 'caption.short'"),
        ([{"text": "x"}], "is a record, expected text"),
    ],
)
def test_a_caption_that_is_not_text_says_what_it_is(tmp_path: Path, cell: Any, cause: str) -> None:
    ((_, _, found),) = rows(tmp_path, [{"path": "a.mp4", "caption": cell}])
    assert cause in found.cause


def test_bytes_that_are_not_utf8_affect_one_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"path": "a\xff.mp4", "caption": "x"}\n{"path": "b.mp4", "caption": "y"}\n')
    found = [row.values for row in read_rows(LocalFolder(tmp_path), "t.jsonl", TEXTS)]
    assert found == [("a\udcff.mp4", ("x",)), ("b.mp4", ("y",))]
