"""Layouts that are broken in their usual ways: what is refused, and what init says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import TWO, V
from tests.support.miniatures import describe, lines, refusals
from walt.core.errors import ConfigurationError


def test_a_row_without_a_file_and_one_without_a_caption_are_refused_by_name(tmp_path: Path) -> None:
    table = "file_name,text\na.mp4,a cat\nb.mp4,\ngone.mp4,a cow\n"
    described = describe(tmp_path, {**TWO, "c.mp4": V, "metadata.csv": table})
    assert refusals(described) == {"b.mp4": "no_caption", "gone.mp4": "missing", "c.mp4": "no_caption"}
    assert [item.source for item in described.listing.items] == ["a.mp4"]


def test_line_files_of_unequal_length_are_refused_with_both_counts(tmp_path: Path) -> None:
    files = {**TWO, "videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "a cat\n"}
    with pytest.raises(ConfigurationError, match=r"videos\.txt has 2 lines, .*prompts\.txt 1: they must have the same"):
        describe(tmp_path, files)


def test_an_empty_line_of_captions_is_a_missing_caption(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "\na dog\n"})
    assert refusals(described) == {"a.mp4": "no_caption"}


def test_two_tables_of_the_same_files_are_refused_and_one_can_be_chosen(tmp_path: Path) -> None:
    files = {**TWO, "a.csv": "path,caption\na.mp4,a cat\n", "b.jsonl": lines({"video": "a.mp4", "prompt": "a dog"})}
    with pytest.raises(ConfigurationError, match=r"a\.csv and b\.jsonl both name files and captions: .*--captions"):
        describe(tmp_path, files)
    chosen = describe(tmp_path, {}, captions="b.jsonl")
    assert [item.caption for item in chosen.listing.items] == ["a dog"]


def test_a_text_without_a_video_and_a_video_without_a_text_are_named(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "a.txt": "a cat", "c.txt": "a cow"})
    assert refusals(described) == {"b.mp4": "no_caption"}
    assert "not read: c.txt: no video or image has its name" in list(described.lines())


def test_a_table_of_which_no_row_can_be_read_says_why(tmp_path: Path) -> None:
    urls = "path,caption\nhttp://127.0.0.1/u=17,98.mp4,a cat\n"
    described = describe(tmp_path, {**TWO, "a.txt": "a cat", "b.txt": "a dog", "urls.csv": urls})
    (said,) = (line for line in described.lines() if "urls.csv" in line)
    assert "line 2: 3 fields, but the header has 2" in said


def test_a_line_that_is_not_json_is_one_refused_row(tmp_path: Path) -> None:
    table = lines({"path": "a.mp4", "caption": "a cat"}) + "{broken\n" + lines({"path": "b.mp4", "caption": "a dog"})
    described = describe(tmp_path, {**TWO, "t.jsonl": table})
    assert refusals(described) == {"t.jsonl line 2": "bad_row"}
    assert len(described.listing.items) == 2


def test_what_was_passed_over_is_counted(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "x.mxf": V, "y.mxf": V, "z.braw": V, "more.zip": V, "README.txt": "about"})
    said = list(described.lines())
    assert said[0] == "found: 2 videos, 0 stills, no captions"
    assert "not read: 3 files: unknown suffixes: .mxf 2, .braw 1" in said
    assert "not read: more.zip: packed: unpack them first" in said
    assert not any("README" in line for line in said)


def test_a_folder_without_videos_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no videos or images \(part1\.zip must be unpacked first; .*\.mxf 1"):
        describe(tmp_path, {"part1.zip": V, "x.mxf": V})
    with pytest.raises(ConfigurationError, match=r"data-00000-of-00001\.arrow: not of a kind that is read; write CSV"):
        describe(tmp_path / "saved", {"data-00000-of-00001.arrow": V, "state.json": {}})
