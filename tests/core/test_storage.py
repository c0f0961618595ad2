"""A directory that is replaced is never missing, and what was there is removed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from walt.core import storage
from walt.core.storage import atomic_directory


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


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "model", "a")
    with pytest.raises(TypeError), atomic_directory(tmp_path / "model") as folder:
        (folder / "file").write_text(b"b")  # type: ignore[arg-type]
    assert (tmp_path / "model/file").read_text() == "a"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
