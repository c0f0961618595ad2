"""Tars that are changed while they are open: no byte of another content is used, whatever the way of reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from tests.support.tiny_clips import clip_row
from walt.core.errors import CorruptArtifactError
from walt.core.storage import verify_open
from walt.data import open_tars
from walt.data.clip_table_writer import write_clip_rows
from walt.data.latent_dataset import LatentDataset
from walt.data.open_tars import OpenTar
from walt.data.shards import Sample, write_index, write_shard
from walt.data.tar_places import TAR_HEADER

KEYS = [f"v{i}" for i in range(4)]
CHANGED = r"x-000000\.tar: its sha256 differs from the index; it was changed while it was in use$"
Read = Callable[[], object]


@pytest.fixture
def dataset(tmp_path: Path) -> LatentDataset:
    """Four latents, all of one number, in two tars, which both are open."""
    samples: list[tuple[str, Sample]] = [
        (key, {"safetensors": save({"latents": torch.full((4, 2, 3, 3), float(i + 1)).half()})})
        for i, key in enumerate(KEYS)
    ]
    tars = tmp_path / "16x16"
    write_index(tars, "id", [write_shard(tars / f"x-00000{n}.tar", samples[2 * n : 2 * n + 2]) for n in range(2)])
    for tar in tars.glob("*.tar"):
        os.utime(tar, (1e9, 1e9))  # long ago: a clock of files may stand still for some milliseconds
    write_clip_rows(tmp_path, [clip_row(key, "video", "train", 0) for key in KEYS])
    made = LatentDataset(tmp_path, (16, 16), "train")
    made.latents(KEYS)
    return made


def values_of(batch: Tensor) -> set[float]:
    return set(batch.flatten().tolist())


def path_of(dataset: LatentDataset) -> Path:
    """The first tar."""
    return dataset.reader.directory / "x-000000.tar"


def overwrite(path: Path) -> None:
    """A bit of the first latent in place, where the headers stay right and the values finite; or the bit as it was."""
    content = bytearray(path.read_bytes())
    begin = TAR_HEADER + 8 + int.from_bytes(content[TAR_HEADER : TAR_HEADER + 8], "little")
    content[begin + 9] ^= 1
    with open(path, "r+b") as stream:
        stream.write(content)


@pytest.fixture(params=["a batch", "a sample"])
def read(request: pytest.FixtureRequest, dataset: LatentDataset) -> Read:
    """Reads what is in the first tar: as training reads latents, and as everything else is read."""
    if request.param == "a batch":
        return lambda: dataset.latents(["v0", "v1", "v3"])
    return lambda: dataset.reader["v0"]


def test_a_tar_that_is_overwritten_in_place_is_refused(dataset: LatentDataset, read: Read) -> None:
    read()
    overwrite(path_of(dataset))
    for _ in range(2):  # also when it is asked for again
        with pytest.raises(CorruptArtifactError, match=CHANGED) as error:
            read()
        assert error.value.exit_status == 5
    assert values_of(dataset.latents(["v2", "v3"])) == {3, 4}
    overwrite(path_of(dataset))  # as it was
    assert values_of(dataset.latents(["v0"])) == {1}


def test_so_it_is_where_its_size_and_time_are_as_they_were(dataset: LatentDataset, read: Read) -> None:
    """As rsync and tar set times, and as anybody may who mends a file."""
    path = path_of(dataset)
    read()
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(CorruptArtifactError, match=CHANGED):
        read()


def test_other_rights_and_another_name_are_no_damage(dataset: LatentDataset, read: Read) -> None:
    path = path_of(dataset)
    before = str(read())
    path.chmod(0o444)
    assert str(read()) == before
    path.with_name("linked").hardlink_to(path)  # as DVC's cache does
    assert str(read()) == before


def test_in_the_middle_of_a_read_too(dataset: LatentDataset, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at after its bytes were read: before, it was still as it had been."""
    plain = OpenTar.read_into

    def read_meanwhile(self: OpenTar, offset: int, *buffers: memoryview) -> None:
        monkeypatch.setattr(OpenTar, "read_into", plain)
        overwrite(path_of(dataset))
        plain(self, offset, *buffers)

    monkeypatch.setattr(OpenTar, "read_into", read_meanwhile)
    with pytest.raises(CorruptArtifactError, match=CHANGED):
        read()


def test_a_tar_that_has_grown_is_refused(dataset: LatentDataset, read: Read) -> None:
    with open(path_of(dataset), "ab") as stream:
        stream.write(b"x")
    with pytest.raises(CorruptArtifactError, match=r"\d+ bytes, but the index says \d+; it was changed while"):
        read()


def test_another_time_of_the_same_bytes_is_no_damage_and_hashed_once(
    dataset: LatentDataset, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def noted(descriptor: int, path: Path, *expected: Any) -> None:
        hashed.append(path.name)
        verify_open(descriptor, path, *expected)

    monkeypatch.setattr(open_tars, "verify_open", noted)
    read()
    os.utime(path_of(dataset), (1.1e9, 1.1e9))
    for _ in range(3):
        read()
    assert hashed == ["x-000000.tar"]
    assert values_of(dataset.latents(KEYS)) == {1, 2, 3, 4}


def test_what_was_read_of_other_bytes_is_read_again(dataset: LatentDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes for a moment: those that the index describes are there again when the file is looked at."""
    plain = OpenTar.read_into

    def read_meanwhile(self: OpenTar, offset: int, *buffers: memoryview) -> None:
        monkeypatch.setattr(OpenTar, "read_into", plain)
        overwrite(path_of(dataset))
        plain(self, offset, *buffers)
        overwrite(path_of(dataset))

    monkeypatch.setattr(OpenTar, "read_into", read_meanwhile)
    assert values_of(dataset.latents(["v0", "v1"])) == {1, 2}


def test_and_where_another_thread_has_looked_at_the_file_since(
    dataset: LatentDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks first finds the change; whoever read before it must read again all the same."""
    plain = OpenTar.read_into

    def read_meanwhile(self: OpenTar, offset: int, *buffers: memoryview) -> None:
        monkeypatch.setattr(OpenTar, "read_into", plain)
        overwrite(path_of(dataset))
        plain(self, offset, *buffers)
        overwrite(path_of(dataset))
        assert dataset.reader["v1"]  # as another thread does between these reads and the look at the file after them

    for read in (lambda: dataset.latents(["v0", "v1"]), lambda: dataset.reader["v0"]):
        before = read()
        monkeypatch.setattr(OpenTar, "read_into", read_meanwhile)
        assert str(read()) == str(before)


def test_one_that_is_replaced_or_removed_is_read_on_where_it_is_open(dataset: LatentDataset, read: Read) -> None:
    path = path_of(dataset)
    before = read()
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)
    assert str(read()) == str(before)
    path.unlink()
    assert str(read()) == str(before)
