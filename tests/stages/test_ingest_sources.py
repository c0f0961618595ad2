"""The stage ``ingest`` on each kind of source: labels and splits of the dataset's own, spans, tars, remote files."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.ingest_project import ingest_source, outputs, rejects
from tests.support.media import counter, read_counter, shared_data, write_video
from tests.support.s3 import Bucket
from tests.support.sources import LIST
from tests.support.web import Web
from walt.core import remote, remote_errors
from walt.core.errors import RejectLimitError, StorageError
from walt.core.paths import Paths
from walt.data.manifest import ManifestRow, read_manifest
from walt.data.shards import ShardReader
from walt.ingest.sources import locations
from walt.media.mp4 import decode_clip

REPOSITORY = Path(__file__).resolve().parents[2]


def manifest(root: Path) -> list[ManifestRow]:
    return read_manifest(Paths(root).manifest)


def frames(root: Path, key: str) -> NDArray[Any]:
    return decode_clip(ShardReader(Paths(root).clips / "32x32")[key]["mp4"])


# --------------------------------------------------------------------------------------------------- labels and splits


def ucf101(root: Path, split: int) -> dict[str, Any]:
    shutil.copytree(shared_data() / "clips/ucf101", root / "videos/UCF-101", dirs_exist_ok=True)
    shutil.copytree(shared_data() / "annotations/ucf101", root / "videos/ucfTrainTestlist", dirs_exist_ok=True)
    shutil.copy(REPOSITORY / "datasets/classes/ucf101.txt", root)
    source = {"kind": "ucf101", "videos": "UCF-101", "lists": "ucfTrainTestlist", "split": split, "absent": "skip"}
    return ingest_source(root, source, workers=2, backend="process", classes="ucf101.txt")


@pytest.mark.slow
def test_real_clips_of_ucf101_have_their_labels(tmp_path: Path) -> None:
    figures = ucf101(tmp_path, split=2)
    assert (figures["inputs"], figures["accepted"]) == (4, 4)
    found = {row.source: (row.label, row.caption, row.split) for row in manifest(tmp_path)}
    assert found == {
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi": (0, "apply eye makeup", "train"),
        "BaseballPitch/v_BaseballPitch_g01_c01.avi": (6, "baseball pitch", "train"),
        "Basketball/v_Basketball_g01_c01.avi": (7, "basketball", "train"),
        "Biking/v_Biking_g05_c02.avi": (10, "biking", "train"),
    }


@pytest.mark.slow
def test_the_datasets_own_split_is_not_overruled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All four clips are in the first split's test list."""
    ucf101(tmp_path, split=1)
    assert {row.split for row in manifest(tmp_path)} == {"held_out"}
    said = " ".join(capsys.readouterr().out.split())
    assert "there is nothing to train on. Bring files of its training list" in said


def test_real_pictures_in_imagenets_folders_have_their_labels(tmp_path: Path) -> None:
    shutil.copytree(shared_data() / "images/wnid", tmp_path / "videos/train")
    shutil.copy(shared_data() / "annotations/imagenet/imagenet_class_index.json", tmp_path / "videos")
    shutil.copy(REPOSITORY / "datasets/classes/imagenet.txt", tmp_path)
    source = {"kind": "imagenet", "class_index": "imagenet_class_index.json", "train": "train", "held_out": None}
    ingest_source(tmp_path, source, classes="imagenet.txt")
    assert {Path(row.source).name: (row.label, row.caption) for row in manifest(tmp_path)} == {
        "cat.jpg": (281, "tabby"), "chelsea.png": (281, "tabby"), "img3.jpg": (879, "umbrella"),
        "coffee.png": (967, "espresso"), "blip.jpg": (978, "seashore"),
    }  # fmt: skip


