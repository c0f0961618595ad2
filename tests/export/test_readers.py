"""Exports loaded by the packages that others use, as they are installed beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import webdataset

from tests.support.export_project import ROWS, exported, row, stored, write_project
from walt.export.layouts import LAYOUTS

KEYS = {one.key: one for one in ROWS}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All layouts, in folders of their names."""
    root = tmp_path_factory.mktemp("project")
    paths = write_project(root)
    for layout in LAYOUTS:
        exported(paths, root / layout, layout)
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``datasets`` prepares goes to a folder of the test."""
    import datasets  # here: each process of pytest-xdist would load it to collect these tests, which one runs

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def load(*arguments: Any, **options: Any) -> Any:
    """``datasets.load_dataset`` with pictures as bytes."""
    import datasets

    found = datasets.load_dataset(*arguments, **options)
    kinds = (datasets.Video, datasets.Image)
    for name, kind in next(iter(found.values())).features.items():
        if isinstance(kind, kinds):
            found = found.cast_column(name, type(kind)(decode=False))
    return found


def check(found: Any, kind: str) -> None:
    """Both splits have the clips of a kind, with their bytes, captions and labels."""
    for name, split in (("train", "train"), ("validation", "held_out")):
        expected = [one for one in ROWS if (one.kind, one.split) == (kind, split)]
        assert len(found[name]) == len(expected)
        for sample, one in zip(found[name], expected, strict=True):
            picture = sample.get("mp4") or sample.get("png") or sample.get("video") or sample["image"]
            data = picture["bytes"] if picture["bytes"] is not None else Path(picture["path"]).read_bytes()
            assert data == stored(one, 32)["mp4" if kind == "video" else "png"]
            caption = sample["caption"] or "" if "caption" in sample else sample["txt"]
            assert caption == (one.caption or "")
            assert (sample["label"] if "label" in sample else sample["cls"]) == one.label


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video", "image"])
def test_datasets_loads_tars_by_the_card_or_by_the_folder(exports: Path, kind: str) -> None:
    check(load(str(exports / "webdataset"), kind), kind)
    check(load(str(exports / "webdataset" / kind)), kind)
    check(load("webdataset", data_dir=str(exports / "webdataset" / kind)), kind)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_datasets_loads_tars_for_energon_by_the_card(exports: Path, kind: str) -> None:
    """By the folder it would take energon's ``.tar.idx`` files for tars."""
    check(load(str(exports / "energon"), kind), kind)


@pytest.mark.slow
def test_datasets_loads_video_folders_by_the_card_or_by_the_folder(exports: Path) -> None:
    check(load(str(exports / "videofolder")), "video")
    check(load("videofolder", data_dir=str(exports / "videofolder/video")), "video")
    check(load("imagefolder", data_dir=str(exports / "videofolder/image")), "image")


@pytest.mark.parametrize("layout", ["webdataset", "videofolder"])
def test_datasets_loads_clips_of_which_only_later_ones_have_captions(tmp_path: Path, layout: str) -> None:
    """It infers types from the first five samples, where a missing caption would have none."""
    rows = (*(row(f"v{number}", captioned=False, label=None) for number in range(7)), row("v8"), row("v9", "held_out"))
    exported(write_project(tmp_path, rows), tmp_path / "out", layout)
    found = load(str(tmp_path / "out"))["train"]
    captions = found["txt"] if layout == "webdataset" else [text or "" for text in found["caption"]]
    assert list(captions) == [""] * 7 + [rows[7].caption]


@pytest.mark.parametrize("kind", ["video", "image"])
def test_webdataset_loads_tars_by_their_range(exports: Path, kind: str) -> None:
    last = len(list((exports / f"webdataset/{kind}").glob("train-*.tar"))) - 1
    urls = f"{exports}/webdataset/{kind}/train-{{000000..{last:06d}}}.tar"
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode(only=("txt", "cls", "json")))
    expected = [one for one in ROWS if (one.kind, one.split) == (kind, "train")]
    assert [sample["__key__"] for sample in samples] == [one.key for one in expected]
    for sample, one in zip(samples, expected, strict=True):
        assert (sample["txt"], sample["cls"], sample["json"]["caption"]) == (
            one.caption or "",
            one.label,
            sample["txt"],
        )
        picture = stored(one, 32)["mp4" if kind == "video" else "png"]
        assert sample["mp4" if kind == "video" else "png"] == picture


@pytest.mark.parametrize("layout", LAYOUTS)
def test_croissants_own_checker_finds_no_error_and_reads_every_clip(exports: Path, layout: str) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(exports / layout / "croissant.json"))
    assert not dataset.metadata.issues.errors
    captions = {}
    for table in dataset.metadata.record_sets:
        for record in dataset.records(table.uuid):
            captions[record[f"{table.uuid}/key"].decode()] = record[f"{table.uuid}/caption"]
    assert captions.keys() == KEYS.keys()
    for key, caption in captions.items():
        assert (caption.decode() if isinstance(caption, bytes) else None) == KEYS[key].caption
