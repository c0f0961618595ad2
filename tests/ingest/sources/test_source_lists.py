"""Lists of files: plain ones, WebVid's, Panda-70M's, and folders without any. Every row once: an item or a refusal."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.sources import by_source, codes, list_source, touch
from walt.core.errors import ConfigurationError, StorageError
from walt.ingest.tables.spans import make_span

FOLDER = {"kind": "folder", "patterns": ["**/*"]}
LIST: dict[str, Any] = {
    "kind": "list", "tables": ["t.csv"], "path_column": "path", "caption_columns": ["caption"], "label_column": None,
    "span_columns": None, "videos": "", "absent": "refuse",
}  # fmt: skip
WEBVID = {"kind": "webvid", "tables": ["*.csv"], "videos": "videos", "files": "page_dir", "absent": "refuse"}
PANDA: dict[str, Any] = {
    "kind": "panda70m", "tables": ["p.csv"], "videos": "videos", "min_matching_score": 0.0, "absent": "refuse",
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- folders


def test_a_folder_without_captions(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.mp4",
        "b/my.video.v1.mp4",
        "b/my.video.v2.mp4",
        "c/a.mp4",
        "d.PNG",
        "notes.txt",
        ".x/a.mp4",
        ".y.mp4",
    )
    found = list_source(tmp_path, FOLDER, caption_required=False)
    assert list(by_source(found)) == ["a.mp4", "b/my.video.v1.mp4", "b/my.video.v2.mp4", "c/a.mp4", "d.PNG"]
    assert {item.caption for item in found.items} == {None}
    assert [item.kind for item in found.items] == ["video"] * 4 + ["image"]
    assert codes(list_source(tmp_path, FOLDER))["a.mp4"] == "no_caption"


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it would be missing without a word."""
    touch(tmp_path, "a.mp4", "locked/b.mp4")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match="locked: Permission denied"):
        list_source(tmp_path, FOLDER, caption_required=False)


def test_globs_are_taken_together_and_each_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "a/2.avi", "b/3.mp4", "b/c/4.mp4")
    source = {"kind": "folder", "patterns": ["a/*", "**/*.mp4", "a/1.mp4"]}
    found = list_source(tmp_path, source, caption_required=False)
    assert list(by_source(found)) == ["a/1.mp4", "a/2.avi", "b/3.mp4", "b/c/4.mp4"]


@pytest.mark.parametrize("pattern", ["../*.mp4", "a/../../*", "/etc/*"])
def test_a_glob_stays_in_the_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="leaves the dataset's folder"):
        list_source(tmp_path, {"kind": "folder", "patterns": [pattern]})


# --------------------------------------------------------------------------------------------------------------- lists


