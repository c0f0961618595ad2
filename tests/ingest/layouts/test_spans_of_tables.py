"""Rows that are about parts of files: spans are found, or init ends; a caption of a part is none of the whole file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import TWO
from tests.support.media import counter, write_video
from tests.support.miniatures import describe, refusals
from walt.ingest.layouts.caption_fields import holds_sentences
from walt.ingest.layouts.tables import TableColumns


@pytest.mark.parametrize(
    ("names", "values"),
    [
        ("start,end", "00:00:01.500,00:00:03"), ("start,end", "0:01.5,0:03"), ("begin,end", "1.5,3"),
        ("segment", '"[1.5, 3.0]"'), ("time span", '"(1.5, 3.0)"'), ("interval", "\"['0:01.5', '0:03']\""),
        ("in,out", "1.5,3"), ("Start [s],End [s]", "1.5,3"), ("t0,t1", "1.5,3"), ("In Point,Out Point", "0:01.5,0:03"),
        ("Start Time (seconds),End Time (seconds)", "1.5,3"), ("clip_start,clip_end", "1.5,3"),
    ],
)  # fmt: skip
def test_spans_in_seconds_and_minutes(tmp_path: Path, names: str, values: str) -> None:
    described = describe(tmp_path, {**TWO, "t.csv": f"path,{names},caption\na.mp4,{values},a cat\n"})
    assert [item.span for item in described.listing.items] == [(1.5, 3.0)]


@pytest.mark.parametrize(
    ("names", "values"),
    [
        ("start_ms,end_ms", "1500,3000"), ("start_frame,end_frame", "15,30"), ("start,end", "10%,30%"),
        ("start,end", "1.5s,3s"), ("start,end", "00:00:01:12,00:00:03:00"), ("start,end", "PT1.5S,PT3S"),
        ("start,duration", "1.5,2"), ("clipStart_frame,clipEnd_frame", "3,7"), ("time", "0:01-0:03"),
        ("segment", "1.5 to 3"), ("when", "00:01.000 --> 00:03.000"), ("range", "10%-30%"),
        ("in,out", "00:00:01:12,00:00:03:00"), ("TC_IN,TC_OUT", "00:00:01:12,00:00:03:00"), ("frames", "15-30"),
        ("first_frame,last_frame", "15,30"), ("st,ed", "1.5,3"), ("beginTime,finishTime", "1.5,3"), ("tin,tout", "1,3"),
    ],
)  # fmt: skip
def test_other_spans_end_init_unless_the_captions_are_those_of_the_files(
    tmp_path: Path, names: str, values: str
) -> None:
    files = {**TWO, "t.csv": f"path,{names},caption\na.mp4,{values},a cat\n"}
    described = describe(tmp_path, files)
    assert described.choice.may_lose_captions
    assert any("--caption-column" in line for line in described.lines())
    described = describe(tmp_path, {}, columns=TableColumns(captions=("caption",)))
    assert [item.caption for item in described.listing.items if item.captions] == ["a cat"]


@pytest.mark.parametrize(
    ("names", "values"),
    [
        ("aspect,resolution", "16:9,1920/1080"), ("start_date,end_date", "2024-05-01,2024-05-02"),
        ("timestamp", "2024-05-01 12:00:00"), ("fps,duration", "24,12.5"), ("from,to", "Ann,Bob"),
        ("rate", "30000/1001"), ("starts,ends", "a,b"), ("time", "12:30"),
        ("first_name,last_name", "Ann,Bob"), ("in_stock,frames", "3,81"),
    ],
)  # fmt: skip
def test_what_is_no_span_is_none(tmp_path: Path, names: str, values: str) -> None:
    described = describe(tmp_path, {**TWO, "t.csv": f"path,{names},caption\na.mp4,{values},a cat\n"})
    assert [item.caption for item in described.listing.items] == ["a cat"]
    assert not described.choice.may_lose_captions


@pytest.mark.parametrize("name", ["second", "time", "in", "frame", "timecode"])
def test_captions_of_moments_of_one_file_are_not_all_of_the_whole(tmp_path: Path, name: str) -> None:
    rows = "a.mp4,1,a cat\na.mp4,7,a dog\nb.mp4,1,a cow\n"
    described = describe(tmp_path, {**TWO, "t.csv": f"path,{name},caption\n{rows}"})
    assert described.choice.may_lose_captions
    assert any(f"rows of one file differ in {name}" in line for line in described.lines())


def test_a_span_that_is_none_is_one_refused_row(tmp_path: Path) -> None:
    rows = "a.mp4,0,2,a cat\na.mp4,2,2,nothing\nb.mp4,-1,3,before\nb.mp4,3,1,turned\nb.mp4,1,3,a dog\n"
    described = describe(tmp_path, {**TWO, "t.csv": f"path,start,end,caption\n{rows}"})
    found = {item.caption: item.span for item in described.listing.items}
    assert found == {"a cat": (0.0, 2.0), "a dog": (1.0, 3.0)}
    assert set(refusals(described).values()) == {"bad_span"}
    assert len(described.listing.refusals) == 3


@pytest.mark.parametrize(
    ("spans", "taken"),
    [
        (("0,1", "0,1"), True),
        (("0,1", "0,9"), True),  # a mistake in one row
        (("100,102", "104,106.2"), False),  # of the films that the files were cut from
        (("0.3,2.3", "0.4,2.4"), False),  # of the same, near their beginnings
        (("0.3,2.1", "0.4,2.1"), True),  # rounded
        (("0,1000", "1000,2000"), None),  # milliseconds
    ],
)
def test_spans_beyond_the_ends_of_the_files(tmp_path: Path, spans: tuple[str, str], taken: bool | None) -> None:
    (tmp_path / "d").mkdir()
    for name in "ab":
        write_video(tmp_path / f"d/{name}.mp4", counter(48, 16, 16), fps=24)  # two seconds
    rows = "".join(f"{name}.mp4,{span},caption of {name}\n" for name, span in zip("ab", spans, strict=True))
    described = describe(tmp_path, {"t.csv": f"path,start,end,caption\n{rows}"})
    assert described.choice.may_lose_captions == (taken is None)
    assert [item.span is not None for item in described.listing.items] == [bool(taken)] * 2
    assert [bool(item.captions) for item in described.listing.items] == [taken is not None] * 2


@pytest.mark.parametrize("second", ["y/a.mp4", "y/b.mp4"])
def test_names_that_may_be_of_several_folders_end_init(tmp_path: Path, second: str) -> None:
    """The one that is found first is a guess, and a file in another folder is not found."""
    table = "path,caption\na.mp4,a cat\nb.mp4,a dog\n"
    described = describe(tmp_path, {"x/a.mp4": b"a video", second: b"a video", "t.csv": table})
    assert described.choice.may_lose_captions
    assert any(second in line and "name the files by their paths" in line for line in described.lines())


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (b"<a>a cat sits there</a>", True), (b"\0a\0 \0c\0a\0t\0 \0s\0i\0t\0s\0 \0h\0e\0r\0e", True),
        ("<a>une bête dort ici là</a>".encode(), True), (b"<!-- made by a program that writes -->", False),
        (b"# settings of the last run\nfps: 24\n", False), (b"/home/a b c d/e", False), (b"<a x='1' y='2'/>", False),
        (bytes(range(256)) * 64, False),
    ],
)  # fmt: skip
def test_sentences_in_files_of_any_kind(begin: bytes, expected: bool) -> None:
    assert holds_sentences(begin) == expected


def test_several_spans_beyond_the_end_of_one_file_are_not_all_the_file(tmp_path: Path) -> None:
    """It is not a clip that was cut by one of them, and their captions are not all of it."""
    (tmp_path / "d").mkdir()
    write_video(tmp_path / "d" / "a.mp4", counter(8), fps=8)
    write_video(tmp_path / "d" / "b.mp4", counter(9), fps=8)
    rows = "path,start,end,caption\na.mp4,0,2,a cat\na.mp4,2,4,a dog\nb.mp4,0,2,a cow\n"
    described = describe(tmp_path, {"t.csv": rows})
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)
    assert any("start and end say several parts of a.mp4, which is shorter" in line for line in described.lines())
    described = describe(tmp_path, {"t.csv": rows.replace("2,4,a dog", "0,2,a dog")})
    assert {item.source: [caption.text for caption in item.captions] for item in described.listing.items} == {
        "a.mp4": ["a cat", "a dog"], "b.mp4": ["a cow"],
    }  # fmt: skip
