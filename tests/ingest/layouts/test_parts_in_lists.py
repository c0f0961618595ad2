"""Records that list the parts of their files: each part has its caption, or init ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import Files
from tests.support.media import counter, write_video
from tests.support.miniatures import describe, lines
from walt.ingest.describe_files import Described

PARTS = [(0.5, 1.5, "a cat"), (1.5, 3.0, "a dog")]
EVENTS = [{"start": begin, "end": end, "text": text} for begin, end, text in PARTS]
STAMPS = [{"span": [f"0:00:0{begin}", f"0:00:0{end}"], "caption": text, "score": 0.5} for begin, end, text in PARTS]
CLIPS = [{"clip_id": f"a.{number}.mp4", **part} for number, part in enumerate(STAMPS)]


def described_with(tmp_path: Path, files: Files) -> Described:
    """What init makes of a video of 3 s and these files."""
    (tmp_path / "d").mkdir(parents=True, exist_ok=True)
    write_video(tmp_path / "d" / "a.mp4", counter(24), fps=8)
    return describe(tmp_path, files)


def quoted(text: str) -> str:
    """A cell of a CSV."""
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize(
    "files",
    [
        {
            "panda.csv": "videoID,url,timestamp,caption,matching_score\na,https://www.youtube.com/watch?v=a,"
            "\"[['0:00:00.5', '0:00:01.5'], ['0:00:01.5', '0:00:03.0']]\",\"['a cat', 'a dog']\",\"[0.5, 0.4]\"\n"
        },
        {"t.jsonl": lines({"video": "a.mp4", "captions": EVENTS})},
        {"t.json": {"data": [{"video": "a.mp4", "events": STAMPS}]}},
        {"t.csv": f"video,events\na.mp4,{quoted(json.dumps(EVENTS))}\n"},
        {"t.parquet": pa.table({"video": ["a.mp4"], "captions": [EVENTS]})},
        {"t.jsonl": lines({"video_id": "a", "clip": CLIPS})},
    ],
    ids=["lists in a CSV", "records in lines", "records in JSON", "records in a CSV", "records in Parquet", "HD-VILA"],
)  # fmt: skip
def test_each_part_has_its_caption(tmp_path: Path, files: Files) -> None:
    described = described_with(tmp_path, files)
    assert [(item.span, item.caption) for item in described.listing.items] == [
        ((begin, end), text) for begin, end, text in PARTS
    ]
    assert not described.listing.refusals


def test_clips_that_were_cut_as_hd_vila_lists_them_have_their_captions(tmp_path: Path) -> None:
    cut = {"clips/a.0.mp4": b"a video", "clips/a.1.mp4": b"a video"}
    described = describe(tmp_path, {**cut, "t.jsonl": lines({"video_id": "a", "clip": CLIPS})})
    assert {item.source: (item.span, item.caption) for item in described.listing.items} == {
        "a.0.mp4": (None, "a cat"), "a.1.mp4": (None, "a dog"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (["a cat runs by", "one cat"], "notes"), ([{"who": 1, "what": "a cat runs by"}], "notes.*.what"),
        (quoted("['a cat runs by', 'one cat']"), "notes"),
        (quoted("[{'who': 1, 'what': 'a cat runs by'}]"), "notes.*.what"),
    ],
    ids=["texts", "records", "texts in a CSV", "records in a CSV"],
)  # fmt: skip
@pytest.mark.parametrize("with_spans", [True, False])
def test_texts_in_lists_under_other_names_are_named(
    tmp_path: Path, value: Any, column: str, with_spans: bool
) -> None:  # fmt: skip
    span: dict[str, Any] = {"start": 1, "end": 2} if with_spans else {}
    in_a_csv = ",".join(("video", *span, "notes")) + "\n" + ",".join(("a.mp4", *map(str, span.values()), str(value)))
    files = (
        {"t.csv": in_a_csv}
        if isinstance(value, str)
        else {"t.jsonl": lines({"video": "a.mp4", **span, "notes": value})}
    )
    described = described_with(tmp_path, files)
    assert described.choice.may_lose_captions
    assert any(f"column '{column}' of t." in line for line in described.lines())


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("times", [[[0, 0], [0, 1]], [[1, 1]]]), ("relevant_windows", [[[0, 2]], [[2, 3]]]),
        ("event_range", [[30, 60], [60, 90]]),
    ],
)  # fmt: skip
def test_captions_of_parts_in_other_units_are_none_of_the_whole_file(
    tmp_path: Path, column: str, values: list[Any]
) -> None:
    """As in DiDeMo, whose parts are counted in fives of seconds."""
    rows = [
        {"video": "a.mp4", "description": text, column: value}
        for (_, _, text), value in zip(PARTS, values, strict=True)
    ]
    described = described_with(tmp_path, {"t.json": rows})
    assert described.choice.may_lose_captions
    assert any(column in line and "--caption-column" in line for line in described.lines())


@pytest.mark.parametrize("name", ["ts", "times", "window"])
def test_spans_under_further_names(tmp_path: Path, name: str) -> None:
    rows = lines(*({"video": "a.mp4", "caption": text, name: [begin, end]} for begin, end, text in PARTS))
    described = described_with(tmp_path, {"t.jsonl": rows})
    assert [item.span for item in described.listing.items] == [(0.5, 1.5), (1.5, 3.0)]


@pytest.mark.parametrize(
    "content",
    [
        {"a.mp4": {"timestamps": [[24, 125], [125, 200]], "sentences": ["a cat", "a dog"], "fps": 29.4}},  # TACoS
        [{"video": "a.mp4", "captions": [{"start": 24, "end": 125, "text": "a cat"}]}],
    ],
)
def test_frames_in_place_of_seconds_are_told_by_the_file_s_length(tmp_path: Path, content: Any) -> None:
    described = described_with(tmp_path, {"t.json": content})
    assert described.choice.may_lose_captions
    assert any("which lasts 3.0 s" in line for line in described.lines())


def test_several_captions_as_records_are_all_taken(tmp_path: Path) -> None:
    captions = [{"lang": "en", "text": "a cat"}, {"lang": "de", "text": "eine Katze"}]
    described = described_with(tmp_path, {"t.jsonl": lines({"video": "a.mp4", "captions": captions})})
    assert [[caption.text for caption in item.captions] for item in described.listing.items] == [
        ["a cat", "eine Katze"]
    ]


def test_captions_of_something_inside_the_picture_are_not(tmp_path: Path) -> None:
    captions = [{"box": [0, 0, 4, 4], "text": "a cat"}]
    described = described_with(tmp_path, {"t.jsonl": lines({"video": "a.mp4", "captions": captions})})
    assert described.choice.may_lose_captions


def test_what_a_chat_says_is_named(tmp_path: Path) -> None:
    """As in LLaVA's conversations: an answer may be a caption, or not."""
    chat = [{"from": "human", "value": "<video>\nWhat is it?"}, {"from": "gpt", "value": "A cat on a roof."}]
    described = described_with(tmp_path, {"t.json": [{"id": "1", "video": "a.mp4", "conversations": chat}]})
    assert described.choice.may_lose_captions
    assert any("'conversations.-1.value' of t.json" in line for line in described.lines())