@pytest.mark.slow
def test_real_clips_of_kinetics_have_their_labels(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(shared_data() / "clips/kinetics", videos / "val")
    rows = "label,youtube_id,time_start,time_end,split\n"
    for number, file in enumerate(sorted((videos / "val").rglob("*.mp4"))):
        file.rename(file.with_name(f"id-_{number}_{number:06d}_{number + 10:06d}.mp4"))
        rows += f"{file.parent.name},id-_{number},{number},{number + 10},val\n"
    (videos / "k.csv").write_text(rows + "abseiling,gone,1,11,train\n")
    shutil.copy(REPOSITORY / "datasets/classes/kinetics600.txt", tmp_path)
    source = {"kind": "kinetics", "tables": ["k.csv"], "videos": "", "absent": "refuse"}
    ingest_source(tmp_path, source, classes="kinetics600.txt")
    assert {(row.caption, row.split) for row in manifest(tmp_path)} == {
        ("abseiling", "held_out"), ("arm wrestling", "held_out"), ("cleaning pool", "held_out"),
    }  # fmt: skip
    labels = (REPOSITORY / "datasets/classes/kinetics600.txt").read_text().splitlines()
    assert all(row.label is not None and labels[row.label] == row.caption for row in manifest(tmp_path))
    assert rejects(tmp_path) == {"gone_000001_000011.mp4": "missing"}


# --------------------------------------------------------------------------------------------------------------- spans


@pytest.mark.slow
def test_each_span_is_cut_separately(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", counter(50))  # 24 frames a second; a clip has 5 of 8 a second: 0.625 s
    write_video(tmp_path / "videos/b.mp4", counter(50)[::-1])
    spans = [(0.5, 1.75), (0.5, 1.2), (0, 0.625), (1, 1.5), (1.8, 9), (7, 9)]
    rows = "".join(f"a.mp4,part {number},{start},{end}\n" for number, (start, end) in enumerate(spans))
    (tmp_path / "videos/t.csv").write_text(f"path,caption,from,to\n{rows}b.mp4,all,0,2\n")
    source = LIST | {"span_columns": ["from", "to"]}
    figures = ingest_source(tmp_path, source, held_out=0.5)
    assert figures["inputs"] == 7
    assert rejects(tmp_path) == {"a.mp4#t=1,1.5": "too_short", "a.mp4#t=1.8,9": "too_short", "a.mp4#t=7,9": "too_short"}
    found = {(row.source, row.start_seconds): row for row in manifest(tmp_path) if row.caption != "all"}
    assert {place: row.caption for place, row in found.items()} == {
        ("a.mp4#t=0.5,1.75", 0.5): "part 0", ("a.mp4#t=0.5,1.75", 1.125): "part 0", ("a.mp4#t=0.5,1.2", 0.5): "part 1",
        ("a.mp4#t=0,0.625", 0.0): "part 2",
    }  # fmt: skip
    assert len({row.key for row in found.values()}) == 4, "one moment in two spans is two clips, each with its caption"
    assert len({row.split for row in found.values()}) == 1, "spans of a file are never on both sides"
    for (_, start), row in found.items():
        assert read_counter(frames(tmp_path, row.key)) == [round(start * 24) + 3 * number for number in range(5)]
        assert row.end_seconds == start + 0.625
    before = outputs(tmp_path)
    again = ingest_source(tmp_path, source, held_out=0.5)
    assert (again["decoded_now"], outputs(tmp_path)) == (0, before)


# ---------------------------------------------------------------------------------------------------------------- tars


def test_a_bad_sector_of_a_tar_costs_one_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "videos").mkdir()
    with tarfile.open(tmp_path / "videos/t.tar", "w") as archive:
        for number in range(2):
            archive.add(write_video(tmp_path / "x.mp4", np.roll(counter(40), number, axis=0)), f"{number}.mp4")
    open_location, opened = locations.open_location, 0

    def fail_once(location: str) -> Any:
        nonlocal opened
        opened += 1
        if opened == 2:  # it could be read for its hash, but not to be decoded
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_location(location)

    tars = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
    with monkeypatch.context() as patch:
        patch.setattr(locations, "open_location", fail_once)
        ingest_source(tmp_path, tars, caption_required=False)
    assert rejects(tmp_path) == {"t.tar::0.mp4": "unreadable"}
    ingest_source(tmp_path, tars, caption_required=False)
    assert rejects(tmp_path) == {}


@pytest.mark.slow
def test_a_tars_members_give_the_same_clips_as_files(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    for folder in (plain, packed):
        (folder / "videos").mkdir(parents=True)
    names = ["my.video.v1", "my.video.v2", "c"]
    with tarfile.open(packed / "videos/a.tar", "w") as archive:
        for number, name in enumerate(names):
            file = write_video(plain / f"videos/{name}.mp4", counter(40)[number:])
            archive.add(file, f"{name}.mp4")
            file.with_suffix(".txt").write_text(name)
            archive.add(file.with_suffix(".txt"), f"{name}.txt")
    (plain / "videos/t.csv").write_text("path,caption\n" + "".join(f"{name}.mp4,{name}\n" for name in names))
    ingest_source(plain, LIST)
    source = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
    figures = ingest_source(packed, source, workers=2, backend="process")
    assert (figures["inputs"], figures["decoded_now"]) == (3, 3)
    tars = [outputs(root) for root in (plain, packed)]
    assert {name: digest for name, digest in tars[0].items() if name.startswith("data/clips/")} == {
        name: digest for name, digest in tars[1].items() if name.startswith("data/clips/")
    }
    assert {row.source for row in manifest(packed)} == {f"a.tar::{name}.mp4" for name in names}
    assert [row.caption for row in manifest(packed)] == [row.caption for row in manifest(plain)]
    assert list((packed / "work/ingest/fetched").iterdir()) == []
    assert ingest_source(packed, source)["decoded_now"] == 0


# ------------------------------------------------------------------------------------------------------------- servers


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_errors, "_FIRST_PAUSE_SECONDS", 0.01)


def publish(web: Web, root: Path, count: int = 3) -> None:
    """Videos on the server, and a list of their URLs."""
    (root / "videos").mkdir()
    for number in range(count):
        web.files[f"/v/{number}.mp4"] = write_video(root / "made.mp4", counter(40)[number:]).read_bytes()
    write_list(root, [f"{web.url}/v/{number}.mp4?token=hush" for number in range(count)])


def write_list(root: Path, urls: list[str]) -> None:
    (root / "videos/t.csv").write_text("path,caption\n" + "".join(f"{url},a cat\n" for url in urls))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "backend"), [(1, "inline"), (2, "process")])
