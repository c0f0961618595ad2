"""Files of a folder that no row of its tables names, and what counts as named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sources import LIST, by_source, codes, list_source, touch

TAKE: dict[str, Any] = LIST | {"unlisted": "take"}
SPANS: dict[str, Any] = TAKE | {"span_columns": ["start", "end"]}


@pytest.mark.parametrize("required", [True, False])
def test_a_file_with_spans_is_not_an_input_as_a_whole_too(tmp_path: Path, required: bool) -> None:
    """It would be refused for want of a caption, or cut a second time without one."""
    touch(tmp_path, "film.mp4", "b.mp4", "other.mp4")
    rows = "film.mp4,a cat,0,2\nfilm.mp4,a dog,2,4\nb.mp4,a cow,1,3\n"
    (tmp_path / "t.csv").write_text("path,caption,start,end\n" + rows)
    found = list_source(tmp_path, SPANS, caption_required=required)
    spans = ["b.mp4#t=1,3", "film.mp4#t=0,2", "film.mp4#t=2,4"]
    assert list(by_source(found)) == (spans if required else [*spans, "other.mp4"])
    assert codes(found) == ({"other.mp4": "no_caption"} if required else {})


def test_a_file_whose_row_is_refused_is_not_taken_without_what_the_row_says(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "t.csv").write_text("path,caption,label,start,end\na.mp4,x,cat,9,1\nb.mp4,y,cow,0,1\nc.mp4,z,dog,0,1\n")
    source = SPANS | {"label_column": "label"}
    found = list_source(tmp_path, source, caption_required=False, classes="classes.txt")
    assert list(by_source(found)) == ["c.mp4#t=0,1"]
    assert codes(found) == {"a.mp4": "bad_span", "b.mp4": "unknown_class"}


def test_a_file_whose_caption_cannot_be_read_is_refused_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "t.jsonl").write_text('{"path": "a.mp4", "caption": {"en": "x"}}\n{"path": "b.mp4", "caption": "y"}\n')
    found = list_source(tmp_path, TAKE | {"tables": ["t.jsonl"]}, caption_required=False)
    assert list(by_source(found)) == ["b.mp4"]
    assert [refusal.code for refusal in found.refusals] == ["bad_row"]


def test_a_file_that_the_user_excludes_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``where`` says which rows are inputs; their files are not counted as files without a row. They are counted."""
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "t.csv").write_text("path,caption,quality\na.mp4,x,good\nb.mp4,y,bad\nb.mp4,z,bad\n")
    found = list_source(tmp_path, TAKE | {"where": {"quality": ["good"]}}, caption_required=False)
    assert list(by_source(found)) == ["a.mp4", "c.mp4"]
    assert found.refusals == []
    assert "2 rows are left out by source.where" in capsys.readouterr().out
