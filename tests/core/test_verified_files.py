"""A file is hashed once, and again after every change and wherever somebody asks."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from walt.core import digests, storage, verified_files
from walt.core.digests import sha256_file
from walt.core.errors import CorruptArtifactError
from walt.core.storage import verify_file, verify_files
from walt.core.verified_files import CACHE_VARIABLE, Stamp, StampedFiles, stamps_ignored

CONTENT = b"a tar of clips"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the files that were hashed, in a cache of the test's own."""
    names: list[str] = []

    def sha256(path: str | Path) -> str:
        names.append(Path(path).name)
        return digests.sha256_file(path)

    monkeypatch.setattr(storage, "sha256_file", sha256)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seconds later than it is: files that are written now changed long ago."""
    monkeypatch.setattr(verified_files, "time_ns", lambda: time.time_ns() + 3 * 10**9)


def write(folder: Path, name: str = "clips-000000.tar", content: bytes = CONTENT) -> tuple[Path, int, str]:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path, len(content), sha256_file(path)


def known_to_others(folder: Path) -> bool:
    """Whether a process that starts now finds a stamp."""
    stamped = StampedFiles(folder)
    stamped._refresh()
    return bool(stamped._known)


@pytest.mark.usefixtures("settled")
def test_a_file_is_hashed_once(tmp_path: Path, hashed: list[str]) -> None:
    one, other = write(tmp_path / "tars"), write(tmp_path / "tars", "clips-000001.tar")
    for _ in range(3):
        verify_file(*one)
        verify_file(*other)
    assert hashed == ["clips-000000.tar", "clips-000001.tar"]
    assert known_to_others(tmp_path / "tars")
    verified_files._folders.clear()  # as in another process
    verify_file(*one)
    assert len(hashed) == 2


def test_a_file_that_has_just_changed_is_hashed_again(tmp_path: Path, hashed: list[str]) -> None:
    """Another change could leave its times as they are."""
    file = write(tmp_path / "tars")
    verify_file(*file)
    verify_file(*file)
    assert len(hashed) == 2
    assert not known_to_others(tmp_path / "tars")


def _in_place(path: Path) -> None:
    times = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # ctime shows it all the same


def _replaced(path: Path) -> None:
    times = path.stat()
    path.with_suffix(".new").write_bytes(CONTENT[::-1])
    path.with_suffix(".new").replace(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [_in_place, _replaced])
def test_every_change_is_found(tmp_path: Path, hashed: list[str], change: object) -> None:
    file = write(tmp_path / "tars")
    verify_file(*file)
    time.sleep(0.02)  # more than a tick of the file system's clock
    assert callable(change)
    change(file[0])
    for _ in range(2):
        with pytest.raises(CorruptArtifactError, match=r"clips-000000\.tar: its sha256 differs"):
            verify_file(*file)
    assert len(hashed) == 3


@pytest.mark.usefixtures("settled")
def test_another_digest_is_asked_for(tmp_path: Path, hashed: list[str]) -> None:
    path, size, digest = write(tmp_path / "tars")
    verify_file(path, size, digest)
    with pytest.raises(CorruptArtifactError, match="sha256"):
        verify_file(path, size, "0" * 64)
    assert not known_to_others(tmp_path / "tars"), "what was wrong once is hashed again"
    assert len(hashed) == 2


@pytest.mark.usefixtures("settled")
def test_stamps_can_be_ignored(tmp_path: Path, hashed: list[str]) -> None:
    file = write(tmp_path / "tars")
    verify_file(*file)
    with stamps_ignored():
        with stamps_ignored():
            verify_file(*file)
        verify_file(*file)
    verify_files(tmp_path / "tars", [(file[0].name, *file[1:])], again=True)
    assert len(hashed) == 4
    verify_file(*file)
    assert len(hashed) == 4, "and they count again afterwards"


@pytest.mark.usefixtures("settled")
def test_damaged_stamps_are_none(tmp_path: Path, hashed: list[str]) -> None:
    file = write(tmp_path / "tars")
    verify_file(*file)
    (stamps,) = (tmp_path / "cache/verified").iterdir()
    line = stamps.read_bytes()
    for damaged in (b"\xff\xfe\n", line[:80], line.replace(file[2][:8].encode(), b"00000000"), b""):
        stamps.write_bytes(damaged)
        verified_files._folders.clear()
        before = len(hashed)
        verify_file(*file)
        assert len(hashed) == before + 1


@pytest.mark.usefixtures("settled")
def test_lines_that_others_replace_are_left_out(tmp_path: Path, hashed: list[str]) -> None:
    path, size, digest = write(tmp_path / "tars")
    stamped = StampedFiles.of(path.parent)
    for number in range(1200):
        stamped.remember(path.name, Stamp(size, number, 0, 0), digest)
    verify_file(path, size, digest)
    (stamps,) = (tmp_path / "cache/verified").iterdir()
    verify_file(path, size, digest)
    assert len(stamps.read_text().splitlines()) < 5
    verified_files._folders.clear()
    verify_file(path, size, digest)
    assert len(hashed) == 1


@pytest.mark.usefixtures("settled")
def test_without_a_cache_all_is_hashed_and_that_is_said_once(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    monkeypatch.setattr(verified_files, "_warned", False)
    file = write(tmp_path / "tars")
    for _ in range(2):
        verified_files._folders.clear()
        verify_file(*file)
    assert len(hashed) == 2
    assert capsys.readouterr().out.count("hashed at every opening") == 1
