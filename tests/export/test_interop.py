"""Exports loaded by energon and litdata, in their own environment (``make interop``)."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import interop_reader
from tests.support.export_project import ROWS, exported, row, stored, write_project
from tests.support.interop import INTEROP, needs_interop
from walt.data.manifest import ManifestRow

pytestmark = needs_interop
GROUPS = [(kind, split) for kind in ("video", "image") for split in ("train", "held_out")]


def load(*arguments: str) -> Any:
    """What the other environment finds."""
    command = [str(INTEROP), str(interop_reader.__file__), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ended.returncode, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def expected(kind: str, split: str) -> list[ManifestRow]:
    return [one for one in ROWS if (one.kind, one.split) == (kind, split)]


@pytest.mark.parametrize(("kind", "split"), GROUPS)
def test_energon_loads_each_split_of_each_kind(tmp_path: Path, kind: str, split: str) -> None:
    exported(write_project(tmp_path), tmp_path / "out", "energon")
    found = load("energon", str(tmp_path / "out" / kind), {"train": "train", "held_out": "val"}[split])
    shape = [5, 3, 32, 32] if kind == "video" else [3, 32, 32]
    assert sorted((one["key"], one["caption"], one["shape"]) for one in found) == sorted(
        (one.key, one.caption or "", shape) for one in expected(kind, split)
    )


@pytest.mark.parametrize(("kind", "split"), GROUPS)
def test_litdata_loads_each_split_of_each_kind(tmp_path: Path, kind: str, split: str) -> None:
    exported(write_project(tmp_path), tmp_path / "out", "litdata")
    found = load("litdata", str(tmp_path / "out" / kind / {"train": "train", "held_out": "validation"}[split]))
    extension = "mp4" if kind == "video" else "png"
    assert [one["key"] for one in found] == [one.key for one in expected(kind, split)]
    for sample, one in zip(found, expected(kind, split), strict=True):
        assert sample["caption"] == (one.caption or "")
        assert (sample["said"]["label"], sample["said"]["source"]) == (one.label, one.source)
        assert sample[extension] == hashlib.sha256(stored(one, 32)[extension]).hexdigest()


def test_what_stands_beside_the_tars_is_what_energon_prepare_writes(tmp_path: Path) -> None:
    """The same samples in its index, byte for byte the same ``.tar.idx``, the same splits."""
    exported(write_project(tmp_path), tmp_path / "out", "energon")
    assert load("prepared", str(tmp_path / "out/video"), str(tmp_path / "prepared")) == []


def test_energon_loads_clips_without_captions_as_their_members(tmp_path: Path) -> None:
    rows = row("v0", captioned=False), row("v1", captioned=False)
    exported(write_project(tmp_path, rows), tmp_path / "out", "energon")
    assert load("members", str(tmp_path / "out/video")) == [["cls", "json", "mp4"]] * 2
