"""Masks, depth, poses and the like beside videos: no inputs without captions, and no refused ones by the hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import TWO, Files, V
from tests.support.miniatures import describe, refusals
from walt.ingest.layouts.companions import companions
from walt.ingest.sources.adapters import list_items

TEXTS = {"a.txt": "a cat", "b.txt": "a dog"}
TABLE = {"t.csv": "path,caption\na.mp4,a cat\nb.mp4,a dog\n"}


@pytest.mark.parametrize("captions", [TEXTS, TABLE], ids=["texts", "table"])
@pytest.mark.parametrize(
    ("further", "glob"),
    [
        ({"a_mask.mp4": V, "b_mask.mp4": V}, "**/*_mask.*"), ({"a-masklabel.png": V}, "**/*-masklabel.*"),
        ({"a.depth.mp4": V, "b.depth.mp4": V}, "**/*.depth.*"), ({"depth/a.mp4": V, "depth/b.mp4": V}, "depth/**/*"),
        ({"control/a_0.png": V, "control/a_1.png": V}, "control/**/*"),
        ({"a_first_frame.png": V}, "**/*_first_frame.*"),
        ({"videos_pose/a.mp4": V}, "videos_pose/**/*"), ({"a_ref1.png": V, "a_ref2.png": V}, "**/*_ref*.*"),
    ],
)  # fmt: skip
def test_files_that_belong_to_others_are_no_inputs(tmp_path: Path, captions: Files, further: Files, glob: str) -> None:
    described = describe(tmp_path, {**TWO, **captions, **further})
    assert {item.source: item.caption for item in described.listing.items} == {"a.mp4": "a cat", "b.mp4": "a dog"}
    assert not described.listing.refusals
    assert f"  files that belong to others are not inputs: {glob} ({len(further)})" in list(described.lines())
    assert not list_items(described.descriptor, tmp_path, "d", 200).refusals


def test_a_video_that_is_only_called_so_is_refused_by_name(tmp_path: Path) -> None:
    """It belongs to no other, or has no such word in its name."""
    described = describe(tmp_path, {**TWO, **TEXTS, "x_mask.mp4": V, "a_2.mp4": V, "masks/y.mp4": V, "old/a.mp4": V})
    assert set(refusals(described)) == {"x_mask.mp4", "a_2.mp4", "masks/y.mp4", "old/a.mp4"}


def test_one_with_a_caption_is_an_input(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, **TEXTS, "a_mask.mp4": V, "b_mask.mp4": V, "b_mask.txt": "a man in a mask"})
    assert [item.source for item in described.listing.items] == ["a.mp4", "b.mp4", "b_mask.mp4"]
    assert refusals(described) == {"a_mask.mp4": "no_caption"}


def test_without_captions_all_are_inputs(tmp_path: Path) -> None:
    assert len(describe(tmp_path, {**TWO, "a_mask.mp4": V}).listing.items) == 3


def test_a_glob_for_each_kind() -> None:
    found = companions(["v/a_mask.mp4", "v/b_mask.mp4", "depth/x/a.mp4", "c.mp4"], ["v/a.mp4", "v/b.mp4"])
    assert found == {"**/*_mask.*": 2, "depth/**/*": 1}
