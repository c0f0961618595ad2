# ruff: noqa: E501 miniatures are easier to read in one line each
"""Every layout in which people keep videos and captions, as a miniature: what is chosen, and what arrives."""

from __future__ import annotations

import io
import json
import math
import tarfile
import tempfile
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.layout_folder import TWO, Files, V, write
from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import Described, Given, describe_files
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.kinds import FileList
from walt.project.point_at_dataset import own_dataset


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
    write(tmp_path / "d", files)
    return describe_files(tmp_path, Given("d", **given))


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


CATS = {"a.mp4": ["a cat"], "b.mp4": ["a dog"]}
IN_VIDEOS = {"videos/a.mp4": V, "videos/b.mp4": V}
CATS_IN_VIDEOS = {"videos/a.mp4": ["a cat"], "videos/b.mp4": ["a dog"]}

LAYOUTS: dict[str, Layout] = {
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
    "yt-dlp": Layout(
        {
            "a [x].webm": V, "a [x].en.vtt": "WEBVTT", "a [x].info.json": {
                "id": "x", "title": "A cat", "description": "Our cat jumps", "formats": [{"url": "u"}],
                "automatic_captions": {"en": [{"url": "u", "ext": "vtt"}]}, "subtitles": {},
            },
        },
        {"a [x].webm": ["Our cat jumps"]}, kind="folder", names=("description",),
    ),
    "texts in two languages beside each file": Layout(
        {**TWO, "a.en.txt": "a cat", "a.de.txt": "eine Katze", "b.en.txt": "a dog"},
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
    "29 OpenVid-1M": Layout(
        {
            **IN_VIDEOS,
            "OpenVid-1M.csv": "video,caption,aesthetic score,motion score,temporal consistency score,frame,fps,seconds\n"
            "a.mp4,a cat,5.5,3.25,1,24,8,3\nb.mp4,a dog,4.5,1.0,1,24,8,3\ngone.mp4,a cow,4.5,1.0,1,24,8,3\n",
        },
        CATS,
        numbers={"a.mp4": {"aesthetic score": 5.5, "motion score": 3.25, "temporal consistency score": 1.0}},
    ),
    "30 MiraData": Layout(
        {
            "v/0/a.mp4": V,
            "miradata.csv": "clip_id,video_id,fps,timestamp,file_path,short_caption,dense_caption,"
            "background_caption,main_object_caption,style_caption,camera_caption\n"
            "0,x,8,\"['0:01:00.0', '0:01:03.0']\",v/0/a.mp4,a cat,a cat that sits,a,b,c,d\n",
        },
        {"v/0/a.mp4": ["a cat that sits", "a cat", "a", "b", "c", "d"]},
        groups={"v/0/a.mp4": "x"},
    ),
    "31 Koala-36M": Layout(
        {
            "videos/yt.mp4": V, "videos/other.mp4": V,
            "Koala_36M_1.csv": "videoID,url,timestamp,caption,clarity_score,aesthetic_score,motion_score,video_training_suitability_score\n"
            "yt,u,\"['0:00:01.0', '0:00:05.0']\",a cat,0.5,1,2,3\nother,u,\"['0:00:00.5', '0:00:02.0']\",a dog,0.7,1,2,3\n",
        },
        {"other#t=0.5,2": ["a dog"], "yt#t=1,5": ["a cat"]},
        spans={"yt#t=1,5": (1.0, 5.0), "other#t=0.5,2": (0.5, 2.0)},
    ),
    "32 InternVid": Layout(
        {
            "A.mp4": V,
            "InternVid.jsonl": lines({
                "YoutubeID": "A", "Start_timestamp": "00:00:19.186", "End_timestamp": "00:00:36.687",
                "Caption": "a cat", "UMT_Score": 0.4, "Aesthetic_Score": 4.5,
            }),
        },
        {"A#t=19.186,36.687": ["a cat"]}, spans={"A#t=19.186,36.687": (19.186, 36.687)},
        numbers={"A#t=19.186,36.687": {"UMT_Score": 0.4, "Aesthetic_Score": 4.5}},
    ),
    "33 HD-VILA-100M": Layout(
        {
            "A.mp4": V,
            "hdvila.jsonl": lines({
                "video_id": "A", "url": "u",
                "clip": [{"clip_id": "A.0.mp4", "span": ["00:00:01.000", "00:00:04.500"]},
                         {"clip_id": "A.1.mp4", "span": ["00:00:17.759", "00:00:23.279"]}],
            }),
        },
        {"A#t=1,4.5": [], "A#t=17.759,23.279": []}, spans={"A#t=1,4.5": (1.0, 4.5), "A#t=17.759,23.279": (17.759, 23.279)},
    ),
    "34 VidGen-1M": Layout(
        {
            "N-Scene-0013.mp4": V, "N-Scene-0014.mp4": V,
            "VidGen.json": [{"vid": "N-Scene-0013", "caption": "a cat"}, {"vid": "N-Scene-0014", "caption": "a dog"}],
        },
        {"N-Scene-0013": ["a cat"], "N-Scene-0014": ["a dog"]},
    ),
    "35 ShareGPT4Video": Layout(
        {
            "p/a.mp4": V,
            "s.jsonl": lines({
                "video_id": "a", "video_path": "p/a.mp4", "zip_folder": "p_1.zip",
                "captions": [{"idx": "0", "content": "first"}, {"idx": "-1", "content": "a cat, all of it"}],
            }),
        },
        {"p/a.mp4": ["a cat, all of it"]},
    ),
    "36 Vript": Layout(
        {
            "clips/X/X-Scene-001.mp4": V,
            "captions/X_caption.json": {
                "meta": {"video_id": "X"},
                "data": {"X-Scene-001": {"clip_id": "X-Scene-001", "caption": {"shot_type": "wide", "content": "a cat"}}},
            },
        },
        {"X/X-Scene-001": ["a cat"]},
    ),
    "37 MMTrail": Layout(
        {
            "c/a.mp4": V,
            "m.json": [{"basic": {"clip_path": "c/a.mp4", "aesthetic_score": 4.5},
                        "scene": {"caption": "a cat", "merge_caption": "a cat in a room"}}],
        },
        {"c/a.mp4": ["a cat", "a cat in a room"]}, numbers={"c/a.mp4": {"basic.aesthetic_score": 4.5}},
    ),
    "37 Shot2Story": Layout(
        {
            "w.mp4": V, "s1.mp4": V, "s2.mp4": V,
            "20k.json": [{"video": "w.mp4", "whole_caption": "all", "video_names": ["s1.mp4", "s2.mp4"],
                          "captions": ["a cat", "a dog"]}],
        },
        {"s1.mp4": ["a cat"], "s2.mp4": ["a dog"]}, groups={"s1.mp4": "w.mp4", "s2.mp4": "w.mp4"},
    ),
    "38 MSR-VTT": Layout(
        {
            "videos/video0.mp4": V, "videos/video1.mp4": V,
            "train_val_videodatainfo.json": {
                "info": {"year": "2016"},
                "videos": [{"id": 0, "video_id": "video0", "split": "train", "start time": 1.0, "end time": 2.0},
                           {"id": 1, "video_id": "video1", "split": "validate", "start time": 1.0, "end time": 2.0}],
                "sentences": [{"sen_id": 0, "video_id": "video0", "caption": "a cat"},
                              {"sen_id": 1, "video_id": "video1", "caption": "a dog"},
                              {"sen_id": 2, "video_id": "video0", "caption": "a small cat"}],
            },
        },
        {"video0": ["a cat", "a small cat"], "video1": ["a dog"]}, splits={"video0": "train", "video1": "held_out"},
    ),
    "38 MSR-VTT, 1k-A": Layout(
        {
            "videos/video0.mp4": V,
            "MSRVTT_JSFUSION_test.csv": "key,vid_key,video_id,sentence\nret0,msr0,video0,a cat\nret1,msr0,video0,a big cat\n",
        },
        {"video0": ["a cat", "a big cat"]},
    ),
    "39 VATEX": Layout(
        {
            "Q_000001_000011.mp4": V,
            "vatex.json": [{"videoID": "Q_000001_000011", "enCap": ["a cat", "a small cat"], "chCap": ["x"]}],
        },
        {"Q_000001_000011": ["a cat", "a small cat"]},
    ),
    "39 MSVD": Layout(
        {
            "v/Q_1_11.avi": V,
            "msvd.csv": "VideoID,Start,End,WorkerID,Source,Language,Description\n"
            "Q,1,11,1,clean,English,a cat\nQ,1,11,2,clean,German,eine Katze\nQ,1,11,3,clean,English,a small cat\n",
        },
        {"Q_1_11": ["a cat", "a small cat"]},
    ),
    "39 ActivityNet Captions": Layout(
        {
            "v_A.mp4": V, "v_B.mp4": V, "v_C.mp4": V,
            "train.json": {
                "v_A": {"duration": 9.0, "timestamps": [[0.5, 4.0], [4.0, 8.0]], "sentences": ["a cat", "a dog"]},
                "v_B": {"duration": 9.0, "timestamps": [[1, 3]], "sentences": ["a cow"]},
                "v_C": {"duration": 9.0, "timestamps": [[2, 3]], "sentences": ["a hen"]},
            },
        },
        {"v_A#t=0.5,4": ["a cat"], "v_A#t=4,8": ["a dog"], "v_B#t=1,3": ["a cow"], "v_C#t=2,3": ["a hen"]},
        spans={"v_A#t=4,8": (4.0, 8.0)},
    ),
    "40 Something-Something v2": Layout(
        {
            "v/1.webm": V, "v/2.webm": V,
            "something-something-v2-train.json": [{"id": "1", "label": "lifting a cat", "template": "Lifting [x]", "placeholders": ["a cat"]}],
            "something-something-v2-validation.json": [{"id": "2", "label": "lifting a dog", "template": "Lifting [x]", "placeholders": ["a dog"]}],
        },
        {"1": ["lifting a cat"], "2": ["lifting a dog"]}, splits={"1": "train", "2": "held_out"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_arrives_whole(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    described = describe(tmp_path, layout.files, **layout.given)
    items = {item.source: item for item in described.listing.items}
    assert {source: [caption.text for caption in item.captions] for source, item in items.items()} == layout.captions
    assert described.descriptor.source.kind == layout.kind
    assert described.descriptor.caption_required == any(layout.captions.values())
    for source, span in layout.spans.items():
        assert items[source].span == span
    assert {source: item.split for source, item in items.items() if item.split} == layout.splits
    assert {source: item.label for source, item in items.items() if item.label is not None} == layout.labels
    assert {source: item.group for source, item in items.items() if item.group is not None} == layout.groups
    for source, numbers in layout.numbers.items():
        assert items[source].numbers == numbers
    if layout.names:
        assert tuple(caption.name for caption in next(iter(items.values())).captions) == layout.names


# ------------------------------------------------------------------------------------- broken in their usual ways


def refusals(described: Described) -> dict[str, str]:
    return {refusal.source: refusal.code for refusal in described.listing.refusals}


def test_a_row_without_a_file_and_one_without_a_caption_are_refused_by_name(tmp_path: Path) -> None:
    table = "file_name,text\na.mp4,a cat\nb.mp4,\ngone.mp4,a cow\n"
    described = describe(tmp_path, {**TWO, "c.mp4": V, "metadata.csv": table})
    assert refusals(described) == {"b.mp4": "no_caption", "gone.mp4": "missing", "c.mp4": "no_caption"}
    assert [item.source for item in described.listing.items] == ["a.mp4"]


def test_line_files_of_unequal_length_are_refused_with_both_counts(tmp_path: Path) -> None:
    files = {**TWO, "videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "a cat\n"}
    with pytest.raises(ConfigurationError, match=r"videos\.txt has 2 lines, .*prompts\.txt 1: they must have the same"):
        describe(tmp_path, files)


def test_an_empty_line_of_captions_is_a_missing_caption(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "videos.txt": "a.mp4\nb.mp4\n", "prompts.txt": "\na dog\n"})
    assert refusals(described) == {"a.mp4": "no_caption"}


def test_two_tables_of_the_same_files_are_refused_and_one_can_be_chosen(tmp_path: Path) -> None:
    files = {**TWO, "a.csv": "path,caption\na.mp4,a cat\n", "b.jsonl": lines({"video": "a.mp4", "prompt": "a dog"})}
    with pytest.raises(ConfigurationError, match=r"a\.csv and b\.jsonl both name files and captions: .*--captions"):
        describe(tmp_path, files)
    chosen = describe(tmp_path, {}, captions="b.jsonl")
    assert [item.caption for item in chosen.listing.items] == ["a dog"]


def test_folders_of_frames_that_a_table_names(tmp_path: Path) -> None:
    """The rate is a guess that one line says; a folder that no row names does not become stills."""
    described = describe(tmp_path, {
        **{f"frames/{name}/{number:03}.png": V for name in "abc" for number in range(8)}, "clip.mp4": V,
        "data.jsonl": lines(
            *({"video_path": f"frames/{name}", "caption": name} for name in "ab"),
            {"video_path": "clip.mp4", "caption": "c"},
        ),
    })  # fmt: skip
    source = described.descriptor.source
    assert isinstance(source, FileList)
    assert (source.fps, source.unlisted) == (24.0, "ignore")
    assert [item.source for item in described.listing.items] == ["clip.mp4", "frames/a", "frames/b"]
    assert any("24 per second is a guess (source.fps)" in line for line in described.lines())


def test_a_text_without_a_video_and_a_video_without_a_text_are_named(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "a.txt": "a cat", "c.txt": "a cow"})
    assert refusals(described) == {"b.mp4": "no_caption"}
    assert "not read: c.txt: no video or image has its name" in list(described.lines())


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
        ({"t.parquet": pa.table({"path": ["a.mp4"], "caption": [[{"text": "a cat"}]]})}, "t.parquet"),
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


def test_captions_of_another_type_beside_files_in_parquet_end_init(tmp_path: Path) -> None:
    cells = [{"bytes": V, "path": "a.mp4"}]
    write(tmp_path / "d", {"t.parquet": pa.table({"video": cells, "captions": [[{"text": "a cat"}]]})})
    with pytest.raises(ConfigurationError, match="captions may be lost: captions not read"):
        own_dataset(tmp_path, Given("d"))


def test_members_of_a_tar_that_may_hold_captions_end_init(tmp_path: Path) -> None:
    write(tmp_path / "d", {"0.tar": tar(a__mp4=V, a__json=b'["a cat"]')})
    with pytest.raises(ConfigurationError, match=r"captions may be lost: members \.json not read"):
        own_dataset(tmp_path, Given("d"))


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


def test_columns_of_other_types(tmp_path: Path) -> None:
    """Captions inside of a record, and NaN for a missing one; a row's number is no number of the input."""
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


def test_a_table_of_which_no_row_can_be_read_says_why(tmp_path: Path) -> None:
    urls = "path,caption\nhttp://127.0.0.1/u=17,98.mp4,a cat\n"
    described = describe(tmp_path, {**TWO, "a.txt": "a cat", "b.txt": "a dog", "urls.csv": urls})
    (said,) = (line for line in described.lines() if "urls.csv" in line)
    assert "line 2: 3 fields, but the header has 2" in said


SEGMENTS = {"A": {"subset": "training", "annotations": [{"segment": [0, 3], "sentence": "a cat"}]},
            "B": {"subset": "validation", "annotations": [{"segment": [1, 2], "sentence": "a dog"}]}}  # fmt: skip


def test_a_database_of_segments(tmp_path: Path) -> None:
    """As YouCook2 and ActivityNet's challenges have it."""
    described = describe(tmp_path, {"v/A.mp4": V, "v/B.mp4": V, "t.json": {"version": 1, "database": SEGMENTS}})
    found = {item.source: (item.caption, item.span, item.split) for item in described.listing.items}
    assert found == {"A#t=0,3": ("a cat", (0.0, 3.0), "train"), "B#t=1,2": ("a dog", (1.0, 2.0), "held_out")}


def test_a_line_that_is_not_json_is_one_refused_row(tmp_path: Path) -> None:
    table = lines({"path": "a.mp4", "caption": "a cat"}) + "{broken\n" + lines({"path": "b.mp4", "caption": "a dog"})
    described = describe(tmp_path, {**TWO, "t.jsonl": table})
    assert refusals(described) == {"t.jsonl line 2": "bad_row"}
    assert len(described.listing.items) == 2


def test_what_was_passed_over_is_counted(tmp_path: Path) -> None:
    described = describe(tmp_path, {**TWO, "x.mxf": V, "y.mxf": V, "z.braw": V, "more.zip": V, "README.txt": "about"})
    said = list(described.lines())
    assert said[0] == "found: 2 videos, 0 stills, no captions"
    assert "not read: 3 files: unknown suffixes: .mxf 2, .braw 1" in said
    assert "not read: more.zip: packed: unpack them first" in said
    assert not any("README" in line for line in said)


def test_a_folder_without_videos_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no videos or images \(part1\.zip must be unpacked first; .*\.mxf 1"):
        describe(tmp_path, {"part1.zip": V, "x.mxf": V})
    with pytest.raises(ConfigurationError, match=r"data-00000-of-00001\.arrow: not of a kind that is read; write CSV"):
        describe(tmp_path / "saved", {"data-00000-of-00001.arrow": V, "state.json": {}})


def test_of_a_large_table_the_rows_of_the_files_that_are_here_count(tmp_path: Path) -> None:
    rows = "".join(f"{number}.mp4,caption {number}\n" for number in range(5000))
    described = describe(tmp_path, {"4321.mp4": V, "all.csv": f"video,caption\n{rows}"})
    assert [item.caption for item in described.listing.items] == ["caption 4321"]
    assert described.listing.refusals == []
    assert "  4999 rows have no file here: they are left out (absent: skip)" in list(described.lines())


# ------------------------------------------------------------------------------------- no caption is lost in silence

VIDEOS = tuple(f"{letter}.mp4" for letter in "abcd")
PLACES = ("captions.csv", "metadata.jsonl", "map.json", "beside.txt", "metas/{}.txt", "{}.json", "lines", "names.txt")
Written = dict[str, dict[str, str]]
"""Place -> video -> caption."""


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
            elif "{" in single:
                files[name] = caption
        if place == "captions.csv":
            files[place] = "path,caption\n" + "".join(f"{video},{text}\n" for video, text in captions.items())
        elif place == "metadata.jsonl":
            files[place] = lines(*({"file_name": video, "text": text} for video, text in captions.items()))
        elif place == "map.json":
            files[place] = captions
        elif place == "names.txt":
            files[place] = "".join(f"{video}\t{text}\n" for video, text in captions.items())
        elif place == "lines":
            files["videos.txt"], files["prompts.txt"] = "\n".join(captions), "\n".join(captions.values())
    return files, where


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
    assert described or "both name files and captions" in said
    if described is None:
        return
    found = {(item.source, caption.text) for item in described.listing.items for caption in item.captions}
    unused = {name for unused in described.choice.unused for name in unused.names}
    assert found <= where.keys(), "no caption comes from nowhere"
    assert {caption for caption, name in where.items() if name not in unused} <= found
    if lost := where.keys() - found:
        assert described.choice.may_lose_captions, f"init goes on without {lost}"


# ------------------------------------------------------------------------------------- descriptors of datasets

REPOSITORY = Path(__file__).resolve().parents[3]
PUBLISHED = {
    "openvid1m": ("29 OpenVid-1M", {"videos/": "video/"}),
    "koala36m": ("31 Koala-36M", {}),
    "internvid": ("32 InternVid", {"A.mp4": "videos/A.mp4"}),
    "vidgen1m": ("34 VidGen-1M", {"N-Scene": "videos/N-Scene", "VidGen.json": "VidGen_1M_video_caption.json"}),
    "sharegpt4video": ("35 ShareGPT4Video", {"p/a.mp4": "videos/p/a.mp4", "s.jsonl": "sharegpt4video_40k.jsonl"}),
    "miradata": ("30 MiraData", {}),
    "msrvtt": ("38 MSR-VTT", {}),
    "vatex": ("39 VATEX", {"Q_0": "videos/Q_0", "vatex.json": "vatex_training_v1.0.json"}),
    "something2": ("40 Something-Something v2", {"v/": "20bn-something-something-v2/"}),
    "hdvila100m": ("33 HD-VILA-100M", {"A.mp4": "videos/A.mp4"}),
    "vript": ("36 Vript", {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_descriptor_of_a_published_dataset_reads_its_layout(tmp_path: Path, name: str) -> None:
    key, moved = PUBLISHED[name]
    layout = LAYOUTS[key]
    files = {}
    for place, content in layout.files.items():
        for old, new in moved.items():
            place = new + place.removeprefix(old) if place.startswith(old) else place
        files[place] = content
    write(tmp_path / "d", files)
    descriptor = load_section(REPOSITORY / f"datasets/{name}.yaml", Descriptor)
    found = list_items(descriptor, tmp_path, "d", 512)
    assert [refusal for refusal in found.refusals if refusal.code != "missing"] == []
    expected = {"yt": ["a cat"], "other": ["a dog"]} if name == "koala36m" else layout.captions
    assert {item.source: [caption.text for caption in item.captions] for item in found.items} == expected
    if name in ("msrvtt", "something2"):
        assert {item.source: item.split for item in found.items} == layout.splits
