"""Prompts of held-out clips are drawn: the order of the manifest, and how many clips a recording has, say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.text_project import rows
from walt.core.errors import ConfigurationError
from walt.data.manifest import ManifestRow, write_manifest
from walt.sampling.stored_prompts import captions, classes

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
