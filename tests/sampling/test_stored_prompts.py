"""Prompts of held-out clips are drawn: the order of the manifest, and how many clips a recording has, say nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.text_project import rows
from walt.core.errors import ConfigurationError
from walt.data.manifest import ManifestRow, write_manifest
from walt.sampling.stored_prompts import captions, classes, clips_of_beginnings, said_of_beginnings

RECORDINGS = ["a"] * 40 + ["b"] * 4 + ["c"] * 4


def manifest_of(clips: Sequence[ManifestRow], folder: Path) -> Path:
    write_manifest(folder, [(0, clips)])
    return folder


def held_out() -> list[ManifestRow]:
    """Clips sorted by recording, each with a caption and the class of its recording."""
    texts = [f"{name} {number}" for number, name in enumerate(RECORDINGS)]
    return [
        replace(row, split="held_out", group=name, label=ord(name) - ord("a"))
        for row, name in zip(rows(texts), RECORDINGS, strict=True)
    ]


def test_captions_are_of_all_recordings_in_any_order_of_the_manifest(tmp_path: Path) -> None:
    clips = held_out()
    found = captions(manifest_of(clips, tmp_path / "sorted"), "held_out", 6, None, 0)
    assert sorted(text[0] for text in found) == ["a", "a", "b", "b", "c", "c"]
    assert captions(manifest_of(clips[::-1], tmp_path / "turned"), "held_out", 6, None, 0) == found
    assert captions(tmp_path / "sorted", "held_out", 6, None, 1) != found, "another seed"
    assert captions(tmp_path / "sorted", "held_out", 3, None, 0) == found[:3]
    assert captions(tmp_path / "sorted", "train", 3, None, 0) == []


def test_a_text_of_many_clips_is_one_prompt_at_the_place_of_its_first_clip(tmp_path: Path) -> None:
    clips = [replace(row, captions=row.captions if row.group != "a" else held_out()[0].captions) for row in held_out()]
    found = captions(manifest_of(clips, tmp_path), "held_out", 100, None, 0)
    assert len(found) == len({*found}) == 9
    assert "a 0" in found[:3]
    assert captions(tmp_path, "held_out", 3, None, 0) == found[:3], "also where what is not among the first is dropped"


def test_classes_are_of_all_recordings_in_any_order_of_the_manifest(tmp_path: Path) -> None:
    clips = held_out()
    found = classes(manifest_of(clips, tmp_path / "sorted"), 6, 0)
    assert sorted(found, key=str) == [0, 0, 1, 1, 2, 2]
    assert classes(manifest_of(clips[::-1], tmp_path / "turned"), 6, 0) == found
    trained = [replace(row, split="train") for row in clips]
    with pytest.raises(ConfigurationError, match="nothing is held out: give a list, or classes"):
        classes(manifest_of(trained, tmp_path / "trained"), 6, 0)


def test_first_frames_and_their_prompts_are_of_all_recordings_in_any_order_of_the_manifest(tmp_path: Path) -> None:
    clips = held_out()
    manifest = manifest_of(sorted(clips, key=lambda row: row.key), tmp_path / "sorted")
    first = Counter(row.group for row in sorted(clips, key=lambda row: row.key)[:6])
    assert first["a"] == 4, "most of the first by key are of one recording"
    found = clips_of_beginnings(manifest, [], 0)
    of_key = {row.key: row for row in clips}
    assert {*found} == {*of_key}
    assert sorted(of_key[key].group or "" for key in found[:6]) == ["a", "a", "b", "b", "c", "c"]
    assert clips_of_beginnings(manifest_of(clips[::-1], tmp_path / "turned"), [], 0) == found
    assert clips_of_beginnings(manifest, [], 1) != found, "another seed"
    for count in (6, 100):
        texts = said_of_beginnings(manifest, None, count, [], None, 0)
        assert texts == [of_key[key].captions[0].text for key in found[:count]]
        assert said_of_beginnings(manifest, 3, count, [], None, 0) == [of_key[key].label for key in found[:count]]


def test_first_frames_are_of_held_out_videos_that_are_stored_in_each_size(tmp_path: Path) -> None:
    clips = [replace(row, sizes="16x16,32x32" if row.group != "a" else "16x16") for row in held_out()]
    clips = [replace(row, split="train") if row.group == "b" else row for row in clips]
    clips[-1] = replace(clips[-1], kind="image")
    manifest = manifest_of(clips, tmp_path)
    small, both = (clips_of_beginnings(manifest, sizes, 0) for sizes in ([(16, 16)], [(16, 16), (32, 32)]))
    assert (len(small), {*both}) == (43, {row.key for row in clips[-4:-1]})
    assert [key for key in small if key in both] == both, "another clip moves no other two against each other"
    with pytest.raises(ConfigurationError, match="no video that is stored in 64x64 is held out: give a list, or class"):
        said_of_beginnings(manifest, None, 3, [(64, 64)], None, 0)
