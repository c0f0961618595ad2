"""Texts without a header that name a file and its caption in each line, and tables that the user names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import TWO, Files, V, write
from walt.core.errors import ConfigurationError
from walt.ingest.describe_files import Described, Given, describe_files
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.sources.adapters import list_items
from walt.project.point_at_dataset import own_dataset

CATS = {"a.mp4": ["a cat, small"], "b.mp4": ["a dog"]}


def described(folder: Path, files: Files, **given: object) -> Described:
    write(folder / "d", files)
    return own_dataset(folder, Given("d", **given))  # type: ignore[arg-type]


def captions(found: Described, folder: Path) -> dict[str, list[str]]:
    """Of each input; all rows are inputs."""
    listing = list_items(found.descriptor, folder, "d", 200)
    assert listing.refusals == []
    return {Path(item.path).name: [caption.text for caption in item.captions] for item in listing.items}


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4\ta cat, small\nb.mp4\ta dog\n", "a.mp4|a cat, small\nb.mp4|a dog\n",
        "a.mp4, a cat, small\nb.mp4, a dog\n",
        "a.mp4 a cat, small\r\nb.mp4 a dog\r\n", "a.mp4: a cat, small\nb.mp4: a dog\n", "a\ta cat, small\nb\ta dog\n",
        "# of 2\n\na a cat, small\nb a dog\n", "\ufeffa.mp4#0\ta cat, small\nb.mp4#0\ta dog\n",
        '{"video": "a.mp4", "caption": "a cat, small"}\n{"video": "b.mp4", "caption": "a dog"}\n',
        'video,caption\na.mp4,"a cat, small"\nb.mp4,a dog\n',
    ],
)  # fmt: skip
def test_names_and_captions_in_the_lines_of_a_text_arrive(tmp_path: Path, text: str) -> None:
    found = described(tmp_path, {**TWO, "captions.txt": text})
    assert captions(found, tmp_path) == CATS


def test_several_lines_of_a_file_are_several_captions(tmp_path: Path) -> None:
    """As in MSVD's list, whose names have no suffixes; and the files are in a folder."""
    files = {"v/x1.avi": V, "v/x2.avi": V, "AllVideoDescriptions.txt": "# MSVD\n\nx1 a man\nx1 a man walks\nx2 a dog\n"}
    assert captions(described(tmp_path, files), tmp_path) == {"x1.avi": ["a man", "a man walks"], "x2.avi": ["a dog"]}


def test_names_with_blanks_end_behind_their_suffix(tmp_path: Path) -> None:
    files = {"my clip.mp4": V, "b, c.mp4": V, "c.txt": "my clip.mp4 a cat\nb, c.mp4 a dog\n"}
    assert captions(described(tmp_path, files), tmp_path) == {"my clip.mp4": ["a cat"], "b, c.mp4": ["a dog"]}


def test_a_line_without_a_caption_is_one_refused_row(tmp_path: Path) -> None:
    write(tmp_path / "d", {**TWO, "captions.txt": "a.mp4\ta cat\nb.mp4\n"})
    listing = list_items(describe_files(tmp_path, Given("d")).descriptor, tmp_path, "d", 200)
    assert [item.source for item in listing.items] == ["a.mp4"]
    assert {refusal.code for refusal in listing.refusals} == {"bad_row", "no_caption"}


