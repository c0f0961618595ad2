"""Captions of parts in lists that are inside of other lists, as Ego4D and tools for annotation write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.layout_folder import TWO, V
from tests.support.media import counter, write_video
from tests.support.miniatures import describe
from walt.ingest.describe_files import Described
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.tables.cells import BadValue
from walt.ingest.tables.read import exploded


def clips(start: str = "clip_start_sec", end: str = "clip_end_sec", text: str = "description") -> dict[str, Any]:
    """A film with two clips of which one is here, as Ego4D nests them."""
    first = [{start: 0.5, end: 2.0, text: "a man cuts an onion"}, {start: 2, end: 3.5, text: "he fries it"}]
    inside = [
        {"clip_uid": "a", "annotations": [{"language_queries": first}]},
        {"clip_uid": "b", "annotations": [{"language_queries": [{start: 1, end: 2, text: "a dog barks there"}]}]},
    ]
    return {"version": "1", "split": "val", "videos": [{"video_uid": "film", "clips": inside}]}


def parts(described: Described) -> dict[str, str | None]:
    return {item.source: item.caption for item in described.listing.items}


def test_lists_inside_of_lists(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "nlq.json": clips()})
    assert parts(described) == {
        "a#t=0.5,2": "a man cuts an onion", "a#t=2,3.5": "he fries it", "b#t=1,2": "a dog barks there",
    }  # fmt: skip
    assert {item.split for item in described.listing.items} == {"held_out"}
    assert {item.group for item in described.listing.items} == {"film"}
    assert not described.choice.may_lose_captions


def test_moments_of_the_film_are_not_those_of_its_clips(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "nlq.json": clips("video_start_sec", "video_end_sec")})
    assert described.choice.may_lose_captions
    described = describe(tmp_path / "film", {"film.mp4": V, "nlq.json": clips("video_start_sec", "video_end_sec")})
    assert parts(described)["film#t=0.5,2"] == "a man cuts an onion"


def test_texts_under_another_name_end_init_and_can_be_named(tmp_path: Path) -> None:
    files = {**TWO, "nlq.json": clips(text="query")}
    assert describe(tmp_path, files).choice.may_lose_captions
    named = TableColumns(captions=("clips.annotations.language_queries.query",))
    assert parts(describe(tmp_path, {}, columns=named))["b#t=1,2"] == "a dog barks there"


def test_captions_of_moments_without_an_end(tmp_path: Path) -> None:
    """Ego4D's narrations."""
    said = [{"timestamp_sec": 1.2, "timestamp_frame": 36, "narration_text": "#C C picks a cup"}]
    whole = {"videos": {"a": {"narration_pass_1": {"narrations": said}, "narration_pass_2": {"narrations": said}}}}
    described = describe(tmp_path, {**TWO, "narration.json": whole})
    assert described.choice.may_lose_captions
    assert any(
        "narration_pass_2.narrations.narration_text: of no part a start and an end in seconds, only timestamp_frame, "
        "timestamp_sec: write a table of them" in line
        for line in described.lines()
    ), described.lines()


def test_texts_beside_them_that_have_a_start_and_an_end_are_named(tmp_path: Path) -> None:
    """Ego4D's summaries, which its file of narrations holds too."""
    said = [{"timestamp_sec": 1.2, "timestamp_frame": 36, "narration_text": "#C C picks a cup"}]
    summaries = [{"start_sec": 0.0, "end_sec": 3.0, "summary_text": "#Summary C makes tea", "_annotation_uid": "1"}]
    passes = {"narration_pass_1": {"narrations": said, "summaries": summaries}, "status": "complete"}
    described = describe(tmp_path, {**TWO, "narration.json": {"videos": {"a": passes}}})
    assert described.choice.may_lose_captions
    column = "narration_pass_1.summaries.summary_text"
    assert any(f"--caption-column reads {column}, which have them" in line for line in described.lines())
    assert parts(describe(tmp_path, {}, columns=TableColumns(captions=(column,)))) == {
        "a#t=0,3": "#Summary C makes tea"
    }


def test_one_of_two_lists_of_captions_is_named(tmp_path: Path) -> None:
    record = {"id": "a", "x": {"shots": [{"start": 0, "end": 1, "caption": "a cat"}]},
              "y": {"scenes": [{"start": 0, "end": 2, "caption": "cats"}]}}  # fmt: skip
    described = describe(tmp_path, {**TWO, "t.json": {"films": [record]}})
    assert described.choice.may_lose_captions
    assert any("captions in x.shots.caption and in y.scenes.caption" in line for line in described.lines())
    named = describe(tmp_path, {}, columns=TableColumns(captions=("y.scenes.caption",)))
    assert parts(named) == {"a#t=0,2": "cats"}


def test_parts_beyond_the_end_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        write_video(tmp_path / "d" / f"{name}.mp4", counter(8), fps=8)
    described = describe(tmp_path, {"nlq.json": clips()})
    assert described.choice.may_lose_captions
    assert any("are not seconds of these files" in line for line in described.lines())


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"a": [{"b": [1, 2]}, {"b": [3]}]}, [{"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": 3}}]),
        ({"a": [{"b": []}, {"b": [3]}]}, [{"a": {"b": 3}}]),
        ({"a": {"x": {"b": [1]}}}, [{"a": {"$key": "x", "b": 1}}]),
        ({"a": [{"c": 1}]}, [BadValue("there is no list at 'a.b'")]),
        ({"a": 1}, [BadValue("there is no list at 'a'")]),
    ],
)
def test_a_record_for_each_element_of_lists_in_lists(record: dict[str, Any], found: list[Any]) -> None:
    assert [each for _, each in exploded([(1, record)], ("a", "a.b"))] == found
