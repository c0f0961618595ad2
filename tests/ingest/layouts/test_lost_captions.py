"""No caption is lost in silence: what may hold some and is not read ends init."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.layout_folder import TWO, Files, V, write
from tests.support.miniatures import describe, lines, tar
from walt.core.errors import ConfigurationError
from walt.ingest.describe_files import Given, describe_files
from walt.project.point_at_dataset import own_dataset


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"notes.txt": "a cat"}, "notes.txt"),
        ({"t.csv": "file,caption\nelsewhere.mp4,a cat\n"}, "t.csv"),
        ({"t.json": '{"a.mp4": "a cat", '}, "t.json"),
        ({"t.jsonl": "no JSON\n"}, "t.jsonl"),
        ({"t.json": '{"a.mp4": "a cat", "a.mp4": "a dog"}'}, "t.json"),
        ({"t.csv": "a.mp4,a cat\nb.mp4,a dog\n"}, "t.csv"),  # without a header
        ({"t.csv": "# made by hand\npath,caption\na.mp4,a cat\n"}, "t.csv"),
        ({"t.csv": "path,caption\na.mp4,a cat\n".encode("utf-16-le")}, "t.csv"),  # without its mark
        ({"t.json": {"path": {"0": "a.mp4"}, "caption": {"0": "a cat"}}}, "t.json"),  # as pandas writes it
        ({"t.parquet": pa.table({"path": ["a.mp4"], "caption": [[{"text": "a cat", "frame": 3}]]})}, "t.parquet"),
        ({"metadata.csv.gz": b"packed"}, "metadata.csv.gz"),
        ({"metadata.feather": b"arrow"}, "metadata.feather"),
        ({"t.xlsx": b"a sheet"}, "t.xlsx"),
        ({"captions.yaml": "a.mp4: a cat"}, "captions.yaml"),
        ({"a.srt": "1\n00:00:00,000 --> 00:00:01,000\na cat\n"}, "a.srt"),
        ({"a.en.srt": "1\n00:00:00,000 --> 00:00:01,000\na cat\n"}, "a.en.srt"),
        ({"subtitles/a.vtt": "WEBVTT\n\n00:00.000 --> 00:01.000\na cat\n"}, "subtitles/a.vtt"),
        ({"train.list": "a.mp4 a cat\n"}, "train.list"),
        ({"about.html": "<td>a.mp4</td><td>a cat</td>"}, "about.html"),
        ({"lists": "a.mp4\ta cat\n"}, "lists"),
        ({"annotations.xml": "<source>a.mp4</source>"}, "annotations.xml"),
        ({"trainlist.txt": "a.mp4 1\nb.mp4 2\n"}, "trainlist.txt"),  # classes
        ({"a.json": ["a cat"]}, "a.json"),
        ({"t.json": ["a cat runs by", "a dog"]}, "t.json"),
        ({"a.tsv": "0\t4\ta cat\n5\t8\ta cow\n"}, "a.tsv"),  # without a header, of the times in one file
        ({"notes/a.csv": "0,4,a cat\n"}, "notes/a.csv"),
        (
            {"t.jsonl": '{"video_id": "a", "cuts": [{"from": 1, "what": "a cat runs by"}]}\n'},
            "column 'cuts.[*].what' of t.jsonl",
        ),
        ({"t.csv": "path,start_ms,end_ms,caption\na.mp4,0,900,a cat\na.mp4,900,1800,a dog\n"}, "t.csv"),
        ({"t.csv": "path,start,duration,caption\na.mp4,0,2,a cat\na.mp4,2,2,a dog\n"}, "t.csv"),
        ({"t.json": {"A": {"clips": [{"about": {"sentence": "a cat"}}]}, "B": {}, "C": {}}}, "t.json"),
        (
            {
                "t.json": {
                    "train": {"1": {"path": "a.mp4", "caption": "x"}},
                    "val": {"1": {"path": "b.mp4", "caption": "y"}},
                }
            },
            "t.json",
        ),
        (
            {
                "t.json": {
                    "a": [{"path": "a.mp4", "caption": "x"}],
                    "b": [{"path": "b.mp4", "caption": "y"}],
                    "about": {"by": "me"},
                }
            },
            "t.json",
        ),
        (
            {"t.csv": "path,Start,End,What happens?,By\na.mp4,0:00,0:03,a man walks,Ann\n"},
            "column 'What happens.' of t.csv",
        ),
        (
            {"a.json": {"title": "a cat, jumping", "views": 3}, "b.json": {"title": "a very small dog"}},
            "a.json, b.json",
        ),
        ({"robot/meta/info.json": {"codebase_version": "v2.1"}}, "robot/meta/info.json"),
        ({"annotations.xml": "<box><attribute>a cat</attribute></box>"}, "annotations.xml"),
        ({"cvat.xml": "<box><attribute name='about'>a cat sits there</attribute></box>"}, "cvat.xml"),
        ({"x.db": b"SQLite format 3\0clip1a cat sits on a mat"}, "x.db"),
        ({"x.npz": "猫が床に座っている".encode()}, "x.npz"),
        ({"x.pkl": "кот сидит на полу".encode()}, "x.pkl"),
        ({"captions.docx": b"PK"}, "captions.docx"),
        ({"sheet.numbers": b"PK"}, "sheet.numbers"),
        ({"captions.zip": b"PK"}, "captions.zip"),
        ({"captions.txt.gz": b"packed"}, "captions.txt.gz"),
        ({"a.txt": "1\n00:00:00,000 --> 00:00:02,000\na cat\n"}, "a.txt"),
        ({"sta.txt": "a 0 24##a cat sits.\na 24 48 a cat runs.\nb 2 8 a dog.\n"}, "sta.txt"),  # of what?
        (
            {"t.csv": "id,script,actions\na,A person cooks on a stove.,c1\nb,A dog is barking.,\n"},
            "column 'script' of t.csv",
        ),
        (
            {"a.info.json": {"id": "1", "title": "My day", "description": "Subscribe!", "extractor": "youtube"}},
            "a.info.json",
        ),
        ({"t.csv": "path,startFrame,endFrame,caption\na.mp4,0,24,a cat\na.mp4,24,48,a dog\n"}, "t.csv"),
    ],
)
def test_what_may_hold_captions_and_is_not_read_ends_init(tmp_path: Path, files: Files, said: str) -> None:
    write(tmp_path / "d", {**TWO, **files})
    with pytest.raises(ConfigurationError, match=rf"captions may be lost: {said} not read; give --captions .* a union"):
        own_dataset(tmp_path, Given("d"))
    described = own_dataset(tmp_path, Given("d", use_captions=False))
    assert not described.descriptor.caption_required
    assert [item.caption for item in described.listing.items] == [None, None]


def test_a_first_row_of_ids_is_no_header(tmp_path: Path) -> None:
    """As VGGSound has it: its files' names have more than the ids."""
    write(tmp_path / "d", {"x1y_000030.mp4": V, "t.csv": "x1y,30,people marching,test\nz2,1,a dog,train\n"})
    with pytest.raises(ConfigurationError, match=r"captions may be lost: t\.csv not read"):
        own_dataset(tmp_path, Given("d"))


