"""Temporary files of the system: where they go, what is left of killed processes, and a place that is full."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from walt.core import scratch
from walt.core.errors import StorageError
from walt.core.scratch import scratch_folder
from walt.core.storage import write_bytes

WAYS_ON = "; temporary files are written there: make room, or set TMPDIR to a folder that can be written"


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go, asked anew by each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    scratch._base.cache_clear()
    yield folder
    scratch._base.cache_clear()


def test_a_folder_is_there_for_the_block(base: Path) -> None:
    with scratch_folder() as one, scratch_folder() as other:
        (one / "file").write_bytes(b"1")
        assert (one.parent, other.parent) == (base, base)
        assert one != other
    assert not list(base.iterdir())
    with pytest.raises(KeyError), scratch_folder():
        raise KeyError
    assert not list(base.iterdir())


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(base: Path) -> None:
    holds = "import sys; from walt.core.scratch import scratch_folder\nwith scratch_folder() as folder:\n"
    holds += "    (folder / 'file').write_bytes(b'1'); print(folder, flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        with scratch_folder():
            assert (held / "file").is_file(), "its process goes on"
        process.kill()
        process.wait()
    assert held.is_dir()
    scratch._base.cache_clear()  # the next process
    (base / "walt-scratch-link").symlink_to(base.parent)
    (base / "another").mkdir()
    with scratch_folder():
        assert not held.exists()
    assert sorted(path.name for path in base.iterdir()) == ["another", "walt-scratch-link"]


def test_a_folder_that_is_taken_for_one_that_was_left_is_made_again(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment between making it and locking it."""
    lock, taken = scratch.fcntl.flock, list[Path]()

    def taking(descriptor: int, how: int) -> None:
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not taken:
            shutil.rmtree(folder)
        elif len(taken) == 1:
            taken.append(folder)
            raise BlockingIOError
        taken.append(folder)
        lock(descriptor, how)

    monkeypatch.setattr(scratch.fcntl, "flock", taking)
    with scratch_folder() as folder:
        assert folder.is_dir()
        assert folder not in taken[:-1]


def test_a_folder_that_is_gone_before_it_is_opened_is_made_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may remove it as soon as it is made: it is locked later."""
    with scratch_folder():  # what was left is looked for once
        pass
    opened, taken = os.open, list[Path]()

    def taking(path: Path, flags: int, *others: int, **more: int) -> int:
        if not taken and Path(path).parent == base:
            taken.append(Path(path))
            shutil.rmtree(path)
        return opened(path, flags, *others, **more)

    monkeypatch.setattr(os, "open", taking)
    with scratch_folder() as folder:
        assert folder.is_dir()
        assert taken not in ([], [folder])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_place_that_cannot_be_written_is_named_with_what_to_do(
    number: int, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"{os.strerror(number)}{WAYS_ON}"

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with scratch_folder() as folder:
        pass
    with pytest.raises(StorageError) as error, scratch_folder() as folder:  # as a write says it: without a name
        fails()
    assert str(error.value) == f"{folder}: {said}"
    with pytest.raises(StorageError) as error, scratch_folder() as folder:
        raise OSError(number, os.strerror(number), str(base / "a"), None, str(folder / "b"))
    assert str(error.value) == f"{folder}: {said}"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(StorageError) as error, scratch_folder() as folder:
            write_bytes(folder / "file", b"1")
    assert str(error.value) == f"{folder}/file: {said}"
    assert error.value.exit_status == 4
    monkeypatch.setattr(os, "mkdir", fails)
    with pytest.raises(StorageError) as error, scratch_folder():
        pass
    assert str(error.value) == f"{base}: {said}"


def test_an_error_of_a_file_elsewhere_is_left_as_it_is() -> None:
    with pytest.raises(PermissionError), scratch_folder():
        raise PermissionError(errno.EACCES, "no", "/somewhere/else")
    full = os.strerror(errno.ENOSPC)
    with pytest.raises(OSError, match=full), scratch_folder() as folder:  # it was copied from here to there
        raise OSError(errno.ENOSPC, full, str(folder / "a"), None, "/somewhere/else")
    with pytest.raises(StorageError) as error, scratch_folder():
        raise StorageError("the bucket has gone")
    assert str(error.value) == "the bucket has gone"


def test_where_no_place_can_be_written_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(StorageError, match=r"found in \['/tmp', '/var/tmp'\]: make room in one .* or set TMPDIR"):
        scratch_folder().__enter__()


def test_a_tmpdir_that_is_not_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scratch_folder():
        pass
    assert not capsys.readouterr().out
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    scratch._base.cache_clear()
    for _ in range(2):
        with scratch_folder() as folder:
            assert folder.parent == tmp_path
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("which cannot be written: temporary files go to") == 1
