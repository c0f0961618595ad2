"""Columns that say something about captions are none, whatever they are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import TWO, Files, V
from tests.support.miniatures import describe, lines
from walt.ingest.layouts.usual_names import is_caption

ABOUT = {
    "caption_similarity": 0.31, "num_captions": 5, "captioned": True, "captioner": "blip2", "captioned_by": "Bob",
    "caption_method": "beam", "caption_hash": "ab12", "caption_date": "2024-01-01", "negative_caption": "ugly",
    "captionScore": "good", "captionid": "x7", "caption_prompt": "Describe this video.", "caption_clip": 0.3,
    "captioning_model": "x", "is_caption_valid": "yes",
}  # fmt: skip
CAPTIONS = {"caption_en": "a cat", "captionLong": "a small cat", "recaption": "one cat", "caption2": "this cat"}


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet", "beside"])
def test_columns_about_captions_are_no_captions(form: str, tmp_path: Path) -> None:
    rows = [{"path": name, **ABOUT, **CAPTIONS} for name in TWO]
    files: dict[str, Files] = {
        "csv": {"m.csv": "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])},
        "jsonl": {"m.jsonl": lines(*rows)},
        "json": {"m.json": rows},
        "parquet": {"m.parquet": pa.Table.from_pylist(rows)},
        "beside": {"a.json": rows[0], "b.json": rows[1]},
    }
    described = describe(tmp_path, {**TWO, **files[form]})
    assert len(described.listing.items) == 2
    for item in described.listing.items:
        assert {caption.name: caption.text for caption in item.captions} == CAPTIONS


@pytest.mark.parametrize(
    "about", [{"caption_similarity": 0.3}, {"num_captions": 3}, {"caption_prompt": "Describe it."}]
)
def test_where_nothing_else_may_be_a_caption_init_ends(about: dict[str, Any], tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": V, "m.jsonl": json.dumps({"path": "a.mp4", **about})})
    assert not described.choice.captioned
    assert described.choice.may_lose_captions


def test_a_map_of_numbers_holds_no_captions(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "classes.json": {"a.mp4": 3, "b.mp4": 4}})
    assert not described.choice.captioned
    assert described.choice.may_lose_captions


@pytest.mark.parametrize(
    "name",
    ["caption", "Caption", "caption_0", "captions1", "captiontext", "densecaption", "enCaption", "source_caption",
     "short-caption", "user_caption", "scene.caption", "captions.en", "model.long_caption"],
)  # fmt: skip
def test_names_of_captions(name: str) -> None:
    assert is_caption(name)


@pytest.mark.parametrize(
    "name", ["uncaptioned", "caption.score", "captions.num_tokens", "captionScores", "has_caption"]
)
def test_names_of_other_columns(name: str) -> None:
    assert not is_caption(name)
