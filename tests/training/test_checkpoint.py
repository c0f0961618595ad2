"""Checkpoints are whole or absent, belong to one identity, and hold no pickle."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tiny_loop import files_of
from walt.core import storage
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, StorageError
from walt.core.storage import write_json
from walt.training import checkpoint
from walt.training.checkpoint import Retention
from walt.training.set_aside import checkpoints

IDENTITY = {"seed": 0, "model": {"width": 8, "grid": (1, 2)}, "data": "abc"}


def save(work: Path, step: int, **parts: dict[str, torch.Tensor]) -> None:
    parts = parts or {"model": {"weight": torch.full((64,), float(step))}, "optimizer": {"0.step": torch.tensor(3.0)}}
    plain = {part: checkpoint.plain_copies(tensors) for part, tensors in parts.items()}
    checkpoint.save(work, step, IDENTITY, plain, {"history": [{"step": step, "loss": 0.1}], "nothing": None})


def steps(work: Path) -> list[int]:
    return [int(folder.name.removeprefix("step-")) for folder in checkpoints(work)]


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    strided = torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d)
    tied = torch.randn(4)
    parts = {
        "model": {"a": strided, "b": tied, "c": tied, "n": torch.tensor(7)},
        "optimizer": {"0.step": torch.tensor(2.0)},
    }
    save(tmp_path, 12, **parts)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found.step == 12
    assert found.state == {"history": [{"step": 12, "loss": 0.1}], "nothing": None}
    assert found.parts.keys() == parts.keys()
    for part, tensors in parts.items():
        assert found.parts[part].keys() == tensors.keys()
        assert all(torch.equal(found.parts[part][name], value) for name, value in tensors.items())


def test_there_may_be_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "missing") is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 9, 10, 100):
        save(tmp_path, step)
    checkpoint.remove_old(tmp_path, newest=3)
    assert steps(tmp_path) == [9, 10, 100]
    checkpoint.remove_old(tmp_path, newest=1)
    assert steps(tmp_path) == [100]


def test_a_lasting_one_stays_and_a_damaged_one_goes_when_all_newer_ones_do(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        checkpoint.save(tmp_path, step, IDENTITY, {"model": {"a": torch.zeros(2)}}, {}, lasting=step == 5)
    (tmp_path / "step-000000010").rename(tmp_path / "damaged-step-000000010")
    checkpoint.remove_old(tmp_path, newest=2)
    assert steps(tmp_path) == [5, 15, 20]
    assert not (tmp_path / "damaged-step-000000010").exists()


def test_one_that_cannot_be_removed_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def busy(path: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    for step in (5, 10, 15):
        save(tmp_path, step)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", busy)
        checkpoint.remove_old(tmp_path, newest=1)
    assert steps(tmp_path) == [5, 10, 15]
    assert capsys.readouterr().out.count("cannot be removed now") == 2
    checkpoint.remove_old(tmp_path, newest=1)
    assert steps(tmp_path) == [15]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Retention(1), []),
        (Retention(1, every_steps=10), [11, 20, 33]),
        (Retention(1, every_hours=0.5), [20, 33]),
        (Retention(1, every_steps=30, every_hours=1.0), [33]),
    ],
)
def test_what_lasts_is_the_first_of_each_so_many_steps_or_hours(rule: Retention, expected: list[int]) -> None:
    before, found = (0, 0.0), []
    for step, minutes in ((5, 10), (11, 20), (12, 29), (20, 30), (33, 100), (34, 110)):
        now = (step, 60.0 * minutes)
        if rule.lasts(*now, before):
            found.append(step)
        before = now
    assert found == expected


def test_same_state_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name, 5)
    for file in (tmp_path / "a" / "step-000000005").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "step-000000005" / file.name).read_bytes()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data(), flip=st.booleans())
def test_a_damaged_newest_falls_back_loudly(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, flip: bool
) -> None:
    work = tmp_path_factory.mktemp("work")
    save(work, 5)
    save(work, 10)
    folder = work / "step-000000010"
    file = folder / data.draw(st.sampled_from(sorted(file.name for file in folder.iterdir())))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if flip:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    file.write_bytes(content)
    found = checkpoint.load(work)
    assert found is not None
    if file.name != "manifest.json":
        assert found.step == 5
    expected = torch.full((64,), float(found.step))  # a flip in the manifest's white space changes nothing
    assert torch.equal(found.parts["model"]["weight"], expected)


def test_falling_back_says_so_and_sets_the_damaged_one_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, 5)
    save(tmp_path, 10)
    (tmp_path / "step-000000010" / "model.safetensors").unlink()
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found.step == 5
    assert "damaged" in capsys.readouterr().out
    assert steps(tmp_path) == [5]
    assert (tmp_path / "damaged-step-000000010" / "optimizer.safetensors").is_file()
    for _ in range(2):  # once more at the same step: beside the first
        save(tmp_path, 10)
        (tmp_path / "step-000000010" / "state.json").unlink()
        assert checkpoint.load(tmp_path) is not None
    assert len(list(tmp_path.glob("damaged-step-000000010*"))) == 3


@pytest.mark.parametrize("file", ["model.safetensors", "manifest.json", "state.json"])
def test_where_none_is_whole_nothing_is_touched_and_that_is_an_error(file: str, tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path, step)
        content = bytearray((tmp_path / f"step-{step:09d}" / file).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / f"step-{step:09d}" / file).write_bytes(content)
    before = files_of(tmp_path)
    for find in (checkpoint.load, partial(checkpoint.newest, hashed=True)):
        with pytest.raises(checkpoint.NoneWholeError, match=rf"is whole of 2 that .*step-000000010.*{file}"):
            find(tmp_path)
        assert files_of(tmp_path) == before
    for step in (5, 10):  # as a start of an earlier version left them, which went on at step 0
        folder = tmp_path / f"step-{step:09d}"
        folder.rename(tmp_path / f"damaged-{folder.name}")
    for find in (checkpoint.load, checkpoint.newest):
        with pytest.raises(checkpoint.NoneWholeError, match="of 2 that are there"):
            find(tmp_path)


@pytest.mark.parametrize(("number", "step"), [(errno.EIO, 5), (errno.ESTALE, None), (errno.EACCES, None)])
def test_a_sector_that_is_lost_is_damage_and_a_disk_that_is_lost_is_not(
    number: int, step: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk that comes back, no checkpoint may have been set aside."""
    for each in (5, 10):
        save(tmp_path, each)
    digest = checkpoint.sha256_file

    def unreadable(path: Path) -> str:
        if path.parent.name == "step-000000010" and path.suffix == ".safetensors":
            raise OSError(number, os.strerror(number))
        return digest(path)

    monkeypatch.setattr(checkpoint, "sha256_file", unreadable)
    if step is None:
        with pytest.raises(StorageError, match=os.strerror(number)):
            checkpoint.load(tmp_path)
        assert steps(tmp_path) == [5, 10]
    else:
        found = checkpoint.load(tmp_path)
        assert found is not None
        assert found.step == step
        assert (tmp_path / "damaged-step-000000010").is_dir()


