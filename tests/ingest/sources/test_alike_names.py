"""Files that tables and texts name in other capital letters than their own, as Windows and macOS let them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.support.layout_folder import V, write
from tests.support.sources import LIST, codes, list_source
from walt.ingest.sources.alike_names import AlikeFiles, AlikeNames, folded
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.sources.items import Listing

LINES: dict[str, Any] = {"kind": "lines", "paths": "videos.txt", "captions": ["prompts.txt"], "absent": "refuse"}


def found(listing: Listing) -> dict[str, tuple[str, ...]]:
    """The captions of each file."""
    return {Path(item.path).name: tuple(caption.text for caption in item.captions) for item in listing.items}


def listing_of(tmp_path: Path, source: dict[str, Any], rows: dict[str, str], *names: str) -> Listing:
    """The inputs of a list, or of line files, with these rows, in a folder of these videos."""
    table = "".join(f"{path},{caption}\n" for path, caption in rows.items())
    files = {"t.csv": f"path,caption\n{table}"} if source["kind"] == "list" else {
        "videos.txt": "\n".join(rows), "prompts.txt": "\n".join(rows.values())
    }  # fmt: skip
    write(tmp_path / "d", {**dict.fromkeys(names, V), **files})
    return list_source(tmp_path, source, "d")


@pytest.mark.parametrize("source", [LIST, LINES], ids=["list", "lines"])
def test_a_file_in_other_capital_letters_is_found_and_that_is_said(
    tmp_path: Path, source: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"V/Clip01.MP4": "a cat", "v/b.mp4": "a dog"}
    listing = listing_of(tmp_path, source, rows, "v/clip01.mp4", "v/b.mp4")
    assert found(listing) == {"clip01.mp4": ("a cat",), "b.mp4": ("a dog",)}
    assert codes(listing) == {}
    said = "1 files are named in other capital letters, such as V/Clip01.MP4 for v/clip01.mp4"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("source", [LIST, LINES], ids=["list", "lines"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_file_that_rows_name_in_two_ways_is_the_exact_one_s(
    tmp_path: Path, source: dict[str, Any], turned: bool
) -> None:
    """The other row is of a file that is not here, whatever the order of rows."""
    rows = {"A.mp4": "of another", "a.mp4": "a cat", "B.mp4": "of b", "b.MP4": "of b too"}
    listing = listing_of(tmp_path, source, dict(sorted(rows.items(), reverse=turned)), "a.mp4", "b.mp4")
    assert found(listing) == {"a.mp4": ("a cat",)}
    assert codes(listing) == dict.fromkeys(("A.mp4", "B.mp4", "b.MP4"), "ambiguous")
    causes = {refusal.source: refusal.cause for refusal in listing.refusals}
    assert causes["A.mp4"].endswith("only a.mp4 is here, in other capital letters, as the row of a.mp4 names it")


def test_of_two_files_that_differ_in_capital_letters_none_is_guessed(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, LIST, {"CLIP.mp4": "a cat"}, "clip.mp4", "Clip.mp4")
    assert codes(listing) == {"CLIP.mp4": "ambiguous"}
    assert "only Clip.mp4 and clip.mp4 are here" in listing.refusals[0].cause


def test_several_rows_in_one_spelling_are_captions_of_one_file(tmp_path: Path) -> None:
    write(tmp_path / "d", {"a.mp4": V, "t.csv": "path,caption,score\nA.MP4,a cat,1\nA.MP4,one cat,none\n"})
    listing = list_source(tmp_path, {**LIST, "number_columns": ["score"], "unlisted": "take"}, "d")
    assert found(listing) == {"a.mp4": ("a cat", "one cat")}
    assert codes(listing) == {}


def test_a_refused_row_means_its_file_in_other_capital_letters_too(tmp_path: Path) -> None:
    """Which does not count then as a file that no row names."""
    write(tmp_path / "d", {"a.mp4": V, "t.csv": "path,caption,start,end\nA.MP4,a cat,5,1\n"})
    listing = list_source(tmp_path, {**LIST, "span_columns": ["start", "end"], "unlisted": "take"}, "d")
    assert codes(listing) == {"A.MP4": "bad_span"}
    assert found(listing) == {}


def test_texts_beside_files_may_have_other_capital_letters_or_accents(tmp_path: Path) -> None:
    here, there = (unicodedata.normalize(form, "\u00fc") for form in ("NFD", "NFC"))
    files = {"Clip01.MP4": V, "clip01.txt": "a cat", f"{here}.mp4": V, f"{there}.txt": "a dog"}
    write(tmp_path / "d", files)
    listing = list_source(tmp_path, {"kind": "folder", "patterns": ["*"], "captions": [{"file": "{path}.txt"}]}, "d")
    assert found(listing) == {"Clip01.MP4": ("a cat",), f"{here}.mp4": ("a dog",)}


def test_a_text_that_is_another_file_s_is_not_taken(tmp_path: Path) -> None:
    write(tmp_path / "d", {"A.mp4": V, "a.mp4": V, "a.txt": "a cat", "B.mp4": V, "b.txt": "one", "b.TXT": "two"})
    listing = list_source(tmp_path, {"kind": "folder", "patterns": ["*"], "captions": [{"file": "{path}.txt"}]}, "d")
    assert found(listing) == {"a.mp4": ("a cat",)}
    assert codes(listing) == {"A.mp4": "no_caption", "B.mp4": "bad_caption"}


def test_only_folders_on_the_path_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"V/sub/Clip.mp4": V, "V/sub/clip.txt": "a text", "other/Clip.mp4": V})
    looked: list[str] = []
    listdir = os.listdir

    def look(path: str) -> list[str]:
        looked.append(Path(path).name)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", look)
    files = AlikeFiles(LocalFolder(tmp_path))
    assert files.of("v/SUB/clip.MP4") == ["V/sub/Clip.mp4"] == files.of("V/sub/CLIP.mp4")
    assert files.of("v/sub/none.mp4") == files.of("v/Sub/clip.mp4/x.mp4") == files.of("../v/sub/clip.mp4") == []
    assert "other" not in looked
    assert looked.count("sub") == 1


def test_names_that_are_alike() -> None:
    names = AlikeNames(["a.mp4", "A.MP4", "b.mp4", "stra\u00dfe.mp4"])
    assert names.of("A.mp4") == ["a.mp4", "A.MP4"]
    assert names.of("STRASSE.mp4") == ["stra\u00dfe.mp4"]
    assert names.of("c.mp4") == []
    assert folded("e\u0301") == folded("\u00c9")
