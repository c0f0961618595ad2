"""A folder for each video, with its caption; what a downloader reports; what was said in a video; tables in tars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import TWO, Files, V, write
from tests.support.miniatures import CATS, describe, refusals, tar
from walt.core.errors import CorruptArtifactError
from walt.ingest.describe_files import Given, describe_files


@pytest.mark.parametrize(
    ("name", "cat", "dog"),
    [
        ("caption.txt", "a cat", "a dog"), ("prompt.txt", "a cat", "a dog"), ("text_prompt.txt", "a cat", "a dog"),
        ("metadata.json", {"id": 1, "caption": "a cat"}, {"id": 2, "caption": "a dog"}),
    ],
)  # fmt: skip
def test_a_folder_for_each_video(tmp_path: Path, name: str, cat: Any, dog: Any) -> None:
    files = {"x/video.mp4": V, f"x/{name}": cat, "y/video.mp4": V, f"y/{name}": dog, "z/video.mp4": V}
    described = describe(tmp_path, files)
    assert {item.source: item.caption for item in described.listing.items} == {
        "x/video.mp4": "a cat", "y/video.mp4": "a dog",
    }  # fmt: skip
    assert refusals(described) == {"z/video.mp4": "no_caption"}
    assert any(name in note for note in described.choice.notes)


@pytest.mark.parametrize(
    "files",
    [
        {"x/a.mp4": V, "x/caption.txt": "a cat"},  # one alone may be of anything
        {"x/a.mp4": V, "x/b.mp4": V, "x/caption.txt": "a cat", "y/c.mp4": V, "y/caption.txt": "a dog"},
        {"x/a.mp4": V, "x/source.txt": "a site", "y/b.mp4": V, "y/source.txt": "another"},
        {"x/a.mp4": V, "x/captions.txt": "a.mp4 a cat", "y/b.mp4": V, "y/captions.txt": "b.mp4"},
    ],
)  # fmt: skip
def test_other_texts_in_folders_are_not_taken_in_silence(tmp_path: Path, files: Files) -> None:
    described = describe(tmp_path, files)
    assert described.choice.may_lose_captions or all(item.captions for item in described.listing.items)
    assert not any(item.caption in ("a site", "another", "a.mp4 a cat") for item in described.listing.items)


def test_a_video_at_the_top_has_no_folder_of_its_own(tmp_path: Path) -> None:
    files = {
        "x/v.mp4": V,
        "x/caption.txt": "a cat",
        "y/v.mp4": V,
        "y/caption.txt": "a dog",
        "v.mp4": V,
        "caption.txt": "c",
    }
    assert refusals(describe(tmp_path, files)) == {"v.mp4": "no_caption"}


def test_a_downloader_s_report_is_not_a_second_table_of_captions(tmp_path: Path) -> None:
    """img2dataset and video2dataset write a Parquet file and figures for each shard, beside its folder."""
    files: Files = {}
    for shard, caption in (("00000", "a cat"), ("00001", "a dog")):
        key = f"{shard}0000"
        row = {"url": "u", "caption": caption, "key": key, "status": "success", "error_message": None}
        files |= {f"{shard}/{key}.mp4": V, f"{shard}/{key}.txt": caption, f"{shard}/{key}.json": row}
        files |= {f"{shard}.parquet": pa.Table.from_pylist([row]), f"{shard}_stats.json": {"count": 1, "successes": 1}}
    described = describe(tmp_path, files)
    assert {item.source: [caption.text for caption in item.captions] for item in described.listing.items} == {
        "00000/000000000.mp4": ["a cat"], "00001/000010000.mp4": ["a dog"],
    }  # fmt: skip
    assert not described.choice.may_lose_captions
    assert any("00000.parquet, 00001.parquet: a downloader's report" in line for line in described.lines())


@pytest.mark.parametrize(
    "text", ["0:00 a cat\n0:03 a dog", "[0.0-3.5] a cat\n\n[3.5-6.0] a dog", "0.0s - 3.5s: a cat\n3.5s - 6s: a dog"]
)
def test_lines_with_their_times_are_no_caption_of_the_whole_file(tmp_path: Path, text: str) -> None:
    described = describe(tmp_path, {**TWO, "a.txt": text})
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)


@pytest.mark.parametrize("text", ["3 cats walk.\n2 dogs sit.", "1. A cat walks\n2. A dog sits", "0:03 is on the clock"])
def test_lines_with_numbers_are_captions(tmp_path: Path, text: str) -> None:
    described = describe(tmp_path, {**TWO, "a.txt": text, "b.txt": "a dog"})
    assert {item.source: item.caption for item in described.listing.items} == {"a.mp4": text, "b.mp4": "a dog"}


def test_what_was_heard_is_no_caption_of_what_is_seen(tmp_path: Path) -> None:
    """As Whisper writes it beside each video; it can be had by its name."""
    heard = {
        "text": " Hello all",
        "segments": [{"id": 0, "start": 0.0, "end": 2.0, "text": " Hello all"}],
        "language": "en",
    }
    described = describe(tmp_path, {**TWO, "a.json": heard})
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)


@pytest.mark.parametrize(
    "content",
    [
        {"captions": [{"start_frame": 0, "end_frame": 9, "text": "a cat"}]}, [{"frame": 3, "text": "a cat"}],
        {"sentences": [{"id": 1, "sentence": "a cat"}]},
    ],
)  # fmt: skip
def test_captions_inside_of_records_beside_files_end_init(tmp_path: Path, content: Any) -> None:
    assert describe(tmp_path, {"a.mp4": V, "a.json": content}).choice.may_lose_captions
    assert not describe(tmp_path / "no", {"a.mp4": V, "a.json": {"fps": [{"value": 3}]}}).choice.may_lose_captions


def test_a_text_beside_a_file_is_not_of_its_namesake_in_another_folder(tmp_path: Path) -> None:
    described = describe(tmp_path, {"old/a.mp4": V, "videos/a.mp4": V, "videos/a.txt": "a cat"})
    assert [(item.source, item.caption) for item in described.listing.items] == [("videos/a.mp4", "a cat")]
    assert refusals(described) == {"old/a.mp4": "no_caption"}


def test_the_words_of_subtitles_are_not_either(tmp_path: Path) -> None:
    """Whisper writes them as a text as well, beside the subtitles."""
    heard = "1\n00:00:00,000 --> 00:00:01,000\nHello all\n\n2\n00:00:01,000 --> 00:00:02,000\nand welcome\n"
    described = describe(tmp_path, {"a.mp4": V, "a.srt": heard, "a.txt": "Hello all\nand welcome\n"})
    assert described.choice.may_lose_captions
    assert not any(item.captions for item in described.listing.items)
    described = describe(tmp_path / "other", {"a.mp4": V, "a.srt": heard, "a.txt": "a man greets all"})
    assert [item.caption for item in described.listing.items] == ["a man greets all"]


def test_pictures_that_are_almost_frames_and_thumbnails_are_told(tmp_path: Path) -> None:
    files = {f"x/{number:03}.png": V for number in (1, 2, 3, 7, 8, 9, 10, 11)}
    notes = describe(tmp_path, files).choice.notes
    assert notes == ["x: numbered pictures, taken as stills, not as a video: 3 missing between 003.png and 007.png"]
    notes = describe(tmp_path / "thumbnails", {"a.mp4": V, "a.jpg": V, "b.jpg": V}).choice.notes
    assert notes == ["1 stills have a video's name, as thumbnails do: `images: false` leaves stills out"]
    assert describe(tmp_path / "photos", {f"{number}.jpg": V for number in range(3)}).choice.notes == []


@pytest.mark.parametrize(
    ("members", "before"),
    [
        ({"set/metadata__csv": "file_name,text\na.mp4,a cat\nb.mp4,a dog\n"}, 0),
        ({"set/metadata__csv": "file_name,text\na.mp4,a cat\nb.mp4,a dog\n"}, 100),
        ({"set/a__en__vtt": "WEBVTT"}, 0), ({"captions__json": json.dumps(CATS)}, 100),
        ({"captions/a__txt": "a cat", "captions/b__txt": "a dog"}, 0),
    ],
)  # fmt: skip
def test_captions_of_no_sample_in_a_tar_end_init(tmp_path: Path, members: dict[str, str], before: int) -> None:
    """Also tables behind the first members; also where the tar is named."""
    videos = {f"set/videos/{number}__mp4": V for number in range(before)}
    files = {"0.tar": tar(**videos, **{"set/a__mp4": V, "set/b__mp4": V}, **members)}
    for described in (describe(tmp_path, files), describe_files(tmp_path, Given("d/*.tar"))):
        assert described.choice.may_lose_captions
        assert any("inside of a tar" in line for line in described.lines())


def test_captions_that_only_later_tars_hold_are_read(tmp_path: Path) -> None:
    tars = {f"{number}.tar": tar(k__mp4=V) for number in range(3)}
    tars["1.tar"], tars["2.tar"] = tar(k__mp4=V, k__txt="a cat"), tar(k__mp4=V, k__json='{"caption": "a dog"}')
    described = describe(tmp_path, tars)
    found = {item.source: item.caption for item in described.listing.items}
    assert found == {"1.tar::k.mp4": "a cat", "2.tar::k.mp4": "a dog"}
    assert refusals(described) == {"0.tar::k.mp4": "no_caption"}
    (tmp_path / "d/1.tar").write_bytes(b"no tar")
    with pytest.raises(CorruptArtifactError, match=r"1\.tar"):
        describe(tmp_path, {})


def test_a_glob_of_files_does_not_hide_the_table_of_their_captions(tmp_path: Path) -> None:
    table = "path,caption\na.mp4,a cat\n"
    write(tmp_path / "d", {"a.mp4": V, "b.mp4": V, "c.mov": V, "t.csv": table})
    said = "not read: t.csv: names these files, with captions: give it, or the folder, not a glob"
    assert said in describe_files(tmp_path, Given("d/*.mp4")).lines()
    assert said not in describe_files(tmp_path, Given("d/*.mov")).lines()
    assert said not in describe_files(tmp_path, Given("d/*.mp4", use_captions=False)).lines()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("captions_long/{}.txt", "captions_short/{}.txt"), ("captions_long", "captions_short")),
        (("videos/{}.txt", "metas/{}.txt"), ("metas", "txt")), (("metas/{}.txt",), ("txt",)),
    ],
)  # fmt: skip
def test_captions_of_several_folders_have_their_names(
    tmp_path: Path, names: tuple[str, ...], said: tuple[str, ...]
) -> None:
    videos = {"videos/a.mp4": V, "videos/b.mp4": V}
    texts = {name.format(key): f"{key} in {name.partition('/')[0]}" for name in names for key in "ab"}
    described = describe(tmp_path, {**videos, **texts})
    assert [sorted(caption.name for caption in item.captions) for item in described.listing.items] == [list(said)] * 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a cat on a roof.mp4", "a_dog_in_the_sun.mp4"), True), (("clip_0001.mp4", "GX01_part_2_of_3.mp4"), False),
        (("a cat.mp4", "my-first-clip.mp4"), False),
    ],
)  # fmt: skip
def test_names_that_read_as_captions_are_told(tmp_path: Path, names: tuple[str, ...], said: bool) -> None:
    described = describe(tmp_path, dict.fromkeys(names, V))
    assert any("the files' names read as captions" in line for line in described.lines()) == said


SHARED = {"x/1.mp4": V, "x/2.mp4": V, "x/prompt.txt": "a cat\n", "y/1.mp4": V, "y/prompt.txt": "a dog"}
OF_SHARED = {"x/1.mp4": "a cat", "x/2.mp4": "a cat", "y/1.mp4": "a dog"}


def test_one_text_for_the_videos_of_a_folder(tmp_path: Path) -> None:
    """As several videos of one prompt are kept."""
    described = describe(tmp_path, SHARED)
    assert {item.source: item.caption for item in described.listing.items} == OF_SHARED
    assert refusals(described) == {}
    assert not described.choice.may_lose_captions
    assert any("of 1 folders with several files, which share it" in note for note in described.choice.notes)


@pytest.mark.parametrize(
    "further",
    [
        {"x/prompt.txt": "a cat\na dog\n"},  # a line for each?
        {"x/mask.mp4": V},
        {"x/1_depth.mp4": V},
        {"x/first.png": V},
        {"x/2.txt": "a tall cat"},
    ],
)
def test_where_a_text_may_be_of_one_of_several_files_it_is_not_taken_in_silence(tmp_path: Path, further: Files) -> None:
    described = describe(tmp_path, {**SHARED, "z/1.mp4": V, "z/prompt.txt": "a bird", **further})
    assert described.choice.may_lose_captions
    assert any("x/prompt.txt" in line for line in described.lines()), described.lines()
    assert not any(item.caption in ("a cat", "a cat\na dog") for item in described.listing.items)


def test_a_table_that_says_something_else_of_one_of_several_files(tmp_path: Path) -> None:
    same = "".join(f"{name},{text}\n" for name, text in OF_SHARED.items())
    described = describe(tmp_path / "same", {**SHARED, "t.csv": f"path,caption\n{same}"})
    assert not described.choice.may_lose_captions, described.lines()
    other = {**SHARED, "y/2.mp4": V, "t.csv": f"path,caption\n{same}y/2.mp4,a bird\n"}
    described = describe(tmp_path / "other", other)
    assert described.choice.may_lose_captions
    assert any("y/prompt.txt says something else than t.csv" in line for line in described.lines())