def test_a_text_and_a_table_with_captions_are_two_tables(tmp_path: Path) -> None:
    files = {**TWO, "captions.txt": "a.mp4\ta cat\nb.mp4\ta dog\n", "t.csv": "file_name,text\na.mp4,x\nb.mp4,y\n"}
    with pytest.raises(ConfigurationError, match=r"captions\.txt and t\.csv both name files and captions"):
        described(tmp_path, files)
    assert captions(described(tmp_path, {}, captions="captions.txt"), tmp_path)["a.mp4"] == ["a cat"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"t.csv": "a.mp4,a cat\nb.mp4,a dog\n"}, r"its first line is not a header: it names 'a\.mp4'"),
        ({"t.csv": "videos/a.mp4 0\n", "videos/a.mp4": V}, r"not a header: it names 'videos/a\.mp4'"),
        ({"t.csv": "path,words\na.mp4,a cat\n"}, r"no column of captions was found \(columns: path, words\): name one"),
        ({"t.xlsx": b"PK"}, r"t\.xlsx: not of a kind that is read; write CSV"),
    ],
)
def test_a_table_that_the_user_names_does_not_lose_its_captions(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        described(tmp_path, {**TWO, **files}, captions=next(iter(files)))


def test_a_table_of_labels_or_spans_needs_no_captions(tmp_path: Path) -> None:
    files = {**TWO, "t.csv": "path,kind,start,end\na.mp4,x,0,1\nb.mp4,y,0,1\n"}
    found = described(tmp_path, files, captions="t.csv", columns=TableColumns(label="kind"))
    assert found.choice.classes == ("x", "y")
    assert (
        described(tmp_path, {}, captions="t.csv", columns=TableColumns(span=("start", "end"))).choice.captioned is False
    )


@pytest.mark.parametrize("name", ["SHA256SUMS", "a.md5", "get.sh", "a.mp4.dvc", "all.m3u8"])
def test_files_that_name_others_for_other_reasons_end_nothing(tmp_path: Path, name: str) -> None:
    found = described(tmp_path, {**TWO, name: "0f 1e a.mp4\n"})
    assert any("not read: 1 files" in line for line in found.lines())


def test_two_moments_behind_each_name_are_the_part_that_its_caption_is_of(tmp_path: Path) -> None:
    """As in Charades-STA, whose lists are the splits."""
    files = {
        "v/A1.mp4": V, "v/B2.mp4": V, "sta_train.txt": "A1 0.0 6.9##a cat sits.\nA1 6.9 9##a cat, then a dog.\n",
        "sta_test.txt": "B2 1.3 9.0##a dog.\nB2 9.0 1.3##turned round\n",
    }  # fmt: skip
    found = described(tmp_path, files)
    parts = {item.source: (item.caption, item.split) for item in found.listing.items}
    assert parts == {
        "A1#t=0,6.9": ("a cat sits.", "train"), "A1#t=6.9,9": ("a cat, then a dog.", "train"),
        "B2#t=1.3,9": ("a dog.", "held_out"),
    }  # fmt: skip
    assert [refusal.code for refusal in found.listing.refusals] == ["bad_span"]


def test_one_line_without_moments_is_refused_and_the_others_keep_theirs(tmp_path: Path) -> None:
    """Else every caption would begin with its numbers."""
    found = described(tmp_path, {**TWO, "sta.txt": "a.mp4 3.0 7.5##a cat\nb.mp4 ##a bird\nb.mp4 0 2##a dog\n"})
    assert [(item.span, item.caption) for item in found.listing.items] == [((3.0, 7.5), "a cat"), ((0.0, 2.0), "a dog")]
    (refusal,) = found.listing.refusals
    assert refusal.cause == "line 2: no two moments behind the file's name, as other lines have them"


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4\t0:03\t0:07.5\ta cat\nb.mp4\t0:00\t0:02\ta dog\n", "a.mp4 3.0 7.5 a cat\nb.mp4 0.0 2.0 a dog\n",
        "a.mp4|0:03-0:07.5|a cat\nb.mp4|0:00-0:02|a dog\n",
        "a.mp4 [0:03 --> 0:07.5] a cat\nb.mp4 [0:00 --> 0:02] a dog\n",
    ],
)  # fmt: skip
def test_moments_may_be_written_in_several_ways(tmp_path: Path, text: str) -> None:
    found = described(tmp_path, {**TWO, "captions.txt": text})
    assert [(item.span, item.caption) for item in found.listing.items] == [((3.0, 7.5), "a cat"), ((0.0, 2.0), "a dog")]


@pytest.mark.parametrize("line", ["2 4 wheelers race", "3.5 stars", "10:30 on a clock"])
def test_numbers_in_captions_are_no_moments(tmp_path: Path, line: str) -> None:
    found = described(tmp_path, {**TWO, "t.txt": f"a.mp4|{line}\nb.mp4|a dog\n"})
    assert {item.caption for item in found.listing.items} == {line, "a dog"}