def test_files_on_the_web_are_fetched_once(web: Web, tmp_path: Path, workers: int, backend: str) -> None:
    publish(web, tmp_path)
    left = tmp_path / "work/ingest/fetched"
    left.mkdir(parents=True)
    (left / "killed.1.tmp").write_bytes(b"half a video")
    figures = ingest_source(tmp_path, LIST, workers=workers, backend=backend)
    assert (figures["inputs"], figures["accepted"], figures["decoded_now"]) == (3, 3, 3)
    assert web.fetched() == ["/v/0.mp4", "/v/1.mp4", "/v/2.mp4"]
    assert list(left.iterdir()) == [], "nothing stays here"
    before = outputs(tmp_path)
    assert ingest_source(tmp_path, LIST)["decoded_now"] == 0
    assert web.fetched() == []
    assert outputs(tmp_path) == before

    web.files["/v/1.mp4"] = write_video(tmp_path / "made.mp4", counter(45)[7:]).read_bytes()
    assert ingest_source(tmp_path, LIST)["decoded_now"] == 1
    assert web.fetched() == ["/v/1.mp4"]
    assert "hush" not in "".join(path.read_text(errors="replace") for path in (tmp_path / "work").rglob("*.jsonl"))
    assert {row.source for row in manifest(tmp_path)} == {f"{web.url}/v/{number}.mp4" for number in range(3)}


def test_without_etags_files_are_compared_by_content(web: Web, tmp_path: Path) -> None:
    web.etags = False
    publish(web, tmp_path)
    ingest_source(tmp_path, LIST)
    before = outputs(tmp_path)
    web.fetched()
    assert ingest_source(tmp_path, LIST)["decoded_now"] == 0
    assert web.fetched() == ["/v/0.mp4", "/v/1.mp4", "/v/2.mp4"]
    assert outputs(tmp_path) == before


