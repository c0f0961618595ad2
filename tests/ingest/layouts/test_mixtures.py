"""Mixtures of layouts that trainers' users have on their disks: each caption is read, or a line says that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.layout_folder import TWO, Files, V
from tests.support.miniatures import IN_VIDEOS, describe
from walt.ingest.describe_files import Described
from walt.ingest.layouts.tables import TableColumns


def captions(described: Described) -> dict[str, list[str]]:
    return {item.source: [caption.text for caption in item.captions] for item in described.listing.items}


def in_languages(folder: str, ends: tuple[str, str]) -> Files:
    texts = {"a": ("a cat", "eine Katze"), "b": ("a dog", "ein Hund")}
    return {
        f"{folder}{name}{end}.txt": text for name, both in texts.items() for end, text in zip(ends, both, strict=True)
    }


@pytest.mark.parametrize(
    ("name", "caption", "expected"),
    [
        ("caption", {"en": "a cat", "zh": "\u4e00\u53ea\u732b"}, ["a cat", "\u4e00\u53ea\u732b"]),
        ("captions", {"qwen": "a cat", "gemini": "one cat"}, ["one cat", "a cat"]),
        ("caption", {"video": "a.mp4", "model": "qwen", "text": "a cat"}, ["a cat"]),
    ],
    ids=["languages", "models", "its file and its model"],
)
def test_a_record_of_captions_in_json_for_each_video(
    tmp_path: Path, name: str, caption: Any, expected: list[str]
) -> None:
    """As trainers for HunyuanVideo have them; it was "no captions in it", and init ended well."""
    described = describe(tmp_path, {**IN_VIDEOS, "jsons/a.json": {"video_path": "/x/a.mp4", name: caption}})
    assert captions(described) == {"videos/a.mp4": expected}


def test_a_list_of_captions_that_is_not_understood_is_said(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "a.json": {"captions": {"first": [{"all": ["a cat"]}]}}})
    assert described.choice.may_lose_captions


def test_texts_in_a_folder_of_their_own_beside_controls(tmp_path: Path) -> None:
    """Of videos and of the controls with their names, the texts are of the videos; it was "put it beside its file"."""
    texts = {"captions/a.txt": "a cat", "captions/b.txt": "a dog"}
    described = describe(tmp_path, {**IN_VIDEOS, "control/a.mp4": V, "control/b.mp4": V, **texts})
    assert captions(described) == {"videos/a.mp4": ["a cat"], "videos/b.mp4": ["a dog"]}
    assert not described.listing.refusals
    assert not described.choice.may_lose_captions
    assert any("not inputs: control/**/*" in line for line in described.lines())


def test_a_control_with_a_caption_of_its_own_is_not_left_out(tmp_path: Path) -> None:
    files = {**IN_VIDEOS, "control/a.mp4": V, "control/c.mp4": V, "captions/a.txt": "a cat", "control/c.txt": "a cow"}
    described = describe(tmp_path, files)
    assert captions(described) == {"control/c.mp4": ["a cow"]}
    assert described.choice.may_lose_captions, "what is in captions/ may be of either"


@pytest.mark.parametrize("ends", [("_en", "_de"), ("-english", "-german"), (".en", ".de")])
def test_texts_whose_names_end_with_their_language(tmp_path: Path, ends: tuple[str, str]) -> None:
    described = describe(tmp_path, {**TWO, **in_languages("", ends)})
    assert {name: {*texts} for name, texts in captions(described).items()} == {
        "a.mp4": {"a cat", "eine Katze"}, "b.mp4": {"a dog", "ein Hund"},
    }  # fmt: skip
    assert not described.choice.may_lose_captions


def test_identifiers_beside_videos_are_not_texts_in_indonesian(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "a.txt": "a cat", "b.txt": "a dog", "a_id.txt": "4711", "b_id.txt": "4712"})
    assert captions(described) == {"a.mp4": ["a cat"], "b.mp4": ["a dog"]}
    assert any("a_id.txt" in line for line in described.lines())


def test_a_video_that_is_called_so_has_its_own_text(tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": V, "a_de.mp4": V, "a.txt": "a cat", "a_de.txt": "a German cat"})
    assert captions(described) == {"a.mp4": ["a cat"], "a_de.mp4": ["a German cat"]}


@pytest.mark.parametrize("beside", ["path,id,num_frames,text\na.mp4,a,24,a cat\nb.mp4,b,24,a dog\n", None])
def test_tables_of_earlier_steps_without_captions_end_nothing(tmp_path: Path, beside: str | None) -> None:
    """Open-Sora's tools write a table at each step; init ended, since each may have held captions."""
    steps = {
        "meta.csv": "path,id\na.mp4,a\nb.mp4,b\n",
        "meta_vinfo.csv": "path,id,num_frames\na.mp4,a,24\nb.mp4,b,24\n",
    }
    last = {"a.txt": "a cat", "b.txt": "a dog"} if beside is None else {"meta_vinfo_caption.csv": beside}
    described = describe(tmp_path, {**TWO, **steps, **last})
    assert captions(described) == {"a.mp4": ["a cat"], "b.mp4": ["a dog"]}
    assert not described.choice.may_lose_captions
    assert sum("no column of captions" in line for line in described.lines()) == 2


def test_another_table_with_sentences_under_another_name_is_named(tmp_path: Path) -> None:
    other = "path,what happens\na.mp4,a cat jumps up\nb.mp4,a dog runs away\n"
    described = describe(tmp_path, {**TWO, "m.csv": "path,caption\na.mp4,a cat\nb.mp4,a dog\n", "other.csv": other})
    assert described.choice.may_lose_captions
    assert any("what happens" in line for line in described.lines())


def test_records_that_are_called_by_the_whole_name_of_a_video(tmp_path: Path) -> None:
    """Annotation tools write ``annotations/a.mp4.json``; it was a table that names no file."""
    files = {f"annotations/{name}.mp4.json": {"caption": text} for name, text in (("a", "a cat"), ("b", "a dog"))}
    described = describe(tmp_path, {**IN_VIDEOS, **files})
    assert captions(described) == {"videos/a.mp4": ["a cat"], "videos/b.mp4": ["a dog"]}
    several = describe(tmp_path / "several", {**IN_VIDEOS, "more/a.mp4": V, **files})
    assert several.choice.may_lose_captions  # it may be of either


def test_texts_in_other_columns_are_said(tmp_path: Path) -> None:
    table = "path,caption,title,tags\na.mp4,a cat,My cat at home,big\nb.mp4,a dog,My dog at home,small\n"
    described = describe(tmp_path, {**TWO, "m.csv": table})
    assert captions(described) == {"a.mp4": ["a cat"], "b.mp4": ["a dog"]}
    assert [line for line in described.lines() if "title" in line and "tags" not in line and "not read" in line]
    assert not described.choice.may_lose_captions
    given = describe(tmp_path, {}, columns=TableColumns(captions=("caption", "title")))
    assert captions(given)["a.mp4"] == ["a cat", "My cat at home"]
    assert not any("not read" in line for line in given.lines())


def test_controls_with_texts_of_their_own_are_inputs(tmp_path: Path) -> None:
    files = {f"{folder}/{name}": V for folder in ("videos", "masks") for name in TWO}
    texts = {f"captions/{folder}/{name[0]}.txt": f"{folder} {name}" for folder in ("videos", "masks") for name in TWO}
    described = describe(tmp_path, {**files, **texts})
    assert captions(described) == {
        f"{folder}/{name}": [f"{folder} {name}"] for folder in ("videos", "masks") for name in TWO
    }
