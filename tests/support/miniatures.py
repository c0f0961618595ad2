# ruff: noqa: E501 miniatures are easier to read in one line each
"""Miniatures of the layouts in which trainers and curators keep videos and captions: what must arrive of each."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.support.layout_folder import TWO, Files, V, write
from walt.ingest.describe_files import Described, Given, describe_files
from walt.ingest.layouts.tables import TableColumns


def tar(**members: bytes | str) -> bytes:
    """A tar; ``__`` in a name is a dot."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@dataclass
class Layout:
    """A miniature, and what must arrive of it."""

    files: Files
    captions: dict[str, list[str]]
    """By the name of the input."""
    kind: str = "list"
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """Names of the captions of the first input."""
    given: dict[str, Any] = field(default_factory=dict)
    """Further arguments, as flags would give them."""


def describe(tmp_path: Path, files: Files, **given: Any) -> Described:
    """What init makes of these files."""
    write(tmp_path / "d", files)
    return describe_files(tmp_path, Given("d", **given))


def refusals(described: Described) -> dict[str, str]:
    """The code of each refused input."""
    return {refusal.source: refusal.code for refusal in described.listing.refusals}


def lines(*records: dict[str, Any]) -> str:
    """JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records)


CATS = {"a.mp4": ["a cat"], "b.mp4": ["a dog"]}
IN_VIDEOS = {"videos/a.mp4": V, "videos/b.mp4": V}
CATS_IN_VIDEOS = {"videos/a.mp4": ["a cat"], "videos/b.mp4": ["a dog"]}

OF_TRAINERS: dict[str, Layout] = {
    "1 VideoFolder, CSV": Layout({**TWO, "metadata.csv": "file_name,text\na.mp4,a cat\nb.mp4,a dog\n"}, CATS),
    "1 VideoFolder, a CSV per split": Layout(
        {
            "train/a.mp4": V, "test/a.mp4": V,
            "train/metadata.csv": "file_name,text\na.mp4,a cat\n", "test/metadata.csv": "file_name,text\na.mp4,a dog\n",
        },
        {"test/a.mp4": ["a dog"], "train/a.mp4": ["a cat"]},
        splits={"test/a.mp4": "held_out", "train/a.mp4": "train"},
    ),
    "2 VideoFolder, JSON lines": Layout(
        {**TWO, "metadata.jsonl": lines({"file_name": "a.mp4", "text": "a cat"}, {"file_name": "b.mp4", "text": "a dog"})},
        CATS, names=("text",),
    ),
    "2 VideoFolder, Parquet": Layout(
        {**TWO, "metadata.parquet": pa.table({"file_name": ["a.mp4", "b.mp4"], "text": ["a cat", "a dog"]})}, CATS
    ),
    "3 VideoFolder, labels from folders": Layout(
        {"train/cat/a.mp4": V, "train/dog/b.mp4": V, "test/cat/c.mp4": V},
        {"test/cat/c.mp4": [], "train/cat/a.mp4": [], "train/dog/b.mp4": []}, kind="folder",
        labels={"train/cat/a.mp4": 0, "train/dog/b.mp4": 1, "test/cat/c.mp4": 0},
        splits={"train/cat/a.mp4": "train", "train/dog/b.mp4": "train", "test/cat/c.mp4": "held_out"},
    ),
    "5 line files": Layout(
        {**IN_VIDEOS, "videos.txt": "videos/a.mp4\nvideos/b.mp4\n", "prompts.txt": "a cat\na dog\n"}, CATS_IN_VIDEOS,
        kind="lines", names=("prompts",),
    ),
    "5 line files, CRLF, singular names": Layout(
        {**IN_VIDEOS, "video.txt": "videos/a.mp4\r\nvideos/b.mp4\r\n", "prompt.txt": "a cat\r\na dog"}, CATS_IN_VIDEOS,
        kind="lines",
    ),
    "6 text beside each file": Layout({**TWO, "a.txt": "a cat\n", "b.txt": "\ufeffa dog"}, CATS, kind="folder"),
    "7 text in a sibling folder": Layout(
        {**IN_VIDEOS, "metas/a.txt": "a cat", "metas/b.txt": "a dog"}, CATS_IN_VIDEOS, kind="folder"
    ),
    "7 JSON of a model in a sibling folder": Layout(
        {
            **IN_VIDEOS, "captions/a.json": {"qwen": {"long": "a long cat", "short": "a cat"}},
            "captions/b.json": {"qwen": {"long": "a long dog", "short": "a dog"}},
        },
        {"videos/a.mp4": ["a long cat", "a cat"], "videos/b.mp4": ["a long dog", "a dog"]}, kind="folder",
        names=("long", "short"),
    ),
    "8 JSON beside each file": Layout(
        {**TWO, "a.json": {"caption": "a cat"}, "b.json": {"caption": "a dog"}}, CATS, kind="folder", names=("caption",)
    ),
    "yt-dlp, the description chosen": Layout(
        {
            "a [x].webm": V, "a [x].en.vtt": "WEBVTT", "a [x].info.json": {
                "id": "x", "title": "A cat", "description": "Our cat jumps", "formats": [{"url": "u"}],
                "automatic_captions": {"en": [{"url": "u", "ext": "vtt"}]}, "subtitles": {},
            },
        },
        {"a [x].webm": ["Our cat jumps"]}, kind="folder", names=("description",),
        given={"columns": TableColumns(captions=("description",))},
    ),
    "texts in two languages beside each file": Layout(
        {**TWO, "a.zh-CN.txt": "a cat", "a.de.txt": "eine Katze", "b.2.txt": "a dog"},
        {"a.mp4": ["eine Katze", "a cat"], "b.mp4": ["a dog"]}, kind="folder",
    ),
    "JSON beside each file, fields given": Layout(
        {**TWO, "a.json": {"id": 1, "gpt": {"summary": "a cat"}}, "b.json": {"id": 2, "gpt": {"summary": "a dog"}}},
        CATS, kind="folder", given={"columns": TableColumns(captions=("gpt.summary",))},
    ),
    "EPIC-KITCHENS, a narration for each span": Layout(
        {
            "videos/P01.mp4": V,
            "train.csv": "video_id,start_timestamp,stop_timestamp,narration,narration_id\n"
            "P01,00:00:00.14,00:00:03.37,open door,1\nP01,00:00:04.00,00:00:06.00,turn on light,2\n",
        },
        {"P01#t=0.14,3.37": ["open door"], "P01#t=4,6": ["turn on light"]},
        spans={"P01#t=0.14,3.37": (0.14, 3.37), "P01#t=4,6": (4.0, 6.0)},
    ),
    "a sheet for people, its captions given": Layout(
        {
            "raw/session 1.mp4": V,
            "sheet.csv": "Video file,Start,End,What happens?,Split\nsession 1.mp4,0:00,0:03,a man does this,train\n",
        },
        {"session 1.mp4#t=0,3": ["a man does this"]}, spans={"session 1.mp4#t=0,3": (0.0, 3.0)},
        splits={"session 1.mp4#t=0,3": "train"}, given={"columns": TableColumns(captions=("What happens?",))},
    ),
    "9 one JSON map": Layout(
        {**TWO, "captions.json": {"a.mp4": ["a cat", "a small cat"], "b.mp4": ["a dog"]}},
        {"a.mp4": ["a cat", "a small cat"], "b.mp4": ["a dog"]},
    ),
    "10 musubi-tuner, absolute": Layout(
        {
            **IN_VIDEOS,
            "data.jsonl": lines(
                {"video_path": "{here}/videos/a.mp4", "caption": "a cat"},
                {"video_path": "{here}/videos/b.mp4", "caption": "a dog"},
            ),
        },
        CATS_IN_VIDEOS,
    ),
    "10 musubi-tuner, folders of frames": Layout(
        {
            **{f"frames/{name}/{number:03}.png": b"a picture" for name in "ab" for number in range(8)},
            "data.jsonl": lines(
                {"video_path": "{here}/frames/a", "caption": "a cat"}, {"video_path": "{here}/frames/b", "caption": "a dog"}
            ),
        },
        {"frames/a": ["a cat"], "frames/b": ["a dog"]},
    ),
    "11 LTX-2, JSON list": Layout(
        {**TWO, "dataset.json": [{"caption": "a cat", "video": "a.mp4"}, {"caption": "a dog", "video": "b.mp4"}]}, CATS
    ),
    "12 DiffSynth-Studio, CSV": Layout({**TWO, "metadata.csv": "video,prompt\na.mp4,a cat\nb.mp4,a dog\n"}, CATS),
    "13 VideoX-Fun": Layout(
        {
            **IN_VIDEOS,
            "metadata.json": [
                {"file_path": "videos/a.mp4", "text": "a cat", "type": "video", "width": 64},
                {"file_path": "videos/b.mp4", "text": "a dog", "type": "video", "width": 64},
            ],
        },
        CATS_IN_VIDEOS,
    ),
    "a JSON list per split": Layout(
        {
            **IN_VIDEOS,
            "data.json": {
                "train": [{"video": "a.mp4", "caption": "a cat", "score": 0.5}],
                "val": [{"video": "b.mp4", "caption": "a dog", "score": 1.5}], "test": [],
            },
        },
        CATS, splits={"a.mp4": "train", "b.mp4": "held_out"}, numbers={"b.mp4": {"score": 1.5}},
    ),
    "JSON lists by source": Layout(
        {
            **IN_VIDEOS,
            "data.json": {"pexels": [{"path": "a.mp4", "cap": "a cat"}], "own": [{"path": "b.mp4", "cap": "a dog"}]},
        },
        CATS,
    ),
    "14 FastVideo": Layout(
        {
            **IN_VIDEOS,
            "videos2caption.json": [
                {"path": "a.mp4", "cap": ["a cat", "a small cat"], "resolution": {"width": 64}, "fps": 8, "duration": 3.0},
                {"path": "b.mp4", "cap": "a dog", "resolution": {"width": 64}, "fps": 8, "duration": 3.0},
            ],
        },
        {"a.mp4": ["a cat", "a small cat"], "b.mp4": ["a dog"]},
    ),
    "16 Open-Sora, absolute paths of another machine": Layout(
        {
            **IN_VIDEOS,
            "meta.csv": "path,text,num_frames,height,width,fps\n/mnt/x/set/videos/a.mp4,a cat,24,64,64,8\n"
            "/mnt/x/set/videos/b.mp4,a dog,24,64,64,8\n",
        },
        CATS_IN_VIDEOS,
    ),
    "17 SimpleTuner, id without suffix": Layout(
        {**TWO, "t.parquet": pa.table({"id": ["a", "b"], "caption": ["a cat", "a dog"], "width": [64, 64]})}, {"a": ["a cat"], "b": ["a dog"]}
    ),
    "18 NeMo Automodel, items": Layout(
        {**TWO, "meta.json": {"items": [{"file_name": "a.mp4", "caption": "a cat"}, {"file_name": "b.mp4", "caption": "a dog"}]}},
        CATS,
    ),
    "21 video2dataset, files": Layout(
        {
            "00000/0_0.mp4": V, "00000/0_1.mp4": V, "00000/0_0.txt": "a cat", "00000/0_1.txt": "a dog",
            "00000/0_0.json": {"caption": "a cat", "url": "u"}, "00000/0_1.json": {"caption": "a dog", "url": "u"},
        },
        {"00000/0_0.mp4": ["a cat"], "00000/0_1.mp4": ["a dog"]}, kind="folder", names=("txt",),
    ),
    "19 tars with text": Layout(
        {"0.tar": tar(k0__mp4=V, k0__text="a cat"), "1.tar": tar(k1__mp4=V, k1__text="a dog")},
        {"0.tar::k0.mp4": ["a cat"], "1.tar::k1.mp4": ["a dog"]}, kind="webdataset", names=("text",),
    ),
    "20 video2dataset, tars": Layout(
        {
            "00000.tar": tar(a__mp4=V, a__txt="a cat", a__json='{"caption": "a cat", "url": "u"}'),
            "00000.parquet": pa.table({"url": ["u"], "caption": ["a cat"]}), "00000_stats.json": {"count": 1},
        },
        {"00000.tar::a.mp4": ["a cat"]}, kind="webdataset", names=("txt",),
    ),
    "22 energon": Layout(
        {
            "train.tar": tar(a__video__mp4=V, a__json='{"caption": "a cat"}', b__video__mp4=V, b__json='{"caption": "b"}'),
            "val.tar": tar(c__video__mp4=V, c__json='{"caption": "a dog"}'),
            ".nv-meta/split.yaml": "split_parts:\n  train: [train.tar]\n  val: [val.tar]\nexclude: [train.tar/b]\n",
        },
        {"train.tar::a.video.mp4": ["a cat"], "val.tar::c.video.mp4": ["a dog"]}, kind="webdataset",
        splits={"train.tar::a.video.mp4": "train", "val.tar::c.video.mp4": "held_out"},
    ),
    "23 webshart": Layout(
        {"shard_0.tar": tar(a__mp4=V), "shard_0.json": {"files": {"a.mp4": {"offset": 0, "captions": ["a cat", "b"]}}}},
        {"shard_0.tar::a.mp4": ["a cat", "b"]}, kind="webdataset",
    ),
    "25 tars with lists and models": Layout(
        {"0.tar": tar(a__mp4=V, a__json='{"cap": ["a", "b"], "model": {"long": "c", "other": 1}}')},
        {"0.tar::a.mp4": ["a", "b", "c"]}, kind="webdataset",
    ),
    "24 NeMo Curator": Layout(
        {
            "clips/11.mp4": V, "clips/22.mp4": V,
            "metas/v0/11.json": {"span_uuid": "11", "windows": [{"start_frame": 0, "qwen_caption": "a cat"}], "valid": True},
            "metas/v0/22.json": {"span_uuid": "22", "windows": [{"start_frame": 0, "qwen_caption": "a dog"}], "valid": True},
        },
        {"clips/11.mp4": ["a cat"], "clips/22.mp4": ["a dog"]}, kind="folder",
    ),
}  # fmt: skip
