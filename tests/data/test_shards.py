"""Tar directories: what is written is whole, and what is read is what was written or an error."""

from __future__ import annotations

import copy
import io
import pickle
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.core import storage, verified_files
from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import clean_temporary, keep_only
from walt.data.shards import (
    INDEX_NAME,
    Sample,
    ShardReader,
    ShardRecord,
    iterate_shard,
    read_index,
    shard_name,
    write_index,
    write_shard,
)

SAMPLES: list[tuple[str, Sample]] = [
    (f"key{i}", {"mp4": bytes(range(i, i + 40)), "json": b'{"i": %d}' % i}) for i in range(6)
]


def fill(directory: Path) -> list[ShardRecord]:
    """Two tars of three samples each, and their index."""
    records = [write_shard(directory / shard_name("clips", n), SAMPLES[3 * n : 3 * n + 3]) for n in range(2)]
    write_index(directory, "an identity", records)
    return records


def assert_corrupt(directory: Path, record: ShardRecord) -> None:
    """Both ways of reading end with exit status 5, naming the file."""
    with pytest.raises(CorruptArtifactError, match=record.shard) as error:
        ShardReader(directory)
    assert error.value.exit_status == 5
    with pytest.raises(CorruptArtifactError, match=record.shard):
        list(iterate_shard(directory, record))


def foreign_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], count: int) -> ShardRecord:
    """A tar that this project would not write, under a record that is true of it."""
    with tarfile.open(path, "w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    record = ShardRecord(path.name, count, path.stat().st_size, sha256_file(path))
    write_index(path.parent, "foreign", [record])
    return record


def test_a_reader_returns_what_was_written(tmp_path: Path) -> None:
    records = fill(tmp_path)
    reader = ShardReader(tmp_path)
    assert reader.keys == tuple(key for key, _ in SAMPLES)
    assert len(reader) == 6
    for key, members in reversed(SAMPLES):
        assert reader[key] == members
    assert [sample for record in records for sample in iterate_shard(tmp_path, record)] == SAMPLES
    assert reader.path("key4").name == "clips-000001.tar"
    assert "key4" in reader
    assert "key9" not in reader


def test_plain_webdataset_can_read_the_tars(tmp_path: Path) -> None:
    record = fill(tmp_path)[0]
    found = list(webdataset.WebDataset(str(tmp_path / record.shard), shardshuffle=False))
    assert [(sample["__key__"], sample["mp4"], sample["json"]) for sample in found] == [
        (key, members["mp4"], members["json"]) for key, members in SAMPLES[:3]
    ]


def test_the_tars_are_those_of_webdatasets_own_writer_which_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = io.BytesIO()
    with webdataset.TarWriter(theirs, encoder=False, mtime=0) as writer:
        for key, members in SAMPLES:
            writer.write({"__key__": key, **members})
    for module in ("torch", "webdataset", "webdataset.writer"):
        monkeypatch.setitem(sys.modules, module, None)
    write_shard(tmp_path / "a.tar", SAMPLES)
    assert (tmp_path / "a.tar").read_bytes() == theirs.getvalue()


def test_same_samples_same_bytes_on_another_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fill(tmp_path / "a")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert fill(tmp_path / "b") == first
    for name in (first[0].shard, first[1].shard, INDEX_NAME):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([("a", {"json": b""}), ("b", {"json": b""}), ("a", {"json": b""})], "'a' is there twice"),
        ([("my.video", {"json": b""})], "'my.video'"),
        ([("../a", {"json": b""})], "'../a'"),
        ([("__a__", {"json": b""})], "'__a__'"),
        ([("", {"json": b""})], "''"),
        ([("a", {})], "no members"),
        ([("a", {"pkl": b""})], "pkl"),
        ([("a", {"pth": b""})], "pth"),
    ],
)
def test_malformed_samples_are_refused(tmp_path: Path, samples: list[tuple[str, Sample]], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        write_shard(tmp_path / "clips-000000.tar", samples)
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_names_a_shard_twice_is_refused(tmp_path: Path) -> None:
    records = fill(tmp_path)
    with pytest.raises(ValueError, match="twice"):
        write_index(tmp_path, "id", [records[0], records[0]])


_TRUNCATE = st.floats(0, 1, exclude_max=True)


@settings(max_examples=25, deadline=None)
@given(share=_TRUNCATE, which=st.integers(0, 1))
def test_truncation_is_found(tmp_path_factory: pytest.TempPathFactory, share: float, which: int) -> None:
    directory = tmp_path_factory.mktemp("cut")
    record = fill(directory)[which]
    with open(directory / record.shard, "r+b") as stream:
        stream.truncate(int(share * record.bytes))
    assert_corrupt(directory, record)


@settings(max_examples=25, deadline=None)
@given(share=_TRUNCATE, bit=st.integers(0, 7), which=st.integers(0, 1))
def test_one_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, share: float, bit: int, which: int) -> None:
    directory = tmp_path_factory.mktemp("flip")
    record = fill(directory)[which]
    flip(directory / record.shard, share, bit)
    assert_corrupt(directory, record)


def flip(path: Path, share: float, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1 << bit
    path.write_bytes(data)


@settings(max_examples=50, deadline=None)
@given(share=_TRUNCATE, bit=st.integers(0, 7))
def test_a_damaged_index_is_never_read_as_another(
    tmp_path_factory: pytest.TempPathFactory, share: float, bit: int
) -> None:
    directory = tmp_path_factory.mktemp("index")
    fill(directory)
    intact = read_index(directory)
    flip(directory / INDEX_NAME, share, bit)
    try:
        found = read_index(directory)
    except CorruptArtifactError:
        return
    assert found == intact  # the flipped bit is one that no reader uses


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_index_is_found(tmp_path: Path, share: float) -> None:
    fill(tmp_path)
    path = tmp_path / INDEX_NAME
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CorruptArtifactError, match=INDEX_NAME):
        read_index(tmp_path)


