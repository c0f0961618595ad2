"""Which changes to source files are found that DVC, which asks for size, inode and mtime, would not see."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.sources import touch
from walt.ingest.hidden_edits import Edits, edits_since
from walt.ingest.sources.folders import LocalFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three files and a link to another folder; its record is written."""
    touch(tmp_path, "set/b/one.mp4", "set/b.mp4", "set/z\udcff.mp4", "elsewhere/two.mp4")
    (tmp_path / "set/linked").symlink_to(tmp_path / "elsewhere")
    find(tmp_path / "set")
    return tmp_path / "set"


def find(folder: Path) -> Edits:
    """What is found, and the record brought up to date."""
    with edits_since(LocalFolder(folder), folder.parent / "record.jsonl") as edits:
        return edits


def seen_by_dvc(path: Path) -> tuple[int, int, float]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime


def edit_in_place(path: Path, data: bytes) -> None:
    """As a program does that hides its traces."""
    time.sleep(0.02)  # times count in ticks of the kernel's clock
    before = path.stat()
    with open(path, "r+b") as stream:
        stream.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_edit_with_size_and_time_restored_shows_in_the_time_afterwards(folder: Path) -> None:
    file = folder / "b/one.mp4"
    known = seen_by_dvc(file)
    edit_in_place(file, b"y")
    assert seen_by_dvc(file) == known, "DVC would not see it"
    edits = find(folder)
    assert (edits.stamped.count, str(edits.stamped), edits.unseen.count) == (1, "b/one.mp4", 0)
    inode, size, mtime = seen_by_dvc(file)
    assert (inode, size) == known[:2]
    assert 0 < mtime - known[2] < 1e-3, "later, but by too little for any listing"
    assert file.read_bytes() == b"y"
    assert find(folder) == Edits(), "an edit is reported once"


def test_what_dvc_sees_by_itself_is_left_as_it_is(folder: Path) -> None:
    (folder / "b/one.mp4").write_bytes(b"longer")
    (folder / "new.mp4").write_bytes(b"new")
    os.utime(folder / "new.mp4", ns=(1, 1))
    (folder / "z\udcff.mp4").unlink()
    before = {path: path.stat() for path in folder.rglob("*")}
    assert find(folder) == Edits()
    assert {path: path.stat() for path in folder.rglob("*")} == before
    record = (folder.parent / "record.jsonl").stat()
    assert find(folder) == Edits()
    assert (folder.parent / "record.jsonl").stat().st_ino == record.st_ino, "nothing new, nothing written"


def test_an_edit_after_one_that_dvc_alone_has_read_is_found(folder: Path) -> None:
    """DVC knows the file as it was in between, and the record as it was at first."""
    file = folder / "b.mp4"
    time.sleep(0.02)
    file.write_bytes(b"longer")
    known = seen_by_dvc(file)
    edit_in_place(file, b"LONGER")
    assert seen_by_dvc(file) == known, "DVC would not see it"
    assert str(find(folder).stamped) == "b.mp4"
    assert seen_by_dvc(file) != known
    assert find(folder) == Edits()


def test_a_new_mode_looks_like_an_edit(folder: Path) -> None:
    """Nothing is read here: DVC reads, and finds the same bytes."""
    (folder / "b.mp4").chmod(0o600)
    assert str(find(folder).stamped) == "b.mp4"


def test_changes_behind_links_are_unseen_by_dvc(folder: Path) -> None:
    two = folder.parent / "elsewhere/two.mp4"
    times = two.stat().st_mtime_ns
    edit_in_place(two, b"y")
    (folder.parent / "elsewhere/deep").mkdir()
    (folder.parent / "elsewhere/deep/three.mp4").write_bytes(b"x")
    edits = find(folder)
    assert (str(edits.unseen), edits.stamped.count) == ("linked/deep/three.mp4, linked/two.mp4", 0)
    assert two.stat().st_mtime_ns == times
    assert find(folder) == Edits()
    (folder / "linked").unlink()
    assert str(find(folder).unseen) == "linked/deep/three.mp4, linked/two.mp4"
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    assert find(folder).unseen.count == 2


def test_a_link_to_a_file_is_what_it_leads_to(folder: Path) -> None:
    (folder / "file.mp4").symlink_to(folder.parent / "elsewhere/two.mp4")
    assert find(folder) == Edits()
    edit_in_place(folder.parent / "elsewhere/two.mp4", b"y")
    edits = find(folder)
    assert (str(edits.stamped), str(edits.unseen)) == ("file.mp4", "linked/two.mp4")


def test_a_file_whose_time_cannot_be_set_is_unseen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_in_place(folder / "b.mp4", b"y")

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    edits = find(folder)
    assert (edits.stamped.count, str(edits.unseen)) == (0, "b.mp4")
    assert find(folder) == Edits()


def test_if_a_run_dies_before_dvc_is_informed_the_next_one_informs_it(folder: Path) -> None:
    edit_in_place(folder.parent / "elsewhere/two.mp4", b"y")
    edit_in_place(folder / "b.mp4", b"y")
    known = seen_by_dvc(folder / "b.mp4")

    def die() -> None:
        with edits_since(LocalFolder(folder), folder.parent / "record.jsonl") as edits:
            assert edits.unseen.count == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    edits = find(folder)
    assert str(edits.unseen) == "linked/two.mp4"
    assert seen_by_dvc(folder / "b.mp4") != known
    assert len((folder.parent / "record.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:10],
        lambda data: bytes(30),
        lambda data: b"\xff\n" + data,
        lambda data: b'["b.mp4", 1]\n',
        lambda data: b"5\n" + data,
        lambda data: b"[1, 2, 3, 4, 5, 6]\n" + data,
    ],
)
def test_a_damaged_record_is_ignored(
    folder: Path, damage: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    record = folder.parent / "record.jsonl"
    whole = record.read_bytes()
    record.write_bytes(damage(whole))
    assert str(find(folder).unseen) == "linked/two.mp4"
    assert "damaged" in capsys.readouterr().out
    assert record.read_bytes() == whole
    assert find(folder) == Edits()


def test_a_file_that_disappears_while_it_is_looked_at_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_in_place(folder / "b.mp4", b"y")
    utime = os.utime

    def gone(path: Path, **times: tuple[int, int]) -> None:
        path.unlink()
        utime(path, ns=times["ns"])

    monkeypatch.setattr(os, "utime", gone)
    assert find(folder) == Edits()
    lines = (folder.parent / "record.jsonl").read_text().splitlines()
    assert "b.mp4" not in [json.loads(line)[0] for line in lines]


def test_names_that_are_not_utf8_can_be_shown(folder: Path) -> None:
    edit_in_place(folder / "z\udcff.mp4", b"y")
    assert str(find(folder).stamped) == r"z\xff.mp4"


def test_names_are_counted_and_the_first_are_named(folder: Path) -> None:
    touch(folder.parent, *(f"elsewhere/{number}.mp4" for number in range(5)))
    assert str(find(folder).unseen) == "linked/0.mp4, linked/1.mp4, linked/2.mp4 ..."
