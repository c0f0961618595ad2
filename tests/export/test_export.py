"""What an export writes, from which clips, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.export_project import (
    FACTS,
    ROWS,
    exported,
    files_in,
    lines_of,
    row,
    stored,
    tar_members,
    write_project,
)
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, LockedError, StorageError
from walt.core.paths import Paths
from walt.core.storage import TEMPORARY_SUFFIX, lock
from walt.export import litdata_chunks
from walt.export.layouts import LAYOUTS
from walt.export.run import Request, export
from walt.export.stored_pictures import check_playable
from walt.media.containers import open_video
from walt.media.mp4 import decode_clip
from walt.media.playable import read_metadata

every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied."""
    root = tmp_path_factory.mktemp("written")
    write_project(root)
    return root


@pytest.fixture
def paths(written: Path, tmp_path: Path) -> Paths:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return Paths(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_tars_have_one_kind_one_split_and_no_gaps_in_their_numbers(paths: Paths, folder: Path) -> None:
    done = exported(paths, folder, "webdataset")
    tars = {name: list(tar_members(folder / name)) for name in files_in(folder) if name.endswith(".tar")}
    assert {name: [member.partition(".")[0] for member in members[::4]] for name, members in tars.items()} == {
        "video/train-000000.tar": ["v0", "v1"],
        "video/train-000001.tar": ["v2", "v4"],
        "video/train-000002.tar": ["v5", "v7"],
        "video/validation-000000.tar": ["v3", "v6"],
        "image/train-000000.tar": ["i0", "i2"],
        "image/validation-000000.tar": ["i1"],
    }
    assert (done.clips, done.left_out, done.files) == (11, 0, 6)


def test_all_samples_of_a_kind_have_the_same_members_and_keys(paths: Paths, folder: Path) -> None:
    """Also where a caption is missing: readers infer columns and types from the first samples."""
    exported(paths, folder, "webdataset")
    for kind, extension in (("video", "mp4"), ("image", "png")):
        shapes = set()
        for tar in sorted((folder / kind).glob("*.tar")):
            members = tar_members(tar)
            for key in dict.fromkeys(name.partition(".")[0] for name in members):
                said = json.loads(members[f"{key}.json"])
                shapes.add(tuple((name, type(value).__name__) for name, value in said.items()))
                assert [name for name in members if name.startswith(f"{key}.")] == [
                    f"{key}.{suffix}" for suffix in (extension, "txt", "cls", "json")
                ]
        assert len(shapes) == 1
        assert "NoneType" not in dict(shapes.pop()).values()


def test_a_sample_holds_the_stored_picture_and_what_the_manifest_says(paths: Paths, folder: Path) -> None:
    exported(paths, folder, "webdataset")
    members = tar_members(folder / "video/train-000000.tar")
    assert members["v1.mp4"] == stored(ROWS[1], 32)["mp4"]
    assert members["v1.txt"].decode() == ROWS[1].caption
    assert members["v1.cls"] == b"1"
    assert json.loads(members["v1.json"]) == {
        "key": "v1", "kind": "video", "caption": ROWS[1].caption, "captions": [ROWS[1].caption], "caption_names": [""],
        "label": 1, "class_name": "bright", "height": 32, "width": 32, "num_frames": 5, "source": "v1 ü.mp4",
        "source_sha256": "0" * 63 + "1", "start_seconds": 0.5, "end_seconds": 1.125, "source_height": 64,
        "source_width": 64, "source_fps": 24.0, "source_seconds": 3.0, "measures": {"motion": 1.5, "tone": "grey"},
    }  # fmt: skip
    uncaptioned = tar_members(folder / "video/train-000001.tar")
    assert uncaptioned["v2.txt"] == b""
    assert json.loads(uncaptioned["v2.json"])["captions"] == [""]


def test_a_column_that_one_clip_lacks_is_only_in_the_table(tmp_path: Path, folder: Path) -> None:
    odd = row("v9", label=None, source_fps=None, measures={"motion": float("nan"), "tone": "grey"})
    paths = write_project(tmp_path, (*ROWS[:2], odd))
    exported(paths, folder, "webdataset")
    said = [json.loads(data) for name, data in _all_members(folder).items() if name.endswith(".json")]
    assert not any({"label", "class_name", "source_fps"} & one.keys() for one in said)
    assert [one["measures"] for one in said] == [{"tone": "grey"}] * 3
    assert not any(name.endswith(".cls") for name in _all_members(folder))
    table = lines_of(folder / "metadata.jsonl")
    assert [one["label"] for one in table] == [0, 1, None]
    assert [one["measures"]["motion"] for one in table] == [1.5, 1.5, None]


def test_clips_without_any_caption_have_no_members_for_it(tmp_path: Path, folder: Path) -> None:
    paths = write_project(tmp_path, (row("v0", captioned=False), row("v1", captioned=False)))
    exported(paths, folder, "webdataset")
    assert not any(name.endswith(".txt") for name in _all_members(folder))
    assert "caption" not in json.loads(_all_members(folder)["v0.json"])
    assert [one["caption"] for one in lines_of(folder / "metadata.jsonl")] == [None, None]


@every_layout
def test_the_table_names_every_clip_once_and_where_it_is(paths: Paths, folder: Path, layout: str) -> None:
    exported(paths, folder, layout)
    tables = list(folder.rglob("metadata.jsonl"))
    lines = [(path.parent, line) for path in tables for line in lines_of(path)]
    assert sorted(line["key"] for _, line in lines) == sorted(one.key for one in ROWS)
    for parent, line in lines:
        assert line["split"] == ("validation" if line["key"] in ("v3", "i1", "v6") else "train")
        if layout == "videofolder":
            assert (parent / line["file_name"]).is_file()
        elif layout == "litdata":
            assert (parent / line["folder"] / "index.json").is_file()
        else:
            names = tar_members(parent / line["tar"])
            assert f"{line['key']}.json" in names


@every_layout
def test_the_card_says_counts_licence_and_the_manifests_digest(paths: Paths, folder: Path, layout: str) -> None:
    exported(paths, folder, layout)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "| video | train | 6 | 5 | 6 | 30 | 3.8 |\n| video | validation | 2 | 2 | 2 | 10 | 1.2 |" in card
    assert f"Licence: {FACTS.licence}." in card
    assert sha256_file(paths.manifest / "_index.json") in card


def test_a_licence_that_the_hub_does_not_know_keeps_its_name(paths: Paths, folder: Path) -> None:
    export(Request(folder, "webdataset"), replace(FACTS, licence="not stated"), paths)
    assert '\nlicense: other\nlicense_name: "not-stated"\n' in (folder / "README.md").read_text()


@every_layout
def test_the_same_clips_give_the_same_bytes_and_a_second_run_writes_nothing(
    paths: Paths, tmp_path: Path, layout: str
) -> None:
    exported(paths, tmp_path / "one", layout)
    exported(paths, tmp_path / "two", layout)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.*") if _holds_clips(path)}
    assert before
    exported(paths, tmp_path / "one", layout)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def _holds_clips(path: Path) -> bool:
    return path.suffix in (".tar", ".mp4", ".png", ".bin")


@every_layout
def test_a_damaged_file_is_made_again(paths: Paths, folder: Path, layout: str) -> None:
    exported(paths, folder, layout)
    whole = files_in(folder)
    damaged = next(path for path in sorted(folder.rglob("*")) if _holds_clips(path))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    exported(paths, folder, layout)
    assert files_in(folder) == whole


@every_layout
def test_without_its_notes_an_export_is_the_same(paths: Paths, folder: Path, layout: str) -> None:
    exported(paths, folder, layout)
    whole = files_in(folder)
    shutil.rmtree(paths.work("export"))
    (folder / "README.md").unlink()
    exported(paths, folder, layout)
    assert files_in(folder) == whole


@pytest.mark.slow
@every_layout
def test_clips_that_are_gone_leave_no_file_behind(tmp_path: Path, layout: str) -> None:
    paths = write_project(tmp_path)
    exported(paths, tmp_path / "out", layout)
    write_project(tmp_path, ROWS[:4])
    exported(paths, tmp_path / "out", layout)
    exported(paths, tmp_path / "fresh", layout)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "fresh")


