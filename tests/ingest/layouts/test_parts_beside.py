"""Tables of their own for single videos: each part that they list has its caption, or init ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.layout_folder import TWO, Files, V
from tests.support.media import counter, write_video
from tests.support.miniatures import describe, lines, refusals
from walt.ingest.describe_files import Given, describe_files
from walt.ingest.layouts.tables import TableColumns

A = [{"start": 0, "end": 3, "caption": "a cat sits"}, {"start": 3, "end": 7.5, "caption": "a cat runs"}]
B = [{"start": "0:01", "end": "0:04", "caption": "a dog"}]
PARTS = {"a.mp4#t=0,3": "a cat sits", "a.mp4#t=3,7.5": "a cat runs", "b.mp4#t=1,4": "a dog"}
IN_CSV = "start,end,caption\n0,3,a cat sits\n3,7.5,a cat runs\n"


@pytest.mark.parametrize(
    "files",
    [
        {"a.json": A, "b.json": B}, {"a.json": {"segments": A, "fps": 24}, "b.json": {"segments": B, "fps": 30}},
        {"a.jsonl": lines(*A), "b.jsonl": lines(*B)},
        {"a.csv": IN_CSV, "b.csv": "start,end,caption\n0:01,0:04,a dog\n"},
        {"a.tsv": IN_CSV.replace(",", "\t"), "b.tsv": "start\tend\tcaption\n1\t4\ta dog\n"},
        {"parts/a.json": A, "parts/b.json": B}, {"a_segments.json": A, "b_segments.json": B},
        {"a.mp4.csv": IN_CSV, "b.mp4.csv": "start,end,caption\n1,4,a dog\n"},
        {"A.json": A, "b.json": B}, {"a.json": {"0": A[0], "1": A[1]}, "b.json": {"0": B[0]}},
        {"a-Scenes.csv": IN_CSV.replace("start", "Start Time (seconds)").replace("end", "End Time (seconds)"),
         "b.json": B},
    ],
    ids=["lists", "records with a list", "lines", "CSV", "TSV", "folder", "names", "suffixes", "capital letters", "map",
         "scenes"],
)  # fmt: skip
def test_each_part_that_a_table_beside_lists_is_an_input(tmp_path: Path, files: Files) -> None:
    described = describe(tmp_path, {**TWO, **files})
    assert {item.source: item.caption for item in described.listing.items} == PARTS
    assert {item.span for item in described.listing.items} == {(0.0, 3.0), (3.0, 7.5), (1.0, 4.0)}
    assert not described.choice.may_lose_captions
    assert not described.listing.refusals
    assert any("spans from start and end" in line for line in described.lines())


def test_a_table_in_the_folder_of_each_file(tmp_path: Path) -> None:
    films = {"x/film.mp4": V, "y/film.mp4": V}
    described = describe(tmp_path, {**films, "x/parts.csv": IN_CSV, "y/parts.csv": "start,end,caption\n1,4,a dog\n"})
    assert [item.caption for item in described.listing.items] == [*PARTS.values()]


def test_a_record_of_one_part(tmp_path: Path) -> None:
    """The file is longer than the part; of a file that is the part already, the caption is of the whole."""
    (tmp_path / "d").mkdir()
    write_video(tmp_path / "d" / "a.mp4", counter(48), fps=8)
    write_video(tmp_path / "d" / "b.mp4", counter(48), fps=8)
    record = {"caption": "a cat", "start": 1.5, "end": 4}
    described = describe(tmp_path, {"a.json": record, "b.json": {**record, "caption": "a dog"}})
    assert {item.source: item.caption for item in described.listing.items} == {
        "a.mp4#t=1.5,4": "a cat", "b.mp4#t=1.5,4": "a dog",
    }  # fmt: skip
    cut = {"a.json": {**record, "start": 100, "end": 106}, "b.json": {**record, "start": 200, "end": 206}}
    assert {item.span for item in describe(tmp_path, cut).listing.items} == {None}


def test_captions_in_lists_beside_those_of_the_whole_are_named(tmp_path: Path) -> None:
    """As FineVideo's are."""
    whole = {"about": {"description": "a film of a cat", "scenes": [{"activities": [{"description": "a man talks"}]}]}}
    described = describe(tmp_path, {"a.mp4": V, "a.json": whole})
    assert described.choice.may_lose_captions
    assert any("about.scenes.activities.description beside about.description" in line for line in described.lines())
    chosen = describe(tmp_path, {}, columns=TableColumns(captions=("about.description",)))
    assert [item.caption for item in chosen.listing.items] == ["a film of a cat"]
    assert not chosen.choice.may_lose_captions


def test_moments_in_a_record_of_their_own(tmp_path: Path) -> None:
    scenes = [{"caption": "a cat sits", "timestamps": {"start": "0:00", "end": "0:03"}}]
    described = describe(tmp_path, {**TWO, "a.json": {"scenes": scenes}, "b.json": {"scenes": []}})
    assert [(item.source, item.caption) for item in described.listing.items] == [("a.mp4#t=0,3", "a cat sits")]
    table = describe(tmp_path / "table", {**TWO, "t.json": [{"video": "a.mp4", "scenes": scenes}]})
    assert [item.span for item in table.listing.items if item.captions] == [(0.0, 3.0)]


