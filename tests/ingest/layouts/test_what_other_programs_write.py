"""Captions in the codings, types and forms in which other programs write them."""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from tests.support.layout_folder import TWO, Files, V
from tests.support.miniatures import CATS, describe, lines, refusals, tar


@pytest.mark.parametrize("name", ["{}.caption", "{}.TXT", "{}.mp4.txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_beside_files_under_other_suffixes_and_in_utf_16(tmp_path: Path, name: str, encoding: str) -> None:
    texts = {"a": "a cat", "b": "a dog on a café's roof"}
    files = {name.format(stem): text.encode(encoding) for stem, text in texts.items()}
    described = describe(tmp_path, {**TWO, **files})
    assert {item.source: item.caption for item in described.listing.items} == {
        f"{stem}.mp4": text for stem, text in texts.items()
    }


@pytest.mark.parametrize(
    "members",
    [
        {"a__mp4": V, "a__txt": b"\xef\xbb\xbfa cat\r\n"},
        {"a__mp4": V, "a__txt": "a cat".encode("utf-16")},
        {"a__MP4": V, "a__TXT": b"a cat"},
        {"a__mp4": V, "a__caption__txt": b"a cat", "a__meta__json": b'{"fps": 24}'},
        {"._a__mp4": b"beside", "a__mp4": V, "._a__txt": b"beside", "a__txt": b"a cat"},
    ],
)
def test_captions_in_tars_under_other_names_and_in_other_codings(tmp_path: Path, members: dict[str, bytes]) -> None:
    described = describe(tmp_path, {"0.tar": tar(**members)})
    assert [item.caption for item in described.listing.items] == ["a cat"]
    assert refusals(described) == {}
    assert not described.choice.may_lose_captions


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_paths_of_other_systems_find_their_files(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    """Backslashes, and accents that are letters of their own, or not."""
    here, there = (unicodedata.normalize(other, "é.mp4") for other in (form, "NFC" if form == "NFD" else "NFD"))
    table = f"file,caption\n.\\v\\a.mp4,a cat\n{there},a dog\n"
    described = describe(tmp_path, {"v/a.mp4": V, here: V, "t.csv": table})
    assert {item.path.rpartition("/")[2]: item.caption for item in described.listing.items} == {
        "a.mp4": "a cat", here: "a dog",
    }  # fmt: skip
    assert refusals(described) == {}


@pytest.mark.parametrize("path", [" {}", "{} ", "\u3000{}", "\t.\\{} "])
def test_blanks_around_a_path_are_no_part_of_it(path: str, tmp_path: Path) -> None:
    rows = lines(*({"path": path.format(name), "caption": "a cat"} for name in TWO))
    described = describe(tmp_path, {**TWO, "m.jsonl": rows})
    assert [Path(item.path).name for item in described.listing.items] == [*TWO]
    assert refusals(described) == {}


def test_a_file_whose_name_ends_with_a_blank_is_that_file(tmp_path: Path) -> None:
    rows = lines({"path": "a.mp4", "caption": "a cat"}, {"path": " a.mp4", "caption": "a dog"})
    described = describe(tmp_path, {"a.mp4": V, " a.mp4": V, "m.jsonl": rows})
    assert {Path(item.path).name: item.caption for item in described.listing.items} == {
        "a.mp4": "a cat", " a.mp4": "a dog",
    }  # fmt: skip


def test_nul_in_a_caption_is_named(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "m.tsv": "path\tcaption\na.mp4\ta\0 cat\nb.mp4\ta dog\n"})
    assert [(refusal.source, refusal.code, refusal.cause) for refusal in described.listing.refusals] == [
        ("a.mp4", "bad_caption", "the caption contains NUL")
    ]


def test_columns_of_other_types(tmp_path: Path) -> None:
    """Captions inside of a record, and NaN for a missing one; a row's number is not a number of the input."""
    rows = pa.table({"path": ["a.mp4"], "caption": [{"short": "a cat", "long": "a small cat"}]})
    described = describe(tmp_path / "records", {"a.mp4": V, "t.parquet": rows})
    assert [caption.text for caption in described.listing.items[0].captions] == ["a cat", "a small cat"]
    captions = lines({"path": "a.mp4", "caption": "a cat"}, {"path": "b.mp4", "caption": math.nan})
    described = describe(tmp_path / "nan", {**TWO, "t.jsonl": captions})
    assert refusals(described) == {"b.mp4": "no_caption"}
    described = describe(tmp_path / "index", {**TWO, "t.csv": ",path,caption\n0,a.mp4,a cat\n1,b.mp4,a dog\n"})
    assert [item.numbers for item in described.listing.items] == [None, None]


RECORDS = [{"path": "a.mp4", "caption": "a cat"}, {"path": "b.mp4", "caption": "a dog"}]


@pytest.mark.parametrize(
    "files",
    [
        {"t.json": json.dumps(RECORDS).encode("utf-16")},
        {"t.jsonl": lines(*RECORDS).encode("utf-16")},
        {"t.jsonl": "".join(f"{json.dumps(record)},\n" for record in RECORDS)},
        {"t.jsonl": "".join(map(json.dumps, RECORDS))},
        {"t.json": "".join(map(json.dumps, RECORDS))},
        {"t.json": "\n".join(json.dumps(record, indent=2) for record in RECORDS)},
        {"t.jsonl": "\n".join(json.dumps(record, indent=2) for record in RECORDS)},
        {"t.csv": 'path,caption\na.mp4,"{""short"": ""a cat""}"\nb.mp4,"{""short"": ""a dog""}"\n'},
        {"t.csv": "path,caption\na.mp4,{'short': 'a cat'}\nb.mp4,{'short': 'a dog'}\n"},
        {"videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "a cat\na dog\n".encode("utf-16")},
        {"videos.txt": b"a.mp4\rb.mp4\r", "prompts.txt": b"a cat\ra dog\r"},
    ],
)
def test_texts_that_other_programs_write_are_read(tmp_path: Path, files: Files) -> None:
    described = describe(tmp_path, {**TWO, **files})
    assert {item.source: [caption.text for caption in item.captions] for item in described.listing.items} == CATS
    assert refusals(described) == {}


def test_lists_of_captions_as_pandas_and_numpy_write_them(tmp_path: Path) -> None:
    rows = """path,captions\na.mp4,"['a cat', 'one cat']"\nb.mp4,['a dog' 'it\\'s a dog']\nc.mp4,[a cow]\n"""
    described = describe(tmp_path, {**TWO, "c.mp4": V, "t.csv": rows})
    found = {item.source: [caption.text for caption in item.captions] for item in described.listing.items}
    assert found == {"a.mp4": ["a cat", "one cat"], "b.mp4": ["a dog", "it's a dog"], "c.mp4": ["[a cow]"]}


@pytest.mark.parametrize("word", ["nan", "NaN", "NULL", "None", "\\N", "<NA>"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_what_stands_for_no_caption_is_none(tmp_path: Path, word: str, name: str) -> None:
    records = [{"path": "a.mp4", "caption": word}, {"path": "b.mp4", "caption": "a dog called None"}]
    table = f"path,caption\na.mp4,{word}\nb.mp4,a dog called None\n" if name == "t.csv" else lines(*records)
    described = describe(tmp_path, {**TWO, name: table})
    assert [(item.source, item.caption) for item in described.listing.items] == [("b.mp4", "a dog called None")]
    assert refusals(described) == {"a.mp4": "no_caption"}


@pytest.mark.parametrize(
    "attributes", [{}, {"quality": {"type": "radio"}, "caption": {"type": "text"}, "note": {"type": "text"}}]
)
def test_a_project_of_the_vgg_image_annotator(tmp_path: Path, attributes: dict[str, Any]) -> None:
    """Its files are records under ``_via_img_metadata``; what it says of its attributes has the same form."""
    project = {
        "_via_settings": {"core": {"filepath": {}}, "project": {"name": "pets"}},
        "_via_img_metadata": {
            f"{name}9": {"filename": name, "size": 9, "regions": [], "file_attributes": {"caption": said}}
            for name, said in (("a.mp4", "a cat"), ("b.mp4", "a dog"))
        },
        "_via_attributes": {"region": {}, "file": attributes},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": ["a.mp49", "b.mp49"],
    }
    described = describe(tmp_path, {**TWO, "via_project.json": json.dumps(project)})
    assert {item.source: item.caption for item in described.listing.items} == {"a.mp4": "a cat", "b.mp4": "a dog"}
    assert refusals(described) == {}
