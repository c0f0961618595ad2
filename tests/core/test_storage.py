"""A directory that is replaced is never missing, and what was there is removed; locks, and disks that fail."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from walt.core import storage
from walt.core.errors import LockedError, NotJsonError, StorageError
from walt.core.storage import (
    atomic_directory,
    check_folder_writable,
    clean_beside,
    in_words,
    lock,
    read_json,
    storage_errors,
    write_bytes,
)


def write(path: Path, text: str) -> None:
    with atomic_directory(path) as folder:
        (folder / "file").write_text(text)


@pytest.mark.slow
def test_a_directory_is_never_missing_while_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "0")
    missing, stop = [], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            if not path.exists():
                missing.append(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(100):
            write(path, str(number))
    finally:
        stop.set()
        watcher.join()
    assert not missing
    assert (path / "file").read_text() == "99"
    assert list(tmp_path.iterdir()) == [path]


def test_where_names_cannot_be_exchanged_it_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_exchange", lambda one, other: False)
    for text in ("a", "b"):
        write(tmp_path / "model", text)
    assert (tmp_path / "model/file").read_text() == "b"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_a_link_to_a_directory_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    """As where models are on a larger disk."""
    disk, link = tmp_path / "disk/model", tmp_path / "models/model"
    write(disk, "0")
    link.parent.mkdir()
    link.symlink_to(disk)
    write(link, "1")
    assert link.is_symlink()
    assert (disk / "file").read_text() == "1"
    assert [path.name for path in disk.parent.iterdir()] == ["model"]
    shutil.rmtree(disk.parent)
    with pytest.raises(StorageError, match=rf"{link}: a link to {disk}, where nothing is"):
        write(link, "2")
    with pytest.raises(StorageError, match="where nothing is"):
        check_folder_writable(link / "below")
    assert not disk.parent.exists()


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "model", "a")
    with pytest.raises(TypeError), atomic_directory(tmp_path / "model") as folder:
        (folder / "file").write_text(b"b")  # type: ignore[arg-type]
    assert (tmp_path / "model/file").read_text() == "a"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def failing(number: int) -> Any:
    """A call that fails as the system's do."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_what_cannot_be_removed_does_not_undo_a_directory_that_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS keeps the files that another process reads, so that their folder is not empty."""
    write(tmp_path / "model", "old")
    remove = shutil.rmtree

    def busy(path: Path, ignore_errors: bool = False) -> None:
        if "old" in Path(path).name and not ignore_errors:
            failing(errno.ENOTEMPTY)()
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(storage, "_exchange", lambda *_: False)
    monkeypatch.setattr(shutil, "rmtree", busy)
    write(tmp_path / "model", "new")
    assert (tmp_path / "model/file").read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_before_any_work(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with pytest.raises(StorageError, match="without locks, two runs would write the same files"), lock(tmp_path / "a"):
        pytest.fail("it went on without a lock")


@pytest.mark.parametrize(("machine", "said"), [("node7", " on node7"), (os.uname().nodename, ""), ("", "")])
def test_a_lock_that_another_machine_holds_names_it(machine: str, said: str, tmp_path: Path) -> None:
    with lock(tmp_path / "lock"):
        (tmp_path / "lock").write_text(f"123 {machine}".strip() + "\n")
        with pytest.raises(LockedError, match=f"held by process 123{said}$"), lock(tmp_path / "lock"):
            pytest.fail("it was held")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_disk_that_fails_or_has_gone_is_an_error_of_storage(number: int, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"^{tmp_path}: {os.strerror(number)}"), storage_errors(tmp_path):
        failing(number)()


IN_THE_WAY = "a file is where a folder is to be, or a folder where a file is: move it away$"


@pytest.mark.parametrize("below", [".", "deeper/still"])
def test_a_file_where_a_folder_is_to_be_is_named_and_stays(below: str, tmp_path: Path) -> None:
    """Also for root, who may write everywhere."""
    named = tmp_path / "base"
    named.write_text("a user's own")
    with pytest.raises(StorageError, match=rf"^{named}.*: {IN_THE_WAY}"):
        write(named / below, "new")
    with pytest.raises(StorageError, match=rf"^{named}.*: {IN_THE_WAY}"), lock(named / below / "lock"):
        pytest.fail("it holds a lock that is not there")
    with pytest.raises(StorageError, match=rf"^{named}: cannot be written: {IN_THE_WAY}"):
        check_folder_writable(named / below)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    assert named.read_text() == "a user's own"


def test_a_folder_where_a_file_is_to_be_is_named_and_stays(tmp_path: Path) -> None:
    named = tmp_path / "metrics.json"
    write(named, "a user's own")
    with pytest.raises(StorageError, match=rf"^{named}: {IN_THE_WAY}"):
        write_bytes(named, b"new")
    with pytest.raises(StorageError, match=rf"^{named}: {IN_THE_WAY}"), lock(named):
        pytest.fail("it holds a lock that is not there")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert (named / "file").read_text() == "a user's own"


def test_what_a_killed_process_left_of_a_folder_is_removed_and_no_other_writers(tmp_path: Path) -> None:
    write(tmp_path / "base", "old")
    for name in ("base.12.tmp", "base.12.old.tmp", "base-2.12.tmp", "base.tmp", "sr.12.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    clean_beside(tmp_path / "base")
    assert {path.name for path in tmp_path.iterdir()} == {"base", "base-2.12.tmp", "base.tmp", "sr.12.tmp"}
    assert (tmp_path / "base/file").read_text() == "old"


def test_what_was_there_comes_back_after_a_kill_between_two_names(tmp_path: Path) -> None:
    for name in ("base.12.tmp", "base.12.old.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    clean_beside(tmp_path / "base")
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    assert (tmp_path / "base/file").read_text() == "base.12.old.tmp"
    clean_beside(tmp_path / "absent/base")


def test_the_one_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    for named, said in ((file, file), (tmp_path / "absent.tmp", tmp_path)):
        with pytest.raises(StorageError) as refused, storage_errors(tmp_path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(named))
        assert str(refused.value) == f"{said}: Permission denied"


def test_a_full_disk_that_a_library_meets_is_an_error_of_storage(tmp_path: Path) -> None:
    """Those in Rust, as safetensors and tokenizers, have an exception of their own with the system's words in it."""
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, most))
    try:
        with pytest.raises(StorageError) as refused, storage_errors(tmp_path / "model"):
            save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert str(refused.value) == f"{tmp_path / 'model'}: File too large"


def test_a_copy_that_fails_names_what_was_written(tmp_path: Path) -> None:
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    (tmp_path / "from/a").write_bytes(bytes(9))
    (tmp_path / "to/a").symlink_to("/dev/full")
    with pytest.raises(StorageError) as failed, storage_errors(tmp_path):
        shutil.copytree(tmp_path / "from", tmp_path / "to", dirs_exist_ok=True)
    assert str(failed.value) == f"{tmp_path}/to/a: No space left on device"
    with pytest.raises(shutil.Error, match=r"a.*no longer"), storage_errors(tmp_path):
        raise shutil.Error([("a", "b", "[Errno 2] no longer there: 'a'")])
    assert in_words(OSError(errno.ENOSPC, "", "read", None, "written")) == "written: No space left on device"
    assert in_words(OSError("a cause")) == "a cause"


def test_other_errors_of_libraries_are_left_as_they_are(tmp_path: Path) -> None:
    """Also a sentence of ours that has such words in it: it names the file."""
    for error in (RuntimeError("no (os error 2)"), RuntimeError("(os error 28"), StorageError("a: (os error 28)")):
        with pytest.raises(type(error)) as same, storage_errors(tmp_path):
            raise error
        assert same.value is error


@pytest.mark.parametrize("content", [b"", b'{"step": 1', b"\xff\xfe\x00"])
def test_a_file_that_is_no_json_any_more_is_damage(content: bytes, tmp_path: Path) -> None:
    """As after a power cut, or a copy that broke off."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(NotJsonError) as damaged:
        read_json(tmp_path / "a.json")
    assert damaged.value.exit_status == 5
    assert str(damaged.value).startswith(f"{tmp_path}/a.json: not JSON: ")
    assert "\n" not in str(damaged.value)
    assert isinstance(damaged.value, ValueError), "whoever goes on without the file catches that"