def test_a_glob_finds_them_too(tmp_path: Path) -> None:
    describe(tmp_path, {**TWO, "a.csv": IN_CSV, "b.json": B})
    found = describe_files(tmp_path, Given("d/*.mp4")).listing.items
    assert {item.source: item.caption for item in found} == PARTS


def test_rows_and_tables_that_are_wrong_are_refused_one_by_one(tmp_path: Path) -> None:
    odd = [*A, {"start": 9, "end": 8, "caption": "turned"}, {"start": 9, "end": 10, "caption": ""}, "text"]
    files = {**TWO, "c.mp4": V, "d.mp4": V, "a.json": odd, "b.json": "[{", "c.json": []}
    described = describe(tmp_path, files)
    assert [item.caption for item in described.listing.items] == ["a cat sits", "a cat runs"]
    assert refusals(described) == {
        "a.mp4, a.json line 3": "bad_span", "a.mp4#t=9,10": "no_caption", "a.mp4, a.json line 5": "bad_row",
        "b.mp4": "bad_caption", "c.mp4": "no_caption", "d.mp4": "no_caption",
    }  # fmt: skip


def test_rows_of_one_span_are_its_captions(tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": V, "a.json": [A[0], {**A[0], "caption": "a cat"}]})
    [item] = described.listing.items
    assert [caption.text for caption in item.captions] == ["a cat sits", "a cat"]


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({"a.csv": "start_frame,end_frame,caption\n0,24,a cat\n24,48,a dog\n"}, "no span in seconds"),
        ({"a.json": [{"start": 0, "end": 300, "caption": "a cat"}]}, "not seconds of these files"),
        ({"a.json": A, "a.txt": "a film of a cat"}, "beside captions of the whole files"),
        ({"a.json": {"caption": "a film of a cat", "segments": A}}, "beside captions of the whole files"),
        ({"a.json": {"caption": "a film of a cat"}, "a.csv": IN_CSV}, "beside captions of the whole files"),
        ({"a.json": {**A[0], "end": 4}, "a.txt": "a film of a cat"}, "beside captions of the whole files"),
    ],
)
def test_parts_that_are_not_read_end_init(tmp_path: Path, files: Files, cause: str) -> None:
    (tmp_path / "d").mkdir()
    write_video(tmp_path / "d" / "a.mp4", counter(64), fps=8)
    described = describe(tmp_path, files)
    assert described.choice.may_lose_captions
    assert any(cause in line for line in described.lines())


def test_a_caption_column_reads_the_parts_and_not_the_text_beside(tmp_path: Path) -> None:
    files = {**TWO, "a.json": A, "b.json": B, "a.txt": "a film of a cat"}
    described = describe(tmp_path, files, columns=TableColumns(captions=("caption",)))
    assert {item.source: item.caption for item in described.listing.items} == PARTS


def test_what_was_said_is_no_caption_of_parts(tmp_path: Path) -> None:
    """As WhisperX writes it, as a record or as a list."""
    heard = [{"start": 0.1, "end": 2, "text": " Hello there", "words": [{"word": "Hello", "start": 0.1, "end": 0.4}]}]
    described = describe(tmp_path, {**TWO, "a.json": {"segments": heard, "language": "en"}, "b.json": heard})
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)


def test_a_table_that_names_other_files_is_no_table_of_the_file_whose_name_it_has(tmp_path: Path) -> None:
    rows = "path,start,end,caption\na.mp4,0,3,a cat\nb.mp4,1,4,a dog\n"
    described = describe(tmp_path, {**TWO, "a.csv": rows})
    assert {item.source: item.caption for item in described.listing.items} == {
        "a.mp4#t=0,3": "a cat", "b.mp4#t=1,4": "a dog",
    }  # fmt: skip


@pytest.mark.parametrize("names", [("a.mp4", "b.mp4"), ("a", "b")])
def test_a_map_from_files_to_their_parts(tmp_path: Path, names: tuple[str, str]) -> None:
    described = describe(tmp_path, {**TWO, "captions.json": {names[0]: A, names[1]: B}})
    assert [item.caption for item in described.listing.items] == [*PARTS.values()]


def test_a_map_of_one_file(tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": V, "captions.json": json.dumps({"a.mp4": A})})
    assert [item.span for item in described.listing.items] == [(0.0, 3.0), (3.0, 7.5)]


@pytest.mark.parametrize("end", ["_caption.txt", "-captions.txt", "_prompt.txt"])
def test_texts_whose_names_say_that_they_are_captions(tmp_path: Path, end: str) -> None:
    described = describe(tmp_path, {**TWO, f"a{end}": "a cat", f"b{end}": "a dog"})
    assert [item.caption for item in described.listing.items] == ["a cat", "a dog"]
