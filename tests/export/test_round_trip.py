"""What was exported, listed with our own kinds of sources, is what was stored."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import ingest_project
from tests.support.export_project import FACTS, ROWS, exported, lines_of, stored, write_project
from tests.support.ingest_project import ingest_source, make_project
from tests.support.sources import by_source, list_source
from walt.core.paths import Paths
from walt.data.manifest import ManifestRow, read_manifest, read_rejects
from walt.ingest.sources.items import Item
from walt.ingest.sources.locations import local_copy
from walt.pages.stored_clips import StoredClips

KEYS = {one.key: one for one in ROWS}
SPLITS = {"train": "train", "validation": "held_out"}


def content(item: Item) -> bytes:
    """Its bytes, wherever they are."""
    with TemporaryDirectory() as folder, local_copy(item.path, Path(folder)) as path:
        return path.read_bytes()


def same(item: Item, one: ManifestRow, split: str) -> bool:
    """Whether an input is a clip: its bytes, kind, captions and label, and the split of its tar or folder."""
    data = content(item)
    picture = stored(one, 32)["mp4" if one.kind == "video" else "png"]
    said = (item.kind, item.caption, item.label, SPLITS[split])
    return data == picture and said == (one.kind, one.caption, one.label, one.split)


@pytest.mark.parametrize("layout", ["webdataset", "energon"])
def test_tars_listed_again_are_the_same_clips_captions_labels_and_splits(tmp_path: Path, layout: str) -> None:
    exported(write_project(tmp_path), tmp_path / "out", layout)
    source = {"kind": "webdataset", "tars": ["*/*.tar"], "caption": "txt", "damaged": "stop"}
    assert FACTS.classes is not None
    (tmp_path / "classes.txt").write_text("\n".join(FACTS.classes))
    listing = list_source(tmp_path, source, "out", caption_required=False, classes="classes.txt")
    assert not listing.refusals
    items = by_source(listing)
    assert len(items) == len(ROWS)
    for name, item in items.items():
        tar, _, member = name.partition("::")
        assert same(item, KEYS[member.partition(".")[0]], Path(tar).name.partition("-")[0])


@pytest.mark.parametrize("layout", ["webdataset", "energon"])
def test_the_json_of_a_sample_gives_the_same_captions(tmp_path: Path, layout: str) -> None:
    exported(write_project(tmp_path), tmp_path / "out", layout)
    source = {"kind": "webdataset", "tars": ["*/*.tar"], "caption": "json:caption", "damaged": "stop"}
    items = list_source(tmp_path, source, "out", caption_required=False).items
    captions = {item.source.rpartition("::")[2].partition(".")[0]: item.caption for item in items}
    assert captions == {one.key: one.caption for one in ROWS}


def test_a_video_folder_read_by_its_tables_is_the_same_clips_captions_labels_and_splits(tmp_path: Path) -> None:
    exported(write_project(tmp_path), tmp_path / "out", "videofolder")
    source = {"kind": "folder", "patterns": ["**/*"]}
    files = by_source(list_source(tmp_path, source, "out", caption_required=False))
    found = set()
    for table in (tmp_path / "out").glob("*/*/metadata.jsonl"):
        for line in lines_of(table):
            name = (table.parent / line["file_name"]).relative_to(tmp_path / "out").as_posix()
            one = KEYS[line["key"]]
            assert content(files[name]) == stored(one, 32)["mp4" if one.kind == "video" else "png"]
            captions = [] if one.caption is None else [one.caption]
            assert (line["caption"], line["captions"]) == (one.caption, captions)
            assert (line["kind"], line["label"], SPLITS[table.parent.name]) == (one.kind, one.label, one.split)
            found.add(name)
    assert found == files.keys()
    assert len(found) == len(ROWS)


def test_what_was_ingested_exported_and_ingested_again_is_the_same_clips(tmp_path: Path) -> None:
    """Through the whole stage: every clip is accepted as one clip, with its caption, frames and pixels."""
    first, second = tmp_path / "first", tmp_path / "second"
    make_project(first)
    ingest_project.run(first)
    exported(Paths(first), second / "videos", "webdataset", size=(32, 32))
    tars = {"kind": "webdataset", "tars": ["*/*.tar"], "caption": "txt", "damaged": "stop"}
    figures = ingest_source(second, tars)
    assert not read_rejects(Paths(second).rejects)
    before, after = read_manifest(Paths(first).manifest), read_manifest(Paths(second).manifest)
    assert figures["clips"] == len(before)
    originals = {one.key: one for one in before}
    pixels = [dict(StoredClips(Paths(root).clips).read(rows)) for root, rows in ((first, before), (second, after))]
    for one in after:
        original = originals.pop(one.source.rpartition("::")[2].partition(".")[0])
        assert (one.kind, one.caption, one.num_frames) == (original.kind, original.caption, original.num_frames)
        difference = pixels[0][original.key].astype(int) - pixels[1][one.key].astype(int)
        assert abs(difference).mean() < 2
    assert not originals