@every_layout
def test_a_folder_with_files_of_others_is_refused_before_any_work(paths: Paths, folder: Path, layout: str) -> None:
    folder.mkdir()
    (folder / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match=r"holiday\.mp4"):
        exported(paths, folder, layout)
    assert files_in(folder) == {"holiday.mp4": b"mine"}


def test_a_file_that_was_put_beside_an_export_is_refused_and_stays(paths: Paths, folder: Path) -> None:
    exported(paths, folder, "videofolder")
    (folder / "video/notes.txt").write_bytes(b"mine")
    before = files_in(folder)
    with pytest.raises(ConfigurationError, match=r"video/notes\.txt"):
        exported(paths, folder, "videofolder")
    assert files_in(folder) == before


def test_what_a_killed_run_left_behind_is_not_taken_for_files_of_others(paths: Paths, folder: Path) -> None:
    folder.mkdir()
    (folder / f".walt-export.json.12{TEMPORARY_SUFFIX}").write_bytes(b"{")
    exported(paths, folder, "webdataset")
    (folder / f"video/train-000000.tar.12{TEMPORARY_SUFFIX}").write_bytes(b"half")
    exported(paths, folder, "webdataset")
    assert not list(folder.rglob(f"*{TEMPORARY_SUFFIX}"))


def test_another_layout_in_the_same_folder_is_refused(paths: Paths, folder: Path) -> None:
    exported(paths, folder, "webdataset")
    with pytest.raises(ConfigurationError, match="as webdataset, not as energon"):
        exported(paths, folder, "energon")


