"""What file servers, cameras, editors, messengers and stores of tables leave beside the files that are meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.layout_folder import TWO, Files, V, write
from tests.support.media import counter, ffmpeg, write_video
from tests.support.miniatures import describe, lines, refusals
from walt.ingest.describe_files import Described, Given, describe_files
from walt.ingest.sources.folders import OF_SYSTEMS

TEXTS = {"a.txt": "a cat", "b.txt": "a dog"}


def captions(described: Described) -> dict[str, list[str]]:
    """The captions of each input."""
    return {item.source: [caption.text for caption in item.captions] for item in described.listing.items}


@pytest.mark.parametrize("folder", sorted(OF_SYSTEMS))
@pytest.mark.parametrize("texts", [TEXTS, {}], ids=["captions", "none"])
def test_thumbnails_and_deleted_files_of_systems_are_no_inputs(folder: str, texts: Files, tmp_path: Path) -> None:
    further = {f"{folder}/a.mp4/SYNOVIDEO_VIDEO_SCREENSHOT.jpg": b"a picture", f"v/{folder}/old.mp4": V}
    described = describe(tmp_path, {**TWO, **texts, **further})
    assert [*captions(described)] == ["a.mp4", "b.mp4"]
    assert refusals(described) == {}


def test_a_system_s_folder_that_is_given_is_read(tmp_path: Path) -> None:
    """As what was found again after a crash."""
    write(tmp_path / "lost+found", TWO)
    described = describe_files(tmp_path, Given("lost+found"))
    assert [*captions(described)] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("table", [{"t.csv": "path,caption\na.mp4,a cat\nb.mp4,a dog\n"}, TEXTS])
def test_proxies_of_editors_are_no_inputs(table: Files, tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, **table, "Proxy/a.mp4": V, "Proxy/b.mp4": V})
    assert [*captions(described)] == ["a.mp4", "b.mp4"]
    assert refusals(described) == {}
    described = describe(tmp_path / "of Premiere", {**TWO, **table, "a_Proxy.mov": V, "b_Proxy.mov": V})
    assert [*captions(described)] == ["a.mp4", "b.mp4"]
    assert refusals(described) == {}


def test_the_chapters_of_a_recording_are_a_group(tmp_path: Path) -> None:
    described = describe(tmp_path, dict.fromkeys(["GX010123.MP4", "GX020123.MP4", "GX010124.MP4"], V))
    assert {item.source: item.group for item in described.listing.items} == {
        "GX010123.MP4": "0123", "GX020123.MP4": "0123", "GX010124.MP4": "0124",
    }  # fmt: skip


def test_the_text_of_a_message_is_one_caption(tmp_path: Path) -> None:
    """Telegram's export: where a part of a text has a form, the text is a list of its parts."""
    messages: list[dict[str, Any]] = [
        {"id": 1, "file": "video_files/a.mp4", "text": "a cat", "text_entities": [{"type": "plain", "text": "a cat"}]},
        {
            "id": 2, "file": "video_files/b.mp4", "text": ["a dog of ", {"type": "bold", "text": "Bob"}, "'s"],
            "text_entities": [{"type": "plain", "text": "a dog of "}, {"type": "bold", "text": "Bob"}],
        },
        {"id": 3, "type": "service", "text": "", "text_entities": []},
    ]  # fmt: skip
    files = {"video_files/a.mp4": V, "video_files/b.mp4": V, "result.json": {"name": "Cats", "messages": messages}}
    described = describe(tmp_path, files)
    assert captions(described) == {"video_files/a.mp4": ["a cat"], "video_files/b.mp4": ["a dog of Bob's"]}


def test_a_post_of_several_files_has_one_text(tmp_path: Path) -> None:
    """As instaloader writes posts."""
    post = {"x_UTC_1.mp4": V, "x_UTC_2.mp4": V, "x_UTC.txt": "a cat jumps over the dog"}
    described = describe(tmp_path, {**post, "y_UTC.mp4": V, "y_UTC.txt": "a dog sleeps"})
    assert described.choice.may_lose_captions
    assert any("x_UTC.txt: files are numbered behind its name" in line for line in described.lines())


OLD = pa.table({"path": ["a.mp4", "b.mp4"], "caption": ["a cat", "what was deleted"]})
NEW = pa.table({"path": ["a.mp4"], "caption": ["a cat"]})
ADDS = [{"add": {"path": "part-0.parquet", "partitionValues": {}}}]


@pytest.mark.parametrize(
    "log",
    [
        {"1.json": lines({"add": {"path": "part-1.parquet"}}, {"remove": {"path": "part-0.parquet"}})},
        {"1.json": lines({"add": {"path": "part-0.parquet", "deletionVector": {"storageType": "u"}}})},
        {"1.checkpoint.parquet": pa.table({"add": ["x"]})},
        {"1.json": "{no JSON"},
    ],
)
def test_what_was_deleted_from_a_table_is_no_caption(log: Files, tmp_path: Path) -> None:
    """Delta Lake keeps the files of earlier versions."""
    files = {"t/part-0.parquet": OLD, "t/part-1.parquet": NEW, "t/_delta_log/0.json": lines(*ADDS)}
    described = describe(tmp_path, {**TWO, **files, **{f"t/_delta_log/{name}": entry for name, entry in log.items()}})
    assert described.choice.may_lose_captions
    assert captions(described) == {"a.mp4": [], "b.mp4": []}
    assert any("part of a Delta table of which some was deleted or replaced" in line for line in described.lines())


def test_a_table_of_which_nothing_was_deleted_is_read(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "t/part-0.parquet": OLD, "t/_delta_log/0.json": lines(*ADDS)})
    assert captions(described) == {"a.mp4": ["a cat"], "b.mp4": ["what was deleted"]}
    assert not described.choice.may_lose_captions


def test_an_iceberg_table_is_not_read_as_its_files(tmp_path: Path) -> None:
    metadata = {"format-version": 2, "snapshots": [{"snapshot-id": 1}]}
    files = {"t/data/0.parquet": OLD, "t/data/1.parquet": NEW, "t/metadata/v2.metadata.json": metadata}
    described = describe(tmp_path, {**TWO, **files})
    assert described.choice.may_lose_captions
    assert any("part of an Iceberg table" in line for line in described.lines())


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([{"description": "a cat jumps over a dog"}, {"description": "a dog sleeps in the sun"}], True),
        ([{"comment": "recorded by a camera"}, {"comment": "recorded by a camera"}], False),
        ([{"title": "clip 1"}, {"title": "clip 2"}], False),
        ([{"description": "a cat jumps over a dog"}, {}, {}], False),
    ],
)
def test_texts_inside_of_the_files_are_said(tags: list[dict[str, str]], said: bool, tmp_path: Path) -> None:
    for number, own in enumerate(tags):
        plain = write_video(tmp_path / f"{number}.mp4", counter(8), fps=8)
        (tmp_path / "d").mkdir(exist_ok=True)
        tagged = [argument for tag, text in own.items() for argument in ("-metadata", f"{tag}={text}")]
        ffmpeg("-i", plain, "-c", "copy", *tagged, tmp_path / f"d/{number}.mp4")
    lines_said = [*describe(tmp_path, {}).lines()]
    assert any("texts in themselves (description: 'a cat jumps over a dog')" in line for line in lines_said) is said
    assert len(lines_said) == 1 + said
