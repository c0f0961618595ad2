"""Mounts whose locks other machines do not see."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from walt.core.lock_scope import option_of_local_locks


def mounted(monkeypatch: pytest.MonkeyPatch, *mounts: tuple[str, str, str]) -> None:
    found = [SimpleNamespace(mountpoint=point, fstype=kind, opts=options) for point, kind, options in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: found if all else [])


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("nfs4", "rw,vers=4.2,hard,local_lock=none,addr=10.0.0.1", None),
        ("nfs4", "rw,local_lock=posix", None),
        ("nfs", "rw,vers=3,nolock,local_lock=all", "local_lock=all"),
        ("nfs4", "rw,local_lock=flock", "local_lock=flock"),
        ("lustre", "rw,flock,lazystatfs", None),
        ("lustre", "rw,localflock", "localflock"),
        ("cifs", "rw,nobrl", "nobrl"),
        ("ext4", "rw,nolock", None),
    ],
)
def test_the_option_that_keeps_locks_on_one_machine(
    kind: str, options: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(monkeypatch, ("/", "ext4", "rw"), (str(tmp_path), kind, options))
    assert option_of_local_locks(tmp_path / "work/train-base") == expected
    assert option_of_local_locks(Path("/")) is None


def test_the_mount_that_is_seen_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below, beside = tmp_path / "work", Path(f"{tmp_path}-2")
    mounted(
        monkeypatch,
        (str(tmp_path), "nfs", "nolock"), (str(below), "nfs4", "nolock"), (str(below), "nfs4", "local_lock=none"),
    )  # fmt: skip
    assert option_of_local_locks(tmp_path) == "nolock"
    assert option_of_local_locks(below / "train-base") is None
    assert option_of_local_locks(beside) is None


def test_the_mounts_of_this_machine_can_be_read(tmp_path: Path) -> None:
    assert option_of_local_locks(tmp_path) is None
