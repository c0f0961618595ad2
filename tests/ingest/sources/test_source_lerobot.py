"""LeRobot: an input is what one camera saw in one episode, as a span of a file (v3) or as a file (v2.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.sources import by_source, codes, list_source, touch
from walt.core.errors import ConfigurationError

LEROBOT: dict[str, Any] = {"kind": "lerobot"}
TOP = "observation.images.top"
V3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


def write_info(root: Path, video_path: str = V3, **changes: Any) -> None:
    features = {TOP: {"dtype": "video"}, "depth": {"dtype": "video", "info": {"video.is_depth_map": True}}}
    features["action"] = {"dtype": "float32"}
    (root / "meta").mkdir(exist_ok=True)
    fields = {"fps": 10, "video_path": video_path, "features": features, "chunks_size": 2, "splits": {"train": "0:4"}}
    (root / "meta/info.json").write_text(json.dumps(fields | changes))


def write_episodes(root: Path, **changes: Any) -> None:
    """Three episodes; the first two are in one file."""
    columns: dict[str, Any] = {"episode_index": [0, 1, 2], "tasks": [["open it"], ["open it", "close it"], []]}
    for key in (TOP, "depth"):
        columns |= {f"videos/{key}/chunk_index": [0, 0, 0], f"videos/{key}/file_index": [0, 0, 1]}
        columns |= {f"videos/{key}/from_timestamp": [0.0, 2.5, 0.0], f"videos/{key}/to_timestamp": [2.5, 5.25, 1.0]}
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: value for name, value in (columns | changes).items() if value is not None}), path)


@pytest.fixture
def v3(tmp_path: Path) -> Path:
    write_info(tmp_path)
    write_episodes(tmp_path)
    touch(tmp_path, f"videos/{TOP}/chunk-000/file-000.mp4", f"videos/{TOP}/chunk-000/file-001.mp4")
    return tmp_path


def test_episodes_of_v3_are_spans_with_their_tasks(v3: Path) -> None:
    found = list_source(v3, LEROBOT)
    top = f"videos/{TOP}/chunk-000"
    assert {
        name: (item.span, [tuple(caption) for caption in item.captions], item.group, item.split)
        for name, item in by_source(found).items()
    } == {
        f"{top}/file-000.mp4#t=0,2.5": ((0.0, 2.5), [("task", "open it")], "episode 0", None),
        f"{top}/file-000.mp4#t=2.5,5.25": ((2.5, 5.25), [("task", "open it"), ("task", "close it")], "episode 1", None),
    }
    assert codes(found) == {f"{top}/file-001.mp4#t=0,1": "no_caption"}


def test_splits_are_those_of_the_dataset(v3: Path) -> None:
    write_info(v3, splits={"train": "0:1", "val": "1:3"})
    found = list_source(v3, LEROBOT, caption_required=False)
    assert [item.split for item in found.items] == ["train", "held_out", "held_out"]


def test_a_camera_of_distances_is_used_only_where_it_is_named(v3: Path) -> None:
    touch(v3, "videos/depth/chunk-000/file-000.mp4")
    found = list_source(v3, LEROBOT | {"video_keys": ["depth"]}, caption_required=False)
    assert [item.source for item in found.items] == [
        "videos/depth/chunk-000/file-000.mp4#t=0,2.5", "videos/depth/chunk-000/file-000.mp4#t=2.5,5.25",
    ]  # fmt: skip
    assert codes(found) == {"episode 2/depth": "missing"}
    assert list_source(v3, LEROBOT | {"video_keys": ["depth"], "absent": "skip"}, caption_required=False).refusals == []
    with pytest.raises(ConfigurationError, match=r"no camera 'depht'; did you mean 'depth'\?"):
        list_source(v3, LEROBOT | {"video_keys": ["depht"]})


def test_rows_without_a_span_a_file_or_a_number_are_refused(v3: Path) -> None:
    starts, files = [0.0, None, 9.0], pa.array([0, 0, None], pa.int64())
    write_episodes(v3, **{f"videos/{TOP}/from_timestamp": starts, f"videos/{TOP}/file_index": files})
    assert codes(list_source(v3, LEROBOT)) == {f"episode 1/{TOP}": "bad_span", f"episode 2/{TOP}": "bad_row"}


def test_episodes_of_v2_are_files(tmp_path: Path) -> None:
    write_info(tmp_path, V2)
    rows = [{"episode_index": n, "tasks": [f"task {n}"], "length": 5} for n in range(4)]
    (tmp_path / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    touch(tmp_path, *(f"videos/chunk-00{n // 2}/{TOP}/episode_00000{n}.mp4" for n in range(3)))
    found = list_source(tmp_path, LEROBOT)
    assert {name.rpartition("/")[2]: (item.caption, item.span) for name, item in by_source(found).items()} == {
        f"episode_00000{n}.mp4": (f"task {n}", None) for n in range(3)
    }
    assert codes(found) == {f"episode 3/{TOP}": "missing"}
    (tmp_path / "meta/episodes.jsonl").write_text('{"episode_index": 0}\n[1]\n')
    with pytest.raises(ConfigurationError, match=r"episodes\.jsonl, line 2: not a JSON map"):
        list_source(tmp_path, LEROBOT)


@pytest.mark.parametrize(
    "template", ["../{video_key}.mp4", "{video_key.__class__}.mp4", "{other}.mp4", "/{video_key}.mp4"]
)
def test_a_template_that_leads_elsewhere_is_refused(v3: Path, template: str) -> None:
    write_info(v3, template)
    assert set(codes(list_source(v3, LEROBOT)).values()) == {"outside"}


def test_a_damaged_description_is_named(v3: Path) -> None:
    write_episodes(v3, **{f"videos/{TOP}/to_timestamp": None})
    with pytest.raises(ConfigurationError, match=rf"file-000\.parquet: no column 'videos/{TOP}/to_timestamp'"):
        list_source(v3, LEROBOT)
    (v3 / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigurationError, match=r"file-000\.parquet: not valid Parquet"):
        list_source(v3, LEROBOT)
    (v3 / "meta/episodes/chunk-000/file-000.parquet").unlink()
    with pytest.raises(ConfigurationError, match=r"meta: neither episodes"):
        list_source(v3, LEROBOT)
    for text, said in (
        ("{", "not the description"),
        ('{"features": {}}', "the dataset has"),
        ("[]", "not the description"),
    ):
        (v3 / "meta/info.json").write_text(text)
        with pytest.raises(ConfigurationError, match=rf"info\.json: {said}"):
            list_source(v3, LEROBOT)
