"""JSON that maps files to captions more than once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.layout_folder import TWO, V
from tests.support.miniatures import describe, refusals


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"de": {"a.mp4": "Katze", "b.mp4": "Hund"}, "en": {"a.mp4": "cat", "b.mp4": "dog"}}, ["en", "de"]),
        ({"en": {"a": "cat", "b": "dog"}, "zh-CN": {"b": "Hund", "a": "Katze"}}, ["en", "zh-CN"]),
        ({"version": 1, "long": {"a.mp4": "cat"}, "short": {"a.mp4": "Katze", "b.mp4": "Hund"}}, ["long", "short"]),
        ({"en": {"a.mp4": "cat"}, "de": {"a.mp4": "Katze"}, "fr": {"b.mp4": ["Hund", "dog"]}}, ["en", "de"]),
    ],
)
def test_a_map_of_files_for_each_language(content: Any, names: list[str], tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "t.json": content})
    first, second = described.listing.items
    assert [caption.name for caption in first.captions] == names
    assert {caption.text for caption in first.captions} == {"cat", "Katze"}
    assert "Hund" in {caption.text for caption in second.captions}
    assert refusals(described) == {}
    assert not described.choice.may_lose_captions, described.lines()


@pytest.mark.parametrize(
    "content",
    [
        {"captions": {"a.mp4": "a cat", "b.mp4": "a dog"}},
        {"info": {"author": "Bob", "year": "2026"}, "captions": {"a.mp4": "a cat", "b.mp4": "a dog"}},
    ],
)
def test_one_map_beside_other_things(content: Any, tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "t.json": content})
    assert [item.caption for item in described.listing.items] == ["a cat", "a dog"]
    assert refusals(described) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train": {"a.mp4": "a cat"}, "val": {"b.mp4": "a dog"}}, "a map of files for each split (train, val)"),
        (
            {"captions": {"a.mp4": "a cat"}, "places": {"a.mp4": "in a wide garden"}},
            "maps of files to texts at captions, places, of which not all are captions",
        ),
        (
            {"info": {"author": "Bob"}, "en": {"a.mp4": "a cat"}, "de": {"a.mp4": "eine Katze"}},
            "maps of files to captions at en, de, beside info",
        ),
    ],
)
def test_what_is_not_read_is_said_with_its_cause(content: Any, said: str, tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "t.json": content})
    assert described.choice.may_lose_captions
    assert any(said in line for line in described.lines()), described.lines()


def test_more_files_than_are_looked_at(tmp_path: Path) -> None:
    """Each map is looked at from its own beginning."""
    names = [f"{number:03}.mp4" for number in range(150)]
    content = {"en": {name: f"cat {name}" for name in names[:100]}, "de": dict.fromkeys(names[100:], "Hund")}
    described = describe(tmp_path, {**dict.fromkeys(names, V), "t.json": content})
    assert len(described.listing.items) == 150
    assert not described.choice.may_lose_captions