def test_only_rows_are_inputs(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4", "v/b/c.mp4", "v/unlisted.mp4")
    (tmp_path / "t.csv").write_text("id,caption,path\n1,a cat,a.mp4\n2,a dog,b/c.mp4\n3,a cow,gone.mp4\n")
    found = list_source(tmp_path, LIST | {"videos": "v"})
    assert {name: item.caption for name, item in by_source(found).items()} == {"a.mp4": "a cat", "b/c.mp4": "a dog"}
    assert found.items[1].path == str(tmp_path / "v/b/c.mp4")
    assert codes(found) == {"gone.mp4": "missing"}


@pytest.mark.parametrize("absent", ["refuse", "skip"])
def test_rows_without_a_file(tmp_path: Path, absent: str, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_text("path,caption\na.mp4,a cat\nb.mp4,a dog\n,a cow\n")
    found = list_source(tmp_path, LIST | {"absent": absent})
    assert list(by_source(found)) == ["a.mp4"]
    row = {"t.csv line 4": "missing"}
    assert codes(found) == (row | {"b.mp4": "missing"} if absent == "refuse" else row)
    assert ("1 rows have no file here" in capsys.readouterr().out) == (absent == "skip")


def test_the_first_caption_that_is_not_empty_is_used(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "t.csv").write_text("path,short,long\na.mp4,cat,a long cat\nb.mp4,dog, \nc.mp4,,\n")
    found = list_source(tmp_path, LIST | {"caption_columns": ["long", "short"]})
    assert [item.caption for item in found.items] == ["a long cat", "dog"]
    assert codes(found) == {"c.mp4": "no_caption"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_captions_of_any_kind(tmp_path: Path, suffix: str) -> None:
    captions = [b"caf\xe9", b"nul \0 byte", b"x" * 10_000, b"   ", b"", "猫\nnew line".encode()]
    names = [f"{number}.mp4" for number in range(len(captions))]
    touch(tmp_path, *names)
    if suffix == "csv":
        quoted = b"".join(
            name.encode() + b',"' + caption + b'"\n' for name, caption in zip(names, captions, strict=True)
        )
        (tmp_path / "t.csv").write_bytes(b"path,caption\n" + quoted)
    else:
        raw = pa.array(captions, pa.binary())
        text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
        pq.write_table(pa.table({"path": names, "caption": text}), tmp_path / "t.parquet")
    found = list_source(tmp_path, LIST | {"tables": [f"t.{suffix}"]}, characters=100)
    assert codes(found) == {
        "0.mp4": "bad_caption",
        "1.mp4": "bad_caption",
        "3.mp4": "no_caption",
        "4.mp4": "no_caption",
    }
    cut, kept = found.items
    assert (cut.caption, cut.caption_truncated) == ("x" * 100, True)
    assert (kept.caption, kept.caption_truncated) == ("猫\nnew line", False)


def test_the_same_file_twice_in_one_table_or_two(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b/a.mp4")
    (tmp_path / "t1.csv").write_text("path,caption\na.mp4,a cat\n./a.mp4,a cat\nb/a.mp4,the same basename\n")
    (tmp_path / "t2.csv").write_text("path,caption\nb/../a.mp4,a cat\nb/a.mp4,another caption\n")
    found = list_source(tmp_path, LIST | {"tables": ["t?.csv", "t1.csv"]})
    assert {name: [caption.text for caption in item.captions] for name, item in by_source(found).items()} == {
        "a.mp4": ["a cat"], "b/a.mp4": ["the same basename", "another caption"],
    }  # fmt: skip
    assert {refusal.source: (refusal.code, refusal.cause) for refusal in found.refusals} == {
        "./a.mp4": ("duplicate_row", "line 3 names the file of line 2 again"),
        "b/../a.mp4": ("duplicate_row", "line 2 names the file of line 2 of t1.csv again"),
    }


@pytest.mark.parametrize("path", ["../a.mp4", "/etc/hostname", "v/../../a.mp4"])
def test_a_row_cannot_leave_the_folder(tmp_path: Path, path: str) -> None:
    touch(tmp_path, "a.mp4", "data/v/b.mp4")
    (tmp_path / "data/t.csv").write_text(f"path,caption\n{path},a cat\n")
    assert codes(list_source(tmp_path, LIST, path="data")) == {path: "outside"}


def test_a_file_url_is_a_path_and_cannot_leave_the_folder_either(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4")
    (tmp_path / "t.csv").write_text(f"path,caption\nfile://{tmp_path}/a%20b.mp4,a cat\nfile:///etc/hostname,a dog\n")
    found = list_source(tmp_path, LIST)
    assert [item.source for item in found.items] == ["a b.mp4"]
    assert codes(found) == {"/etc/hostname": "outside"}


@pytest.mark.parametrize("url", ["ftp://a/b.mp4", "https://youtu.be/a", "data://a", "concat://a|b", "javascript://x"])
def test_a_row_may_only_name_urls_that_can_be_fetched(tmp_path: Path, url: str) -> None:
    (tmp_path / "t.csv").write_text(f"path,caption\n{url},a cat\n")
    assert codes(list_source(tmp_path, LIST)) == {url: "bad_url"}


def test_urls_are_listed_without_their_secrets(tmp_path: Path) -> None:
    urls = ["https://me:secret@host/a%20b.mp4?token=hush", "s3://bucket/c.png", "http://host/watch?v=1", "https://[/"]
    (tmp_path / "t.csv").write_text("path,caption\n" + "".join(f"{url},a cat\n" for url in urls))
    found = list_source(tmp_path, LIST)
    assert {item.source: (item.path, item.kind) for item in found.items} == {
        "https://host/a%20b.mp4": (urls[0], "video"), "s3://bucket/c.png": (urls[1], "image"),
        "http://host/watch": (urls[2], "video"),
    }  # fmt: skip
    assert codes(found) == {"t.csv line 5": "bad_url"}
    assert codes(list_source(tmp_path, LIST, images=False))["s3://bucket/c.png"] == "image"


def test_labels_are_numbers_or_names(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.mp4" for number in range(7)))
    (tmp_path / "classes.txt").write_text("cat\n2\ndog's life\n")
    labels = ["dog's life", "0", "2", "", "3", "cta", "1" * 5000]
    rows = "".join(f'{number}.mp4,x,"{label}"\n' for number, label in enumerate(labels))
    (tmp_path / "t.csv").write_text("path,caption,label\n" + rows)
    source = LIST | {"label_column": "label"}
    found = list_source(tmp_path, source, classes="classes.txt")
    assert [item.label for item in found.items] == [2, 0, 1, None], "a name comes before a number"
    assert codes(found) == {f"{number}.mp4": "unknown_class" for number in (4, 5, 6)}
    assert {refusal.cause for refusal in found.refusals} >= {"no class is named 'cta'; the nearest is 'cat'"}
    with pytest.raises(ConfigurationError, match="needs the descriptor's key 'classes'"):
        list_source(tmp_path, source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"), ("", "it names no classes"), ("a\n\nb\n", "line 2: an empty line"),
        ("a\nb\na\n", "'a' is twice in"), (b"caf\xe9\n", "not UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_classes_is_named(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    (tmp_path / "t.csv").write_text("path,caption,label\n")
    if content is not None:
        (tmp_path / "classes.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=message):
        list_source(tmp_path, LIST | {"label_column": "label"}, classes="classes.txt")


def test_spans_of_a_file_are_inputs_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    spans = [("0", "0:00:05.5"), ("5.5", "36000.123"), ("5.5", "10:00:00.123"), ("9", "9"), ("x", "1"), ("", "")]
    rows = "".join(f"a.mp4,part {min(number, 1)},{start},{end}\n" for number, (start, end) in enumerate(spans))
    (tmp_path / "t.csv").write_text("path,caption,from,to\n" + rows)
    found = list_source(tmp_path, LIST | {"span_columns": ["from", "to"]})
    assert {name: (item.caption, item.span) for name, item in by_source(found).items()} == {
        "a.mp4#t=0,5.5": ("part 0", (0.0, 5.5)), "a.mp4#t=5.5,36000.123": ("part 1", (5.5, 36000.123)),
    }  # fmt: skip
    assert sorted(refusal.code for refusal in found.refusals) == ["bad_span"] * 3 + ["duplicate_row"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.parquet"])
@pytest.mark.parametrize("ends", [(0.5, 2.25), (1, 2), ("0:00:01.5", "2"), (1.5, 1.5), (-1.5, 2.0)])
def test_a_span_is_in_numbers_or_text_whatever_the_format(tmp_path: Path, name: str, ends: tuple[Any, Any]) -> None:
    touch(tmp_path, "a.mp4")
    record = {"path": "a.mp4", "caption": "x", "from": ends[0], "to": ends[1]}
    if name == "t.parquet":
        pq.write_table(pa.Table.from_pylist([record]), tmp_path / name)
    else:
        (tmp_path / name).write_text(json.dumps(record if name == "t.jsonl" else [record]))
    found = list_source(tmp_path, LIST | {"tables": [name], "span_columns": ["from", "to"]})
    span = make_span(*ends)
    assert [item.span for item in found.items] == ([] if span is None else [span])
    assert [refusal.code for refusal in found.refusals] == ([] if span else ["bad_span"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": ["gone.csv"]}, r"gone\.csv: no such file"),
        ({"tables": ["*.parquet"]}, r"\*\.parquet: no such file"),
        ({"caption_columns": ["captions"]}, r"no column 'captions'; did you mean 'caption'\?"),
        ({"caption_columns": ["caption", "path"]}, r"the column 'path' is named twice"),
        ({"span_columns": ["start", "end"]}, r"no column 'start'"),
    ],
)
def test_a_wrong_list_is_a_configuration_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "t.csv").write_text("path,caption\n")
    with pytest.raises(ConfigurationError, match=message):
        list_source(tmp_path, LIST | changes)


# -------------------------------------------------------------------------------------------------------------- WebVid

WEBVID_ROW = {
    "videoid": "1066647457", "name": "Cat, asleep", "page_idx": "1", "page_dir": "027701_027750",
    "duration": "PT00H00M17S", "contentUrl": "https://ak.example/videos/1066647457/preview/x.mp4",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_webvid_is_read_by_name_in_any_order_of_columns(tmp_path: Path, seed: int) -> None:
    columns = list(WEBVID_ROW)
    random.Random(seed).shuffle(columns)
    row = ",".join(f'"{WEBVID_ROW[column]}"' if column == "name" else WEBVID_ROW[column] for column in columns)
    (tmp_path / "results.csv").write_text(",".join(columns) + f"\n{row}\n")
    touch(tmp_path, "videos/027701_027750/1066647457.mp4")
    (item,) = list_source(tmp_path, WEBVID).items
    assert (item.source, item.caption) == ("027701_027750/1066647457.mp4", "Cat, asleep")
    assert item.path == str(tmp_path / "videos/027701_027750/1066647457.mp4")
    (item,) = list_source(tmp_path, WEBVID | {"files": "content_url"}).items
    assert (item.source, item.path, item.kind) == (WEBVID_ROW["contentUrl"],) * 2 + ("video",)


def test_webvid_ids_may_be_numbers_and_rows_may_lack_a_folder(tmp_path: Path) -> None:
    table = pa.table({
        "videoid": [1, 2, 2, None], "name": ["a", "b", "c", "d"], "page_dir": ["x", None, "x", "x"],
        "duration": [1] * 4,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "w.parquet")
    touch(tmp_path, "videos/x/1.mp4", "videos/2.mp4")
    found = list_source(tmp_path, WEBVID | {"tables": ["w.parquet"]})
    assert list(by_source(found)) == ["2.mp4", "x/1.mp4"]
    assert codes(found) == {"x/2.mp4": "missing", "w.parquet line 4": "missing"}


@pytest.mark.parametrize("page_dir", ["..", "/etc", "a/../.."])
def test_webvid_folders_cannot_leave_the_dataset(tmp_path: Path, page_dir: str) -> None:
    (tmp_path / "w.csv").write_text(f"videoid,name,page_dir\n../passwd,a cat,{page_dir}\n")
    assert set(codes(list_source(tmp_path, WEBVID)).values()) == {"outside"}


# ---------------------------------------------------------------------------------------------------------- Panda-70M

PANDA_HEADER = "videoID,url,timestamp,caption,matching_score,desirable_filtering,shot_boundary_detection"


def panda_row(name: str, spans: Any, captions: Any, scores: Any) -> str:
    cells = [name, f"https://www.youtube.com/watch?v={name}", *map(str, (spans, captions, scores)), "[]", "[]"]
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


SPANS = [["0:00:16.300", "0:00:32.566"], ["0:00:40.000", "0:01:02.500"], ["0:01:02.500", "0:01:09.001"]]
CAPTIONS = ['It\'s a "rhino", and\na lion.', "A dog is held.", "A rocket [starts]."]
SCORES = [0.5, 0.41, 0.6]


@pytest.mark.parametrize("form", ["literals", "lists"])
def test_panda70m_has_one_input_per_span(tmp_path: Path, form: str) -> None:
    touch(tmp_path, "videos/-2QXqFQs_O0.mp4")
    if form == "literals":
        (tmp_path / "p.csv").write_text(f"{PANDA_HEADER}\n{panda_row('-2QXqFQs_O0', SPANS, CAPTIONS, SCORES)}\n")
        source = PANDA
    else:
        columns = {"matching_score": [SCORES], "videoID": ["-2QXqFQs_O0"], "caption": [CAPTIONS], "timestamp": [SPANS]}
        pq.write_table(pa.table(columns), tmp_path / "p.parquet")
        source = PANDA | {"tables": ["p.parquet"]}
    found = list_source(tmp_path, source)
    assert {name: (item.caption, item.span) for name, item in by_source(found).items()} == {
        "-2QXqFQs_O0.mp4#t=16.3,32.566": (CAPTIONS[0], (16.3, 32.566)),
        "-2QXqFQs_O0.mp4#t=40,62.5": (CAPTIONS[1], (40.0, 62.5)),
        "-2QXqFQs_O0.mp4#t=62.5,69.001": (CAPTIONS[2], (62.5, 69.001)),
    }
    assert {item.path for item in found.items} == {str(tmp_path / "videos/-2QXqFQs_O0.mp4")}
    assert found.refusals == []
    assert len(list_source(tmp_path, source | {"min_matching_score": 0.45}).items) == 2


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (panda_row("a", SPANS, CAPTIONS[:2], SCORES), {"a.mp4": "bad_row"}),
        (panda_row("a", SPANS, CAPTIONS, SCORES[:1]), {"a.mp4": "bad_row"}),
        (panda_row("a", [], [], []), {"a.mp4": "bad_row"}),
        (panda_row("a", "", "", ""), {"a.mp4": "bad_row"}),
        (panda_row("a", "[['0:00:01'", CAPTIONS, SCORES), {"a.mp4": "bad_row"}),
        (panda_row("a", "__import__('os').abort()", CAPTIONS, SCORES), {"a.mp4": "bad_row"}),
        (panda_row("a", ["0:00:01"], ["x"], [1]), {"a.mp4#0": "bad_span"}),
        (panda_row("a", [["0:00:02", "0:00:01"]], ["x"], [1]), {"a.mp4#0": "bad_span"}),
        (panda_row("a", [["0:00:01", "0:00:02"]], [7], [1]), {"a.mp4#0": "bad_row"}),
        (panda_row("a", [["0:00:01", "0:00:02"]], ["x"], ["high"]), {"a.mp4#0": "bad_row"}),
        (panda_row("a", [["0:00:01", "0:00:02"]], [" "], [1]), {"a.mp4#t=1,2": "no_caption"}),
        (panda_row("b", [["0:00:01", "0:00:02"]], ["x"], [1]), {"b.mp4#t=1,2": "missing"}),
        (panda_row("../a", [["0:00:01", "0:00:02"]], ["x"], [1]), {"../a.mp4#t=1,2": "outside"}),
        (panda_row("a", [["0:00:01", "0:00:02"]] * 2, ["x", "y"], [1, 1]), {"a.mp4#t=1,2": "duplicate_row"}),
    ],
)  # fmt: skip
def test_panda70m_rows_that_are_wrong(tmp_path: Path, row: str, expected: dict[str, str]) -> None:
    touch(tmp_path, "videos/a.mp4", "a.mp4")
    (tmp_path / "p.csv").write_text(f"{PANDA_HEADER}\n{row}\n")
    found = list_source(tmp_path, PANDA)
    assert codes(found) == expected
    assert len(found.items) == (1 if expected == {"a.mp4#t=1,2": "duplicate_row"} else 0)


def test_panda70m_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("videoID,timestamps,caption,matching_score\n")
    with pytest.raises(ConfigurationError, match=r"no column 'timestamp'; did you mean 'timestamps'\?"):
        list_source(tmp_path, PANDA)
