"""What stands in the place of files, or beside them, and is not what its name says."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.support.layout_folder import TWO, Files, V, write
from tests.support.miniatures import describe, refusals
from walt.core.errors import ConfigurationError
from walt.ingest.describe_files import Given
from walt.project.point_at_dataset import own_dataset

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 1234567\n"
TABLE = "path,caption\na.mp4,a cat\nb.mp4,a dog\n"


def packed(**members: str) -> bytes:
    """A zip, whose members' bytes are not those of their texts; ``__`` in a name is a dot."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "."), text * 100)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json", "t.parquet", "a.txt"])
def test_captions_that_were_not_fetched_end_init(tmp_path: Path, name: str) -> None:
    files = {**TWO, name: LFS, "b.txt": LFS} if name == "a.txt" else {**TWO, name: LFS}
    write(tmp_path / "d", files)
    with pytest.raises(ConfigurationError, match=r"captions may be lost|git lfs pull"):
        own_dataset(tmp_path, Given("d"))


def test_videos_that_were_not_fetched_are_told(tmp_path: Path) -> None:
    described = describe(tmp_path, {"a.mp4": LFS, "b.mp4": V, "t.csv": TABLE})
    assert any("a.mp4 is a pointer of Git LFS" in line for line in described.lines())
    described = describe(tmp_path / "whole", {**TWO, "t.csv": TABLE})
    assert not any("pointer" in line for line in described.lines())


def test_a_tar_and_a_table_of_the_descriptor_that_were_not_fetched_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"0\.tar: a pointer of Git LFS"):
        describe(tmp_path, {"0.tar": LFS})
    described = describe(tmp_path / "list", {**TWO, "t.csv": TABLE})
    (tmp_path / "list/d/t.csv").write_text(LFS)
    from walt.ingest.sources.adapters import list_items

    with pytest.raises(ConfigurationError, match=r"t\.csv: a pointer of Git LFS"):
        list_items(described.descriptor, tmp_path / "list", "d", 60)


@pytest.mark.parametrize(
    "files",
    [
        {"captions.csv": ""},
        {"captions.csv": "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"},
        {"t.csv": "path,caption\na.mp4,texts/a.txt\nb.mp4,texts/b.txt\n"},
        {"shots.docx": packed(word__xml="a.mp4: a cat")},
        {"shots.pdf": b"%PDF-1.4 \x00\x01"},
        {"outer.zip": packed(inner__zip="PK")},
        {"Timeline 1.edl": "TITLE: Timeline 1\n001 001 V C\n |C:ResolveColorBlue |M:a cat jumps over it |D:24\n"},
        {"a.xmp": '<x:xmpmeta><rdf:li xml:lang="x-default">a cat sleeps on the sofa</rdf:li></x:xmpmeta>'},
        {"README.md": "| file | caption |\n|---|---|\n| a.mp4 | a cat |\n| b.mp4 | a dog |\n"},
        {"a.txt": "a cat\nNegative prompt: ugly, blurry\nSteps: 20, Sampler: Euler a, Seed: 1"},
        {"a.txt": "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"},
        {"a.json": {"6": {"inputs": {"text": "a red cat"}, "class_type": "C"}, "7": {"inputs": {"text": "ugly"}}}},
        {"a.json": {"prompt": {"6": {"inputs": {"text": "a red cat"}, "class_type": "C"}}, "workflow": {}}},
        {"t.csv": "\u6587\u4ef6\u540d,\u63cf\u8ff0\na.mp4,\u4e00\u53ea\u732b\u5728\u6c99\u53d1\u4e0a\u7761\u89c9\n"},
    ],
    ids=lambda files: "".join(files),
)  # fmt: skip
def test_what_may_hold_captions_and_is_not_read_ends_init(tmp_path: Path, files: Files) -> None:
    described = describe(tmp_path, {**TWO, **files})
    assert not any(item.captions for item in described.listing.items)
    assert described.choice.may_lose_captions


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "Play a.mp4 with VLC."},
        {"a.txt": "a cat.\nSteps: two of them lead to a door"},
        {"a.json": {"caption": "a cat", "prompt": "one cat", "seed": 7}},
    ],
)
def test_what_is_told_about_files_or_is_captions_is_taken_as_that(tmp_path: Path, files: Files) -> None:
    described = describe(tmp_path, {**TWO, **files})
    assert not described.choice.may_lose_captions
    assert any(item.captions for item in described.listing.items) is ("README.md" not in files)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("b.mp4.part", "only b.mp4.part is here: its download did not finish"),
        ("b.mp4.crdownload", "only b.mp4.crdownload is here: its download did not finish"),
        (".b.mp4.icloud", "it is in iCloud, not on this machine: download it there"),
        ("b.mp4.dvc", "only b.mp4.dvc is here: DVC keeps it: `dvc pull`"),
        ("c.part", "the file does not exist"),
    ],
)
def test_why_a_file_is_missing_is_said_where_something_stands_in_its_place(
    tmp_path: Path, name: str, said: str
) -> None:
    described = describe(tmp_path, {"a.mp4": V, name: b"x", "t.csv": TABLE})
    assert refusals(described) == {"b.mp4": "missing"}
    assert described.listing.refusals[0].cause == f"line 3 names it, but {said}"


