"""Members of tars beside the inputs: what they are is said, and captions in them are not lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.layout_folder import V
from tests.support.miniatures import describe, refusals, tar


@pytest.mark.parametrize("further", [("control__mp4",), ("control__mp4", "mask__png"), ("first-frame__jpg",)])
def test_videos_beside_a_captioned_one_are_no_inputs(tmp_path: Path, further: tuple[str, ...]) -> None:
    members: dict[str, Any] = {f"{key}__{name}": V for key in "ab" for name in ("mp4", *further)}
    described = describe(tmp_path, {"0.tar": tar(**members, a__txt="a cat", b__txt="a dog")})
    assert {item.source: item.caption for item in described.listing.items} == {
        "0.tar::a.mp4": "a cat", "0.tar::b.mp4": "a dog",
    }  # fmt: skip
    assert not refusals(described)
    said = ", .".join(sorted(name.replace("__", ".") for name in further))
    assert any(f"members .{said} beside .mp4 are not inputs" in line for line in described.lines())


@pytest.mark.parametrize("name", ["c__mp4", "c__control__mp4"])
def test_a_video_beside_none_is_still_refused_by_name(tmp_path: Path, name: str) -> None:
    members: dict[str, Any] = {"a__mp4": V, "a__control__mp4": V, name: V}
    described = describe(tmp_path, {"0.tar": tar(**members, a__txt="a cat")})
    assert refusals(described)[f"0.tar::{name.replace('__', '.')}"] == "no_caption"


@pytest.mark.parametrize(
    "record",
    [
        {"segments": [{"start": 0, "end": 3, "caption": "a cat"}]}, {"about": {"what": "a cat that runs"}},
        {"parts": [{"caption": {"text": "a cat"}}]},
    ],
)  # fmt: skip
def test_captions_inside_of_records_that_are_not_understood_end_init(tmp_path: Path, record: dict[str, Any]) -> None:
    described = describe(tmp_path, {"0.tar": tar(a__mp4=V, a__json=json.dumps(record))})
    assert described.choice.may_lose_captions
    assert any("members .json: no captions were found in them" in line for line in described.lines())


@pytest.mark.parametrize("record", [{"fps": 24, "key": "a"}, {"status": "success", "url": "https://x.y/a b c"}])
def test_records_without_texts_end_nothing(tmp_path: Path, record: dict[str, Any]) -> None:
    described = describe(tmp_path, {"0.tar": tar(a__mp4=V, a__json=json.dumps(record))})
    assert not described.choice.may_lose_captions


def test_thumbnails_in_tars_are_counted(tmp_path: Path) -> None:
    members: dict[str, Any] = {f"{key}__{name}": V for key in "ab" for name in ("mp4", "jpg")}
    described = describe(tmp_path, {"0.tar": tar(**members, a__txt="a cat", b__txt="a dog")})
    assert any("2 stills have a video's name" in line for line in described.lines())