def test_a_folder_inside_the_projects_data_is_refused(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match="inside"):
        exported(paths, paths.clips / "out", "webdataset")


def test_a_folder_that_another_run_fills_is_left_alone(paths: Paths, folder: Path) -> None:
    exported(paths, folder, "webdataset")
    held = next(paths.work("export").glob("*.lock"))
    with lock(held), pytest.raises(LockedError):
        exported(paths, folder, "webdataset")


def test_nothing_is_exported_before_ingest(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"_index\.json: no such file"):
        exported(Paths(tmp_path), tmp_path / "out", "webdataset")
    assert not (tmp_path / "out").exists()


@every_layout
def test_a_full_disk_is_a_storage_error_and_the_next_run_goes_on(
    paths: Paths, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(paths, tmp_path / "whole", layout)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full_after(7, os.fsync))
        with pytest.raises(StorageError, match="No space left"):
            exported(paths, tmp_path / "out", layout)
    assert not (tmp_path / "out/README.md").exists()
    exported(paths, tmp_path / "out", layout)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")


def _full_after(calls: int, fsync: Callable[[int], None]) -> Callable[[int], None]:
    def failing(descriptor: int) -> None:
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    return failing


def test_a_damaged_tar_of_the_project_ends_the_export(paths: Paths, folder: Path) -> None:
    tar = paths.clips / "32x32/clips-000003.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    tar.write_bytes(data)
    with pytest.raises(CorruptArtifactError, match=r"clips-000003\.tar: its sha256"):
        exported(paths, folder, "webdataset")
    assert not (folder / "README.md").exists()


def test_one_size_can_be_asked_for(paths: Paths, folder: Path) -> None:
    exported(paths, folder, "webdataset", size=(16, 16))
    assert tar_members(folder / "video/train-000000.tar")["v0.mp4"] == stored(ROWS[0], 16)["mp4"]
    assert {(line["height"], line["width"]) for line in lines_of(folder / "metadata.jsonl")} == {(16, 16)}


def test_a_clip_is_exported_in_the_largest_size_that_it_is_stored_in(tmp_path: Path) -> None:
    rows = (row("v0"), row("v1", sizes="16x16"), row("v2", sizes="16x16,32x32"))
    paths = write_project(tmp_path, rows)
    done = exported(paths, tmp_path / "out", "webdataset")
    assert [line["height"] for line in lines_of(tmp_path / "out/metadata.jsonl")] == [32, 16, 32]
    assert done.left_out == 0
    done = exported(paths, tmp_path / "large", "webdataset", size=(32, 32))
    assert [line["key"] for line in lines_of(tmp_path / "large/metadata.jsonl")] == ["v0", "v2"]
    assert (done.clips, done.left_out) == (2, 1)


def test_a_size_that_is_not_stored_is_refused_with_those_that_are(paths: Paths, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="it has 32x32, 16x16"):
        exported(paths, folder, "webdataset", size=(64, 64))


@pytest.mark.slow
def test_playable_videos_are_of_the_kind_that_every_player_shows(paths: Paths, folder: Path) -> None:
    exported(paths, folder, "videofolder", playable=True)
    made = folder / "video/train/v1.mp4"
    assert b"avcC" in made.read_bytes()
    assert _pixel_format(made) == "yuv420p"
    assert read_metadata(made) == {"key": "v1"}
    before, after = decode_clip(stored(ROWS[1], 32)["mp4"]), decode_clip(made.read_bytes())
    assert before.shape == after.shape
    assert abs(before.astype(int) - after.astype(int)).mean() < 4
    assert (folder / "image/train/i0.png").read_bytes() == stored(ROWS[4], 32)["png"]


def test_sizes_with_an_odd_side_cannot_be_playable(tmp_path: Path) -> None:
    sizes = SimpleNamespace(sizes=((16, 16), (16, 15)))
    with pytest.raises(ConfigurationError, match="16x15 have an odd side"):
        check_playable(sizes)  # type: ignore[arg-type]


def _pixel_format(path: Path) -> str:
    with path.open("rb") as stream, open_video(stream) as container:
        return str(container.streams.video[0].codec_context.pix_fmt)


def test_a_chunk_closes_before_it_becomes_too_large() -> None:
    items = [bytes(4), bytes(5), bytes(20), bytes(1)]
    assert list(litdata_chunks.chunks(items, 10)) == [items[:2], items[2:3], items[3:]]


def _all_members(folder: Path) -> dict[str, Any]:
    return {name: data for tar in sorted(folder.rglob("*.tar")) for name, data in tar_members(tar).items()}