@pytest.mark.parametrize(
    "files",
    [
        {"train_ids.json": ["v_a", "v_b"]}, {"splits/val.json": ["a.mp4"]}, {"classes.json": ["cat", "small dog"]},
        {"a.tsv": "0\t4\n5\t8\n"}, {"a.csv": "frame,x,y\n0,1,2\n"},
    ],
)  # fmt: skip
def test_lists_of_names_and_numbers_are_named_and_end_nothing(tmp_path: Path, files: Files) -> None:
    write(tmp_path / "d", {**TWO, **files})
    described = own_dataset(tmp_path, Given("d"))
    assert not described.choice.may_lose_captions
    assert any(next(iter(files)) in line for line in described.lines())


def test_captions_of_another_type_beside_files_in_parquet_end_init(tmp_path: Path) -> None:
    cells = [{"bytes": V, "path": "a.mp4"}]
    write(tmp_path / "d", {"t.parquet": pa.table({"video": cells, "captions": [[{"text": "a cat"}]]})})
    with pytest.raises(ConfigurationError, match="captions may be lost: captions not read"):
        own_dataset(tmp_path, Given("d"))


def test_members_of_a_tar_that_may_hold_captions_end_init(tmp_path: Path) -> None:
    write(tmp_path / "d", {"0.tar": tar(a__mp4=V, a__json=b'["a cat"]')})
    with pytest.raises(ConfigurationError, match=r"captions may be lost: members \.json not read"):
        own_dataset(tmp_path, Given("d"))


VIDEOS = tuple(f"{letter}.mp4" for letter in "abcd")


PLACES = (
    "captions.csv", "metadata.jsonl", "map.json", "beside.txt", "metas/{}.txt", "{}.json", "lines", "names.txt",
    "languages.json", "chats.jsonl", "{}.csv", "scenes/{}.json", "parts.json", "sta.txt",
)  # fmt: skip
"""The last four are of parts."""


Written = dict[str, dict[str, str]]
"""Place -> video -> caption."""