def test_the_newest_is_known_without_reading_its_tensors(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    save(tmp_path, 5)
    save(tmp_path, 10)
    (tmp_path / "step-000000010" / "model.safetensors").write_bytes(b"")
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert (found.step, found.identity["seed"], found.parts) == (10, 0, {})
    (tmp_path / "step-000000010" / "state.json").write_bytes(b"{}")
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert steps(tmp_path) == [5, 10]


def test_a_checkpoint_in_another_format_is_refused_and_stays(tmp_path: Path) -> None:
    save(tmp_path, 5)
    file = tmp_path / "step-000000005" / "state.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["format"]  # as it was before there was one
    write_json(file, content)
    names = [path for path in file.parent.iterdir() if path.name != "manifest.json"]
    write_json(file.parent / "manifest.json", {"files": {path.name: {"sha256": sha256_file(path)} for path in names}})
    for read in (checkpoint.load, checkpoint.newest):
        with pytest.raises(ConfigurationError, match=r"step-000000005 is a checkpoint of another version of walt"):
            read(tmp_path)
    assert steps(tmp_path) == [5]


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    work = tmp_path / "work"
    save(work, 5)
    folder = work / "step-000000005"
    for name in ("model.pt", "model.safetensors", "state.json"):
        (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    files = {file.name: {"sha256": sha256_file(file)} for file in folder.iterdir() if file.name != "manifest.json"}
    write_json(folder / "manifest.json", {"files": files})  # even under a manifest that vouches for it
    with pytest.raises(checkpoint.NoneWholeError):
        checkpoint.load(work)
    assert not (tmp_path / "exploded").exists()


def test_what_a_killed_writer_left_is_ignored_and_removed(tmp_path: Path) -> None:
    save(tmp_path, 5)
    shutil.copytree(tmp_path / "step-000000005", tmp_path / "step-000000010.4242.tmp")
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found.step == 5
    assert steps(tmp_path) == [5]


def test_a_disk_that_returns_other_bytes_is_found_when_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 5)
    write = checkpoint.save_file

    def worn_out(tensors: dict[str, torch.Tensor], path: Path) -> None:
        write(tensors, path)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(checkpoint, "save_file", worn_out)
    with pytest.raises(StorageError, match="'weight' is not what was written"):
        save(tmp_path, 10)
    assert steps(tmp_path) == [5]


def test_weights_that_are_not_numbers_are_what_was_written(tmp_path: Path) -> None:
    save(tmp_path, 5, model={"a": torch.tensor([float("nan"), -0.0]), "scalar": torch.tensor(True)})
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found.parts["model"]["a"].isnan()[0]


def test_a_full_disk_keeps_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 5)

    def full(*_: object) -> None:
        raise OSError(storage.errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(
        StorageError, match=r"No space left .* of step 10 was not written, that of step 5 is kept$"
    ) as error:
        save(tmp_path, 10)
    assert error.value.exit_status == 4
    with pytest.raises(StorageError, match=r"the checkpoint of step 1 was not written, there is none yet$"):
        save(tmp_path / "other", 1)
    monkeypatch.undo()
    assert steps(tmp_path) == [5]
    assert checkpoint.load(tmp_path) is not None