def test_a_folder_of_what_dvc_keeps_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`dvc pull` where they are"):
        describe(tmp_path, {"a.mp4.dvc": json.dumps({"outs": []})})


@pytest.mark.parametrize("other", ["captions (1).csv", "captions_backup.csv", "old/captions.csv"])
def test_a_copy_of_a_table_with_other_captions_is_not_joined_to_it(tmp_path: Path, other: str) -> None:
    copy = TABLE.replace("cat", "wrong one")
    copy = copy.replace("a.mp4", "../a.mp4").replace("b.mp4", "../b.mp4") if "/" in other else copy
    with pytest.raises(ConfigurationError, match=r"both (have captions of a\.mp4|name files and captions)"):
        describe(tmp_path, {**TWO, "captions.csv": TABLE, other: copy})
    described = describe(tmp_path, {**TWO, "captions.csv": TABLE}, captions="captions.csv")
    assert [item.caption for item in described.listing.items] == ["a cat", "a dog"]


def test_parts_of_a_table_and_equal_copies_are_joined(tmp_path: Path) -> None:
    parts = {"0.csv": "path,caption\na.mp4,a cat\n", "1.csv": "path,caption\nb.mp4,a dog\n"}
    for number, files in enumerate((parts, {"0.csv": TABLE, "1.csv": TABLE})):
        described = describe(tmp_path / str(number), {**TWO, **files})
        assert [item.caption for item in described.listing.items] == ["a cat", "a dog"]


def test_a_page_of_a_server_is_no_caption(tmp_path: Path) -> None:
    page = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>"
    described = describe(tmp_path, {**TWO, "a.txt": page, "b.txt": "a dog"})
    assert refusals(described) == {"a.mp4": "bad_caption"}
    assert "a page that a server sent in place of the file" in described.listing.refusals[0].cause


@pytest.mark.parametrize("folders", [("train", "test"), ("videos", "more"), ("set/train", "set/test")])
def test_a_text_whose_name_files_of_several_folders_have_is_not_guessed(
    tmp_path: Path, folders: tuple[str, str]
) -> None:
    files = {f"{folder}/{name}": V for folder in folders for name in TWO}
    described = describe(tmp_path, {**files, "captions/a.txt": "a cat", "captions/b.txt": "a dog"})
    assert not any(item.captions for item in described.listing.items)
    assert described.choice.may_lose_captions
    assert any("files of several folders have its name" in line for line in described.lines())
    texts = {f"captions/{folder}/{name[0]}.txt": f"{folder} {name}" for folder in folders for name in TWO}
    described = describe(tmp_path / "each", {**files, **texts})
    assert {item.source: item.caption for item in described.listing.items} == {
        f"{folder}/{name}": f"{folder} {name}" for folder in folders for name in TWO
    }


def test_parts_of_a_dataset_that_are_not_here_are_counted(tmp_path: Path) -> None:
    parts = {f"data/train-0000{number}-of-00003.csv": "path,caption\n" for number in (0, 2)}
    parts["data/train-00000-of-00003.csv"] += "a.mp4,a cat\nb.mp4,a dog\n"
    notes = describe(tmp_path, {**TWO, **parts}).choice.notes
    assert "data/train-...-of-00003: only 2 of 3 parts are here" in notes
    parts["data/train-00001-of-00003.csv"] = "path,caption\n"
    assert not any("parts" in note for note in describe(tmp_path / "all", {**TWO, **parts}).choice.notes)
