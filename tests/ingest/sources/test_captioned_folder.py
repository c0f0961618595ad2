"""Listing a folder and its CSV: every input once, as an item or as a refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from walt.core.errors import ConfigurationError
from walt.ingest.config import Descriptor
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.items import Listing
from walt.ingest.sources.kinds import CaptionedFolder

DESCRIPTOR = Descriptor(
    name="d", summary="s", licence="l", homepage=None, classes=None,
    source=CaptionedFolder(
        kind="captioned_folder", captions="captions.csv", path_column="path", caption_column="caption"
    ),
    caption_required=True, images=True, held_out=0.0, adherence=None, generator=None,
)  # fmt: skip


def listing(folder: Path, table: str | bytes, files: list[str], **changes: object) -> Listing:
    """List a folder that holds these (one-byte) files and this CSV."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "captions.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return list_items(DESCRIPTOR.model_copy(update=changes), folder, ".", 20)


def codes(found: Listing) -> dict[str, str]:
    return {refusal.source: refusal.code for refusal in found.refusals}


def test_items_have_their_captions_in_order_of_their_paths(tmp_path: Path) -> None:
    table = "caption,other,path\na cat,1,b.mp4\n a dog ,2,sub/a.PNG\n"
    found = listing(tmp_path, table, ["b.mp4", "sub/a.PNG"])
    assert [(item.source, item.kind, item.caption) for item in found.items] == [
        ("b.mp4", "video", "a cat"),
        ("sub/a.PNG", "image", "a dog"),
    ]
    assert found.refusals == []
    assert found.items[1].path == str(tmp_path / "sub/a.PNG")


def test_what_is_missing_on_either_side_is_refused(tmp_path: Path) -> None:
    table = "path,caption\ngone.mp4,a cat\nempty.mp4,\nspaces.mp4,   \nshort.mp4\n,a dog\nsub,folder\n"
    files = [
        "empty.mp4",
        "spaces.mp4",
        "short.mp4",
        "unlisted.webm",
        "sub/deep.jpg",
        "notes.txt",
        ".hidden.mp4",
        ".git/x.mp4",
    ]
    found = listing(tmp_path, table, files)
    assert found.items == []
    assert codes(found) == {
        "gone.mp4": "missing", "empty.mp4": "no_caption", "spaces.mp4": "no_caption", "short.mp4": "no_caption",
        "captions.csv line 6": "missing", "sub": "missing", "unlisted.webm": "no_caption", "sub/deep.jpg": "no_caption",
    }  # fmt: skip
    assert len(found.refusals) == 8


def test_captions_are_optional_if_the_descriptor_says_so(tmp_path: Path) -> None:
    found = listing(tmp_path, "path,caption\na.mp4,\n", ["a.mp4", "b.mp4"], caption_required=False)
    assert [(item.source, item.caption) for item in found.items] == [("a.mp4", None), ("b.mp4", None)]


def test_stills_are_refused_if_the_descriptor_says_so(tmp_path: Path) -> None:
    found = listing(tmp_path, "path,caption\na.png,a cat\n", ["a.png"], images=False)
    assert codes(found) == {"a.png": "image"}


def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path) -> None:
    """For example if captions are in the column of paths."""
    names = ["a" * 300, "b/" * 3000 + "b", "a\0b.mp4", "a.mp4/b.mp4"]
    found = listing(tmp_path, "".join(["path,caption\n", *(f"{name},a cat\n" for name in names)]), ["a.mp4"])
    assert codes(found) == dict.fromkeys(names, "missing") | {"a.mp4": "no_caption"}


@pytest.mark.parametrize("path", ["../outside.mp4", "sub/../../outside.mp4", "/etc/hostname", ".."])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (tmp_path / "data/sub").mkdir(parents=True)
    found = listing(tmp_path / "data", f"path,caption\n{path},a cat\n", [])
    assert codes(found) == {path: "outside"}


def test_a_path_named_twice_is_one_input_with_the_captions_of_both_rows(tmp_path: Path) -> None:
    table = "path,caption\na.mp4,a cat\n./a.mp4,a dog\nsub/../a.mp4,a cat\n"
    found = listing(tmp_path, table, ["a.mp4", "sub/x.txt"])
    assert [item.captions for item in found.items] == [(("caption", "a cat"), ("caption", "a dog"))]
    assert codes(found) == {"sub/../a.mp4": "duplicate_row"}
    assert found.refusals[0].cause == "line 4 names the file of line 2 again"


def test_names_of_any_kind(tmp_path: Path) -> None:
    names = [
        "new\nline.mp4",
        'quo"te,comma.mp4',
        "$(rm -rf);x.mp4",
        "-leading.mp4",
        "a:b.mp4",
        "ü 猫.mp4",
        "my.video.v1.mp4",
    ]
    quoted = "".join('"{}",a cat\n'.format(name.replace('"', '""')) for name in names)
    raw = b"path,caption\n" + quoted.encode() + b"caf\xe9.mp4,a cup\n"
    found = listing(tmp_path, raw, [*names, os.fsdecode(b"caf\xe9.mp4")])
    assert {item.source for item in found.items} == {*names, os.fsdecode(b"caf\xe9.mp4")}
    assert all(Path(item.path).is_file() for item in found.items)
    assert found.refusals == []


def test_captions_of_any_kind(tmp_path: Path) -> None:
    raw = b"path,caption\na.mp4,caf\xe9\nb.mp4,nul \0 byte\nc.mp4,"
    raw += "twenty characters are the limit 猫".encode() + b'\nd.mp4,"two\nlines"\ne.mp4,"""quoted"""\n'
    found = listing(tmp_path, raw, ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"])
    assert codes(found) == {"a.mp4": "bad_caption", "b.mp4": "bad_caption"}
    assert [(item.caption, item.caption_truncated) for item in found.items] == [
        ("twenty characters ar", True), ("two\nlines", False), ('"quoted"', False),
    ]  # fmt: skip


def test_a_caption_of_a_megabyte_is_cut(tmp_path: Path) -> None:
    found = listing(tmp_path, f"path,caption\na.mp4,{'x' * 1_000_000}\n", ["a.mp4"])
    assert found.items[0].caption == "x" * 20
    assert found.items[0].caption_truncated


def test_tables_saved_by_spreadsheets_are_understood(tmp_path: Path) -> None:
    found = listing(tmp_path, "\ufeffpath , caption\r\na.mp4,a cat\r\n\r\n", ["a.mp4"])
    assert [item.caption for item in found.items] == ["a cat"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,caption\n", r"captions.csv: no column 'path' \(columns: video, caption\)"),
        ("path,Caption\n", r"no column 'caption'; did you mean 'Caption'\?"),
        ("path,path,caption\n", r"column 'path' is there 2 times"),
        ("", r"no column 'path'"),
    ],
)
def test_a_wrong_table_is_a_configuration_error(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        listing(tmp_path, table, [])


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"captions\.csv: no such file"):
        list_items(DESCRIPTOR, tmp_path, ".", 20)


def test_the_order_of_rows_and_files_changes_nothing(tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(9)]
    rows = [f"{name},caption {name}\n" for name in names]
    first = listing(tmp_path, "path,caption\n" + "".join(rows), names)
    second = listing(tmp_path, "path,caption\n" + "".join(rows[::-1]), [])
    assert first.items == second.items