def _chat(video: str, text: str) -> dict[str, Any]:
    asked = [{"type": "video", "video": video}, {"type": "text", "text": "Describe it."}]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": text}]}


def files_of(written: Written) -> tuple[Files, dict[tuple[str, str], str]]:
    """The files of a mixture, and the file in which each caption of each video is."""
    files: Files = dict.fromkeys(VIDEOS, V)
    where: dict[tuple[str, str], str] = {}
    for place, captions in written.items():
        single = {"beside.txt": "{}.txt"}.get(place, place)
        for video, caption in captions.items():
            name = single.format(video.removesuffix(".mp4"))
            where[video, caption] = "prompts.txt" if place == "lines" else name
            if place == "{}.json":
                files[name] = {"caption": caption}
            elif place == "{}.csv":
                files[name] = f"start,end,caption\n0,1.5,{caption}\n"
            elif place == "scenes/{}.json":
                files[name] = {"scenes": [{"start": 0, "end": 1.5, "caption": caption}]}
            elif "{" in single:
                files[name] = caption
        if place == "captions.csv":
            files[place] = "path,caption\n" + "".join(f"{video},{text}\n" for video, text in captions.items())
        elif place == "metadata.jsonl":
            files[place] = lines(*({"file_name": video, "text": text} for video, text in captions.items()))
        elif place == "map.json":
            files[place] = captions
        elif place == "languages.json":
            files[place] = {"en": captions, "de": {}}
        elif place == "chats.jsonl":
            files[place] = lines(*(_chat(video, text) for video, text in captions.items()))
        elif place == "parts.json":
            files[place] = {video: [{"start": 0, "end": 1.5, "caption": text}] for video, text in captions.items()}
        elif place == "sta.txt":
            files[place] = "".join(f"{video} 0.0 1.5##{text}\n" for video, text in captions.items())
        elif place == "names.txt":
            files[place] = "".join(f"{video}\t{text}\n" for video, text in captions.items())
        elif place == "lines":
            files["videos.txt"], files["prompts.txt"] = "\n".join(captions), "\n".join(captions.values())
    return files, where


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(PLACES), st.sets(st.sampled_from(VIDEOS), min_size=1), max_size=3))
@settings(max_examples=80, deadline=None)
def test_of_any_mixture_each_caption_arrives_or_its_file_is_named(mixture: dict[str, set[str]]) -> None:
    written = {place: {video: f"{place} of {video}" for video in sorted(names)} for place, names in mixture.items()}
    files, where = files_of(written)
    with tempfile.TemporaryDirectory() as temporary:
        write(Path(temporary) / "d", files)
        described, said = None, ""
        try:
            described = describe_files(Path(temporary), Given("d"))
        except ConfigurationError as refused:
            said = str(refused)
    if " both have captions of " in said:  # which is so: two files name one video, with a caption of its own each
        one, other = said.partition(" both have captions of ")[0].split(" and ")
        assert written[one].keys() & written[other].keys()
    else:
        assert described or "both name files and captions" in said
    if described is None:
        return
    found = {
        (item.source.partition("#")[0], caption.text) for item in described.listing.items for caption in item.captions
    }
    unused = {name for unused in described.choice.unused for name in unused.names}
    assert found <= where.keys(), "no caption comes from nowhere"
    assert {caption for caption, name in where.items() if name not in unused} <= found
    if lost := where.keys() - found:
        assert described.choice.may_lose_captions, f"init goes on without {lost}"


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({"captions.json": ["a cat", "a dog"]}, True), ({"ids.json": ["a", "b"]}, False),
        ({"buckets.json": {"1.0": ["a.mp4", "b.mp4"]}}, False),
        ({"concepts.json": [{"name": "x", "text": {"prompt_source": "sample"}}]}, False),
        ({"backend.json": [{"id": "x", "type": "local", "caption_strategy": "textfile"}]}, False),
        ({"classInd.txt": "1 Archery\n2 BabyCrawling\n"}, False),
        ({"testlist01.txt": "x/a.mp4\nx/b.mp4\n"}, False), ({"all.txt": "a cat\na dog\n"}, True),
        ({"prompts.txt": "cat\ndog\n"}, True), ({"captions_v2.txt": "cat\ndog\n"}, True),
        ({"list.json": [{"file": "a.mp4", "size": 3}]}, True), ({"list.json": {"x": {"a.mp4": "a cat"}}}, True),
    ],
)  # fmt: skip
def test_lists_and_settings_of_trainers_end_nothing(tmp_path: Path, files: Files, ends: bool) -> None:
    assert describe(tmp_path, {**TWO, **files}).choice.may_lose_captions is ends
