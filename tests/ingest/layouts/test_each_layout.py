"""Every layout in which people keep videos and captions, as a miniature: what is chosen, and what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import V
from tests.support.miniatures import OF_TRAINERS, describe, lines
from tests.support.miniatures_of_datasets import OF_DATASETS
from walt.ingest.sources.kinds import FileList

LAYOUTS = OF_TRAINERS | OF_DATASETS


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_arrives_whole(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    described = describe(tmp_path, layout.files, **layout.given)
    items = {item.source: item for item in described.listing.items}
    assert {source: [caption.text for caption in item.captions] for source, item in items.items()} == layout.captions
    assert described.descriptor.source.kind == layout.kind
    assert described.descriptor.caption_required == any(layout.captions.values())
    for source, span in layout.spans.items():
        assert items[source].span == span
    assert {source: item.split for source, item in items.items() if item.split} == layout.splits
    assert {source: item.label for source, item in items.items() if item.label is not None} == layout.labels
    assert {source: item.group for source, item in items.items() if item.group is not None} == layout.groups
    for source, numbers in layout.numbers.items():
        assert items[source].numbers == numbers
    if layout.names:
        assert tuple(caption.name for caption in next(iter(items.values())).captions) == layout.names


SEGMENTS = {"A": {"subset": "training", "annotations": [{"segment": [0, 3], "sentence": "a cat"}]},
            "B": {"subset": "validation", "annotations": [{"segment": [1, 2], "sentence": "a dog"}]}}  # fmt: skip


def test_a_database_of_segments(tmp_path: Path) -> None:
    """As YouCook2 and ActivityNet's challenges have it."""
    described = describe(tmp_path, {"v/A.mp4": V, "v/B.mp4": V, "t.json": {"version": 1, "database": SEGMENTS}})
    found = {item.source: (item.caption, item.span, item.split) for item in described.listing.items}
    assert found == {"A#t=0,3": ("a cat", (0.0, 3.0), "train"), "B#t=1,2": ("a dog", (1.0, 2.0), "held_out")}


def test_folders_of_frames_that_a_table_names(tmp_path: Path) -> None:
    """The rate is a guess that one line says; a folder that no row names does not become stills."""
    described = describe(tmp_path, {
        **{f"frames/{name}/{number:03}.png": V for name in "abc" for number in range(8)}, "clip.mp4": V,
        "data.jsonl": lines(
            *({"video_path": f"frames/{name}", "caption": name} for name in "ab"),
            {"video_path": "clip.mp4", "caption": "c"},
        ),
    })  # fmt: skip
    source = described.descriptor.source
    assert isinstance(source, FileList)
    assert (source.fps, source.unlisted) == (24.0, "ignore")
    assert [item.source for item in described.listing.items] == ["clip.mp4", "frames/a", "frames/b"]
    assert any("24 per second is a guess (source.fps)" in line for line in described.lines())


@pytest.mark.slow
def test_of_a_large_table_the_rows_of_the_files_that_are_here_count(tmp_path: Path) -> None:
    rows = "".join(f"{number}.mp4,caption {number}\n" for number in range(5000))
    described = describe(tmp_path, {"4321.mp4": V, "all.csv": f"video,caption\n{rows}"})
    assert [item.caption for item in described.listing.items] == ["caption 4321"]
    assert described.listing.refusals == []
    assert "  4999 rows have no file here: they are left out (absent: skip)" in list(described.lines())