@pytest.mark.slow
def test_incomplete_or_lost_hints_cost_a_download_and_nothing_else(web: Web, tmp_path: Path) -> None:
    publish(web, tmp_path)
    ingest_source(tmp_path, LIST)
    before = outputs(tmp_path)
    hints = tmp_path / "work/ingest/remote.jsonl"
    web.fetched()
    for damaged in (hints.read_bytes()[:-5], b"\xff\n[1]\n{}\n", b""):
        hints.write_bytes(damaged)
        assert ingest_source(tmp_path, LIST)["decoded_now"] == 0
        assert web.fetched()
        assert ingest_source(tmp_path, LIST)["decoded_now"] == 0
        assert web.fetched() == [], "remembered again"
    assert outputs(tmp_path) == before


def test_the_same_bytes_elsewhere_are_one_source(web: Web, tmp_path: Path) -> None:
    publish(web, tmp_path, count=1)
    web.files["/copy.mp4"] = web.files["/v/0.mp4"]
    (tmp_path / "videos/here.mp4").write_bytes(web.files["/v/0.mp4"])
    write_list(tmp_path, [f"{web.url}/v/0.mp4", f"{web.url}/copy.mp4", "here.mp4"])
    figures = ingest_source(tmp_path, LIST)
    assert (figures["inputs"], figures["accepted"]) == (3, 1)
    assert rejects(tmp_path) == {f"{web.url}/v/0.mp4": "duplicate", f"{web.url}/copy.mp4": "duplicate"}