COCO: dict[str, Any] = {
    "videos": [{"id": 1, "file_name": "a.mp4"}, {"id": 2, "file_name": "b.mp4"}],
    "annotations": [{"id": 7, "video_id": 1, "caption": "a cat"}, {"id": 8, "video_id": 1, "caption": "one cat"}],
}


def test_annotations_in_the_form_of_coco(tmp_path: Path) -> None:
    described = described_with(tmp_path, {"notes/captions.json": COCO})
    assert [[caption.text for caption in item.captions] for item in described.listing.items] == [["a cat", "one cat"]]
    images = {"images": COCO["videos"], "annotations": [{"id": 7, "image_id": 1, "caption": "a cat"}]}
    described = described_with(tmp_path / "images", {"captions.json": images})
    assert [item.caption for item in described.listing.items] == ["a cat"]


def test_annotations_of_regions_and_of_parts_that_cannot_be_told_are_not_of_the_file(tmp_path: Path) -> None:
    for name, further in (("regions", {"bbox": [0, 0, 4, 4]}), ("parts", {"start_frame": 3})):
        notes = [{**note, **further} for note in COCO["annotations"]]
        described = described_with(tmp_path / name, {"captions.json": {**COCO, "annotations": notes}})
        assert described.choice.may_lose_captions, name
    notes = [{**COCO["annotations"][0], "segment": [0.5, 1.5]}]
    described = described_with(tmp_path, {"captions.json": {**COCO, "annotations": notes}})
    assert [(item.caption, item.span) for item in described.listing.items] == [("a cat", (0.5, 1.5))]


def test_didemo_as_it_is_published_says_how_to_go_on(tmp_path: Path) -> None:
    """Each of four people said from which to which five seconds a moment is."""
    row = {"times": [[0, 0], [0, 0], [0, 1], [0, 0]], "description": "a cat jumps", "video": "a.mp4"}
    rows = [
        {**row, "annotation_id": 1, "num_segments": 6, "dl_link": "https://x.y/v?id=1", "reference_description": ""}
    ]
    described = described_with(tmp_path, {"train_data.json": rows})
    assert described.choice.may_lose_captions
    assert any("times ([[0, 0], [0, 0], [0, 1], [0, 0]]) seems to be a span" in line for line in described.lines())
    assert not any(item.captions for item in described.listing.items)
