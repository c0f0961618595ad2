"""Clips for people, read from their tars."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny_clips import ROWS, write_clips
from walt.core.errors import CorruptArtifactError
from walt.pages.stored_clips import StoredClips

V0, V1, V3 = (next(row for row in ROWS if row.key == key) for key in ("v0", "v1", "v3"))


def test_a_clip_is_read_in_the_largest_size_that_it_has(tmp_path: Path) -> None:
    write_clips(tmp_path, tuple(replace(row, sizes="16x16" if row.key == "v1" else None) for row in ROWS))
    clips = StoredClips(tmp_path)
    assert list(clips.indexes) == ["16x16", "32x32"]
    found = dict(clips.read([V1, V0]))
    assert {key: clip.shape for key, clip in found.items()} == {"v0": (5, 32, 32, 3), "v1": (5, 16, 16, 3)}


def test_one_that_is_not_stored_is_left_out(tmp_path: Path) -> None:
    write_clips(tmp_path)
    assert [key for key, _ in StoredClips(tmp_path).read([replace(V0, key="v9"), V0])] == ["v0"]
    assert list(StoredClips(tmp_path / "none").read([V0])) == []


def test_only_tars_with_wanted_clips_are_read(tmp_path: Path) -> None:
    write_clips(tmp_path)
    (tmp_path / "32x32/clips-000001.tar").write_bytes(b"damaged")
    clips = StoredClips(tmp_path)
    assert [key for key, _ in clips.read([V0])] == ["v0"]
    with pytest.raises(CorruptArtifactError):
        list(clips.read([V3]))