def test_a_full_disk_is_not_the_servers_fault(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(web, tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # what a download does last
    with pytest.raises(StorageError, match="No space left on device") as caught:
        ingest_source(tmp_path, LIST)
    assert caught.value.exit_status == 4
    monkeypatch.undo()
    assert ingest_source(tmp_path, LIST)["accepted"] == 3


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_dead_links_are_refused_one_by_one(web: Web, tmp_path: Path) -> None:
    publish(web, tmp_path)
    web.files["/text.mp4"] = b"<html>Sign in</html>"
    web.status = {"/v/1.mp4": 403, "/v/2.mp4": 500}
    paths = ["/v/0.mp4", "/v/1.mp4", "/v/2.mp4", "/gone.mp4", "/text.mp4"]
    write_list(tmp_path, [f"{web.url}{path}" for path in paths] + ["http://127.0.0.1:9/a.mp4"])
    figures = ingest_source(tmp_path, LIST)
    assert (figures["inputs"], figures["accepted"]) == (6, 1)
    assert rejects(tmp_path) == {
        f"{web.url}/v/1.mp4": "unreachable", f"{web.url}/v/2.mp4": "unreachable", f"{web.url}/gone.mp4": "missing",
        f"{web.url}/text.mp4": "not_fetched", "http://127.0.0.1:9/a.mp4": "unreachable",
    }  # fmt: skip
    web.status = {}
    ingest_source(tmp_path, LIST)
    assert set(rejects(tmp_path).values()) == {"missing", "not_fetched", "unreachable"}, "what failed is tried again"
    assert Counter(rejects(tmp_path).values())["unreachable"] == 1


def test_spans_of_a_remote_file_need_one_download(web: Web, tmp_path: Path) -> None:
    publish(web, tmp_path, count=1)
    url = f"{web.url}/v/0.mp4"
    (tmp_path / "videos/t.csv").write_text(f"path,caption,from,to\n{url},first,0,0.7\n{url},second,0.7,1.5\n")
    source = LIST | {"span_columns": ["from", "to"]}
    assert ingest_source(tmp_path, source)["accepted"] == 2
    assert web.fetched() == ["/v/0.mp4"]
    assert {row.caption: row.start_seconds for row in manifest(tmp_path)} == {"first": 0.0, "second": 0.7}
    (tmp_path / "videos/t.csv").write_text(f"path,caption,from,to\n{url},first,0,0.7\n{url},third,0.2,0.9\n")
    assert ingest_source(tmp_path, source)["decoded_now"] == 1


@pytest.mark.slow
def test_a_bucket_can_be_used_like_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    """For sources of other kinds than the ingest suite has, which runs there as a whole (tests/support/places.py)."""
    videos = tmp_path / "videos"
    videos.mkdir()
    names = ["a.mp4", "sub/b.mp4", "sub/ü c.mp4"]
    for number, name in enumerate(names):
        (videos / name).parent.mkdir(exist_ok=True)
        write_video(videos / name, counter(40)[number:])
    with tarfile.open(videos / "t.tar", "w") as archive:
        archive.add(videos / "a.mp4", "x.mp4")
    for file in sorted(path for path in videos.rglob("*") if path.is_file()):
        remote.upload(file, f"{bucket.url}/data/{file.relative_to(videos)}")
    ingest_source(
        tmp_path, {"kind": "folder", "patterns": ["sub/*.mp4"]}, path=f"{bucket.url}/data", caption_required=False
    )
    assert {row.source for row in manifest(tmp_path)} == {"sub/b.mp4", "sub/ü c.mp4"}
    tars = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
    ingest_source(tmp_path, tars, path=f"{bucket.url}/data", caption_required=False)
    assert {row.source for row in manifest(tmp_path)} == {"t.tar::x.mp4"}


@pytest.mark.parametrize("gone", [False, True])
def test_an_object_that_is_replaced_while_it_is_fetched_is_refused_for_now(
    gone: bool, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_video(tmp_path / "a.mp4", counter(40)).read_bytes()
    for name in ("a.mp4", "b.mp4"):
        bucket.call("put_object", Bucket=bucket.name, Key=f"data/{name}", Body=data if name == "a.mp4" else b"no video")
    folder = {"kind": "folder", "patterns": ["*.mp4"]}
    download = remote.download

    def while_it_changes(url: str, path: Path, **options: Any) -> None:
        download(url, path, **options)
        if url.endswith("/a.mp4"):
            path.write_bytes(path.read_bytes()[:-1000] + bytes(1000))  # its end comes from the one that is there now
            bucket.call("delete_object", Bucket=bucket.name, Key="data/a.mp4")
            if not gone:
                bucket.call("put_object", Bucket=bucket.name, Key="data/a.mp4", Body=bytes(len(data)))

    with monkeypatch.context() as patch:
        patch.setattr(remote, "download", while_it_changes)
        with pytest.raises(RejectLimitError, match=r"none of 2 inputs .*1 changed"):
            ingest_source(tmp_path, folder, path=f"{bucket.url}/data", caption_required=False)
    bucket.call("put_object", Bucket=bucket.name, Key="data/a.mp4", Body=data)
    ingest_source(tmp_path, folder, path=f"{bucket.url}/data", caption_required=False)
    assert set(rejects(tmp_path)) == {"b.mp4"}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "refused"), [(1.0, "1 changed, 1 format"), (0.01, "2 changed")])
def test_a_tar_that_is_replaced_while_a_member_is_fetched_costs_that_member_for_now(
    size: float, refused: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for number in range(2):
            archive.add(write_video(tmp_path / "x.mp4", np.roll(counter(40), number, axis=0)), f"{number}.mp4")
    tar = {"Bucket": bucket.name, "Key": "data/t.tar"}
    data = (tmp_path / "t.tar").read_bytes()
    bucket.call("put_object", **tar, Body=data)
    open_location = locations.open_location

    def while_it_changes(location: str) -> Any:
        bucket.call("put_object", **tar, Body=bytes(int(size * len(data))))
        return open_location(location)

    tars = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
    with monkeypatch.context() as patch:
        patch.setattr(locations, "open_location", while_it_changes)
        with pytest.raises(RejectLimitError, match=rf"none of 2 inputs .*\({refused}\)"):
            ingest_source(tmp_path, tars, path=f"{bucket.url}/data", caption_required=False)
    bucket.call("put_object", **tar, Body=data)
    assert ingest_source(tmp_path, tars, path=f"{bucket.url}/data", caption_required=False)["accepted"] == 2


def test_a_bucket_that_is_not_there_ends_the_stage_before_any_work(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such bucket") as caught:
        ingest_source(tmp_path, {"kind": "folder", "patterns": ["**/*"]}, path="s3://no-such-bucket-here/data")
    assert caught.value.exit_status == 4
    assert not Paths(tmp_path).manifest.exists()
