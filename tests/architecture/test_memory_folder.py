"""The folder in memory that tests write to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import memory_folder
from tests.support.memory_folder import MemoryFolder


def test_it_is_removed_at_the_end_unless_it_is_kept(tmp_path: Path) -> None:
    folder = MemoryFolder(tmp_path, room=0)
    assert folder.path is not None
    (folder.path / "a file").write_text("x")
    folder.close(keep=True)
    assert (folder.path / "a file").is_file()
    second = MemoryFolder(tmp_path, room=0)
    assert not folder.path.exists(), "what was kept is there until the next run"
    second.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_stays(tmp_path: Path) -> None:
    first, second = MemoryFolder(tmp_path, room=0), MemoryFolder(tmp_path, room=0)
    assert first.path is not None
    assert second.path is not None
    assert first.path.is_dir()
    first.close()
    assert second.path.is_dir()


@pytest.mark.parametrize("moment", ["before it is locked", "while it is locked"])
def test_a_new_folder_that_another_run_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    lock, removed = memory_folder._lock, list[Path]()

    def locked(folder: Path) -> int | None:
        if removed:
            return lock(folder)
        removed.append(folder)
        found = lock(folder) if moment == "while it is locked" else None
        shutil.rmtree(folder)
        return found or lock(folder)

    monkeypatch.setattr(memory_folder, "_lock", locked)
    made = MemoryFolder(tmp_path, room=0)
    assert made.path is not None
    assert made.path.is_dir()
    assert made.path not in removed
    made.close()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tests.support.memory_folder import MemoryFolder\n"
        "folder = MemoryFolder(Path(sys.argv[1]), room=0); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    [left] = tmp_path.iterdir()
    MemoryFolder(tmp_path, room=0).close()
    assert not left.exists()


@pytest.mark.parametrize(("name", "room"), [("nowhere", 0), (".", 1 << 60)])
def test_where_there_is_none_or_no_room_there_is_no_folder(tmp_path: Path, name: str, room: int) -> None:
    folder = MemoryFolder(tmp_path / name, room)
    assert folder.path is None
    folder.close()
    assert not list(tmp_path.iterdir())