def test_a_missing_tar_is_corrupt_and_a_missing_index_is_storage(tmp_path: Path) -> None:
    records = fill(tmp_path)
    (tmp_path / records[1].shard).unlink()
    assert_corrupt(tmp_path, records[1])
    (tmp_path / INDEX_NAME).unlink()
    with pytest.raises(StorageError, match=INDEX_NAME) as error:
        ShardReader(tmp_path)
    assert error.value.exit_status == 4


def test_a_tar_that_the_index_does_not_name_is_ignored(tmp_path: Path) -> None:
    fill(tmp_path)
    write_shard(tmp_path / "clips-000002.tar", [("stray", {"json": b"{}"})])
    assert "stray" not in ShardReader(tmp_path)


def test_a_key_in_two_tars_is_corrupt(tmp_path: Path) -> None:
    record = write_shard(tmp_path / "a-000000.tar", SAMPLES[:1])
    other = write_shard(tmp_path / "a-000001.tar", SAMPLES[:2])
    write_index(tmp_path, "id", [record, other])
    with pytest.raises(CorruptArtifactError, match="key0"):
        ShardReader(tmp_path)


def test_a_wrong_count_is_corrupt(tmp_path: Path) -> None:
    record = replace(fill(tmp_path)[0], count=2)
    write_index(tmp_path, "id", [record])
    assert_corrupt(tmp_path, record)


class Bomb:
    """Unpickling it makes the file ``exploded``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "name", ["a.pkl", "a.pickle", "a.pyd", "a.pth", "a.json.pkl", "b/a.json", "../a.json", "__a__.json"]
)
def test_members_that_are_not_ours_are_refused_unread(tmp_path: Path, name: str) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    assert_corrupt(tmp_path, foreign_tar(tmp_path / "x-000000.tar", [(tarfile.TarInfo(name), bomb)], 1))
    assert not (tmp_path / "exploded").exists()


def test_links_and_repeated_members_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("a.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert_corrupt(tmp_path, foreign_tar(tmp_path / "x-000000.tar", [(link, b"")], 1))
    twice = [(tarfile.TarInfo("a.json"), b"1"), (tarfile.TarInfo("a.json"), b"2")]
    assert_corrupt(tmp_path, foreign_tar(tmp_path / "x-000000.tar", twice, 1))


_KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from walt.data.shards import write_shard
def samples():
    for i in range(2000):
        if i == 1500:
            os.kill(os.getpid(), signal.SIGKILL)
        yield f"key{i}", {"json": b"x" * 1000}
write_shard(Path(sys.argv[1]), samples())
"""


@pytest.mark.slow
def test_killed_in_the_middle_leaves_only_a_temporary_name(tmp_path: Path) -> None:
    path = tmp_path / "clips-000000.tar"
    killed = subprocess.run([sys.executable, "-c", _KILLED_WRITER, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    clean_temporary(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_the_link_to_a_folder_on_another_disk_is_removed(tmp_path: Path) -> None:
    disk, here = tmp_path / "disk", tmp_path / "here"
    disk.mkdir()
    here.mkdir()
    (disk / "clips-000000.tar").write_bytes(b"clips")
    for name in ("64x64", "128x128", "left.tmp"):
        (here / name).symlink_to(disk)
    clean_temporary(here)
    keep_only(here, {"128x128"})
    assert [path.name for path in here.iterdir()] == ["128x128"]
    assert (disk / "clips-000000.tar").read_bytes() == b"clips"


def test_a_tar_that_changes_after_the_opening(tmp_path: Path) -> None:
    record = fill(tmp_path)[0]
    path, content = tmp_path / record.shard, (tmp_path / record.shard).read_bytes()
    reader = ShardReader(tmp_path)
    path.write_bytes(content[::-1])
    with pytest.raises(CorruptArtifactError, match=r"clips-000000\.tar: its sha256 differs"):
        reader["key0"]
    path.write_bytes(content)  # another file, of the same bytes
    assert reader["key0"] == SAMPLES[0][1]
    path.write_bytes(content[:700])
    with pytest.raises(CorruptArtifactError, match=r"clips-000000\.tar: cut short while it was in use"):
        reader["key1"]
    assert reader["key3"] == SAMPLES[3][1]


def test_a_reader_has_few_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    reader = ShardReader(tmp_path)
    monkeypatch.setattr(reader._tars, "_most", 1)
    for _ in range(2):
        assert [reader[key] for key, _ in SAMPLES] == [members for _, members in SAMPLES]
        assert len(reader._tars._open) == 1


def test_a_reader_can_be_copied(tmp_path: Path) -> None:
    fill(tmp_path)
    reader = ShardReader(tmp_path)
    assert reader["key0"] == SAMPLES[0][1]
    assert copy.deepcopy(reader)["key5"] == SAMPLES[5][1]


def test_tars_are_hashed_once_and_whoever_reads_all_hashes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setenv("WALT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verified_files, "time_ns", lambda: time.time_ns() + 3 * 10**9)  # they changed long ago
    monkeypatch.setattr(storage, "sha256_file", lambda path: hashed.append(Path(path).name) or sha256_file(path))
    record = fill(tmp_path / "tars")[0]
    for _ in range(3):
        ShardReader(tmp_path / "tars")
    assert hashed == ["clips-000000.tar", "clips-000001.tar"]
    assert len([*iterate_shard(tmp_path / "tars", record)]) == 3
    assert hashed[2:] == ["clips-000000.tar"]
