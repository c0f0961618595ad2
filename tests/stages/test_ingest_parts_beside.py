"""Parts that a table beside each video lists, from what ``walt init`` finds to the clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ingest_project import ingest_source
from tests.support.media import counter, write_video
from walt.core.paths import Paths
from walt.data.manifest import read_manifest, read_rejects
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import Given, describe_files
from walt.ingest.sources.adapters import list_items

CAT = {"start": 1, "end": 2, "caption": "a cat"}
DOG = {"start": 3, "end": 4, "caption": "a dog"}


@pytest.mark.slow
def test_parts_become_clips_with_their_captions(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, name in enumerate(("a", "b", "b_mask")):
        write_video(videos / f"{name}.mp4", counter(48 + number), fps=8)
    (videos / "a.json").write_text(json.dumps([CAT]))
    (videos / "b.json").write_text(json.dumps([{**CAT, "end": 2.2}, DOG, {**DOG, "start": 30, "end": 31}]))
    source = describe_files(tmp_path, Given("videos")).descriptor.source
    ingest_source(tmp_path, source.model_dump(mode="json"), caption_required=True)
    rows = read_manifest(Paths(tmp_path).manifest)
    assert {(row.source, row.caption, row.start_seconds) for row in rows} == {
        ("a.mp4#t=1,2", "a cat", 1.0), ("b.mp4#t=1,2.2", "a cat", 1.0), ("b.mp4#t=3,4", "a dog", 3.0),
    }  # fmt: skip
    assert [row.source for row in read_rejects(Paths(tmp_path).rejects)] == ["b.mp4#t=30,31"]


def test_the_descriptor_says_it_as_text(tmp_path: Path) -> None:
    """As YAML holds it: parts, and what is left out."""
    files = dict.fromkeys(("a.mp4", "a_mask.mp4"), b"a video") | {"a.json": json.dumps([CAT, DOG]).encode()}
    (tmp_path / "videos").mkdir()
    for name, content in files.items():
        (tmp_path / "videos" / name).write_bytes(content)
    found = describe_files(tmp_path, Given("videos")).descriptor
    again = Descriptor.model_validate(json.loads(found.model_dump_json()), strict=False)
    listing = list_items(again, tmp_path, "videos", 100)
    assert [(item.source, item.caption) for item in listing.items] == [
        ("a.mp4#t=1,2", "a cat"),
        ("a.mp4#t=3,4", "a dog"),
    ]
    assert not listing.refusals
