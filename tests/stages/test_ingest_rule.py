"""The clip rule through the whole stage: where clips begin, which sizes they have, which are refused and recorded.

The rule reads pictures, wherever their files came from: in a bucket is what says that tables and sizes arrive there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.ingest_project import DESCRIPTOR, SCREEN, add, config, outputs, rejects
from tests.support.media import Frames, ffmpeg, read_counter, shared_data, write_video
from tests.support.places import Place, everywhere, ingest_at, only_here
from walt.core.paths import Paths
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_table import read_clip_rows
from walt.data.manifest import ClipRejectRow, ManifestRow, read_clip_rejects, read_manifest
from walt.data.shards import ShardReader, read_index
from walt.media.mp4 import decode_clip

FPS = 8


@pytest.fixture
def root(tmp_path: Path, place: Place) -> Path:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/test.yaml").write_text(DESCRIPTOR)
    (tmp_path / "videos").mkdir()
    return place.settle(tmp_path)


def moving(num_frames: int, seed: int, height: int = 48, width: int = 48) -> Frames:
    """Coloured blocks that slide along by two pixels a frame."""
    blocks = np.random.default_rng(seed).integers(40, 220, (height // 8, width // 8, 3))
    picture = np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)
    return np.stack([np.roll(picture, 2 * index, axis=1) for index in range(num_frames)])


def numbered(numbers: list[int]) -> Frames:
    """Flat frames that show their numbers (``read_counter``)."""
    levels = 20 + 4 * np.array(numbers)
    return np.broadcast_to(levels[:, None, None, None], (len(numbers), 48, 48, 3)).astype(np.uint8)


def run(root: Path, **changes: Any) -> dict[str, Any]:
    """Ingest all files of the folder; ``screen_...`` are settings of ``ingest.screen``."""
    add(root, {path.name: path.stem for path in (root / "videos").iterdir() if path.suffix != ".csv"})
    screen = {name.removeprefix("screen_"): value for name, value in changes.items() if name.startswith("screen_")}
    others = {name: value for name, value in changes.items() if not name.startswith("screen_")}
    settings = {"sizes": ((32, 32),), "reject_limit": 1.0, **others, "screen": {**SCREEN, **screen}}
    return ingest_at(root, config(**settings))


def rows(root: Path) -> list[ManifestRow]:
    return read_manifest(Paths(root).manifest)


def clip_rejects(root: Path) -> list[ClipRejectRow]:
    return read_clip_rejects(Paths(root).clip_rejects)


def score(row: ManifestRow | ClipRejectRow) -> float:
    found = row.measures["cut_score"]
    assert isinstance(found, float)
    return found


def starts(root: Path) -> list[float]:
    return sorted(row.start_seconds for row in rows(root))


# ------------------------------------------------------------------------------------------------ where clips begin


@pytest.mark.parametrize(
    ("stride", "clips", "found"),
    [
        (None, 4, [0.0, 0.625, 1.25]),
        (1.0, 4, [0.0, 1.0]),
        (0.25, 4, [0.0, 0.25, 0.5, 0.75]),
        (0.25, 100, [0.25 * number for number in range(6)]),
        (1.3, 4, [0.0, 1.3]),  # 15 frames: the second clip ends with the last one
        (1.5, 4, [0.0]),
    ],
)
@only_here
def test_clips_begin_every_stride(root: Path, stride: float | None, clips: int, found: list[float]) -> None:
    write_video(root / "videos/a.mp4", moving(15, 0), fps=FPS)
    run(root, stride_seconds=stride, max_clips_per_video=clips)
    assert starts(root) == found


def shots_of(*lengths: int) -> Frames:
    """Shots that differ, each with motion."""
    return np.concatenate([moving(length, seed) for seed, length in enumerate(lengths)])


@pytest.mark.parametrize(
    ("cuts", "found"),
    [
        ("ignore", [0, 5, 10, 15]),
        ("refuse", [0, 10, 15]),  # frames 5 .. 9 cross the cut at 7
        ("split", [0, 7, 12]),  # of the same 20 frames each shot holds what it can, from its beginning
    ],
)
@only_here
def test_no_clip_crosses_a_cut(root: Path, cuts: str, found: list[int]) -> None:
    write_video(root / "videos/a.mp4", shots_of(7, 15, 4), fps=FPS)
    figures = run(root, screen_cuts=cuts, max_clips_per_video=4)
    assert starts(root) == [frame / FPS for frame in found]
    assert figures["clip_rejects"] == ({"shot_cut": 1} if cuts == "refuse" else {})
    if cuts == "refuse":
        (refused,) = clip_rejects(root)
        assert (refused.start_seconds, refused.code, refused.duplicate_of) == (5 / FPS, "shot_cut", None)
        assert refused.cause.startswith("frame 2 begins another shot (content value")
        assert score(refused) > 27
    if cuts != "ignore":
        assert all(score(row) < 27 for row in rows(root))


@only_here
def test_split_uses_only_the_frames_of_the_clips_without_cuts(root: Path) -> None:
    numbers = [0, 1, 2, 3, 4, 5, 6, 30, 31, 32, 33, 34, 35, 36, 37]  # a cut of 96 grey levels
    write_video(root / "videos/a.mp4", numbered(numbers), fps=FPS)
    run(root, screen_cuts="split", max_clips_per_video=2)
    reader = ShardReader(Paths(root).clips / "32x32")
    clips = {row.start_seconds * FPS: read_counter(decode_clip(reader[row.key]["mp4"])) for row in rows(root)}
    assert clips == {0: [0, 1, 2, 3, 4]}, "two clips in a row end at frame 9: the shot from 7 on holds none"
    run(root, screen_cuts="split", max_clips_per_video=3)
    reader = ShardReader(Paths(root).clips / "32x32")
    clips = {row.start_seconds * FPS: read_counter(decode_clip(reader[row.key]["mp4"])) for row in rows(root)}
    assert clips == {0: [0, 1, 2, 3, 4], 7: [30, 31, 32, 33, 34]}


@everywhere
def test_split_handles_stills_and_short_videos(root: Path) -> None:
    write_video(root / "videos/still.mp4", moving(1, 0), fps=FPS)
    write_video(root / "videos/short.mp4", moving(3, 1), fps=FPS)
    write_video(root / "videos/restless.mp4", shots_of(3, 4, 3, 4), fps=FPS)
    run(root, screen_cuts="split")
    assert rejects(root) == {"short.mp4": "too_short", "restless.mp4": "shot_cut"}
    assert [(row.source, row.kind) for row in rows(root)] == [("still.mp4", "image")]


@pytest.mark.slow
@only_here
def test_real_cuts(root: Path) -> None:
    shutil.copy(shared_data() / "clips/misc/bikes.mp4", root / "videos")
    run(root, num_frames=9, max_clips_per_video=8, screen_cuts="split")
    for row in rows(root):
        first = round(row.start_seconds * FPS)
        assert not {10, 25, 44, 60, 78} & {*range(first + 1, first + 9)}
    split = len(rows(root))
    run(root, num_frames=9, max_clips_per_video=8, screen_cuts="refuse")
    assert len(rows(root)) < split
    assert len(rows(root)) + len(clip_rejects(root)) == 8


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.slow
@everywhere
def test_buckets(root: Path) -> None:
    """Each source has what all have, and the sizes of the nearest aspect; readers expect what is there."""
    write_video(root / "videos/wide.mp4", moving(10, 0, 48, 96), fps=FPS)
    write_video(root / "videos/tall.mp4", moving(5, 1, 96, 48), fps=FPS)
    Image.fromarray(moving(1, 2, 40, 64)[0]).save(root / "videos/still.png")
    buckets = (((16, 32), (32, 64)), ((32, 16),))
    run(root, sizes=((24, 24),), buckets=buckets, clips_per_shard=1)
    assert {row.source: row.sizes for row in rows(root)} == {
        "wide.mp4": "16x32,24x24,32x64", "tall.mp4": "24x24,32x16", "still.png": "16x32,24x24,32x64",
    }  # fmt: skip
    sources = {row.key: row.source for row in rows(root)}
    clips = Paths(root).clips
    stored = {folder.name: {sources[key] for key in ShardReader(folder).keys} for folder in clips.glob("*x*")}
    assert stored == {
        "24x24": {"wide.mp4", "tall.mp4", "still.png"}, "16x32": {"wide.mp4", "still.png"},
        "32x64": {"wide.mp4", "still.png"}, "32x16": {"tall.mp4"},
    }  # fmt: skip
    tars = {row.key: f"clips-{row.shard:06d}.tar" for row in rows(root)}
    for folder in stored:
        reader = ShardReader(clips / folder)
        assert {record.count > 0 for record in read_index(clips / folder).records} == {True}
        assert all(reader.path(key).name == tars[key] for key in reader.keys)
    for size in [(24, 24), (16, 32), (32, 64), (32, 16)]:
        found = [ClipDataset(clips, size, split) for split in ("train", "held_out")]  # type: ignore[arg-type]
        keys = [key for dataset in found for key in (*dataset.video_keys, *dataset.image_keys)]
        assert {sources[key] for key in keys} == stored[f"{size[0]}x{size[1]}"]
        for dataset in found:
            for key in dataset.video_keys:
                assert dataset.clip(key).shape == (5, *size, 3)
    before = outputs(root)
    assert run(root, sizes=((24, 24),), buckets=buckets, clips_per_shard=1)["decoded_now"] == 0
    assert outputs(root) == before


@only_here
def test_without_buckets_the_table_names_no_sizes(root: Path) -> None:
    write_video(root / "videos/a.mp4", moving(5, 0), fps=FPS)
    run(root, sizes=((24, 24), (32, 32)))
    assert [row.sizes for row in read_clip_rows(Paths(root).clips)] == [None]


@pytest.mark.parametrize(
    ("upscale", "stored"),
    [("allow", {"a.mp4": None, "b.mp4": None}), ("leave_out", {"a.mp4": None, "b.mp4": "24x24"}),
     ("refuse", {"a.mp4": None})],
)  # fmt: skip
@only_here
def test_nothing_is_enlarged_unless_it_is_allowed(root: Path, upscale: str, stored: dict[str, str | None]) -> None:
    write_video(root / "videos/a.mp4", moving(5, 0, 48, 48), fps=FPS)
    write_video(root / "videos/b.mp4", moving(5, 1, 40, 48), fps=FPS)
    run(root, sizes=((24, 24), (48, 48)), upscale=upscale)
    assert {row.source: row.sizes for row in rows(root)} == stored
    assert rejects(root) == ({"b.mp4": "too_small"} if upscale == "refuse" else {})


@only_here
def test_a_source_that_would_lose_too_much_is_refused(root: Path) -> None:
    write_video(root / "videos/a.mp4", moving(5, 0, 48, 72), fps=FPS)
    write_video(root / "videos/b.mp4", moving(5, 1, 48, 80), fps=FPS)
    run(root, max_crop=0.34)
    assert rejects(root) == {"b.mp4": "aspect"}


# ------------------------------------------------------------------------------------------------ screening


PASSES: dict[str, tuple[dict[str, Any], list[int], list[int]]] = {
    "no_motion": ({"screen_min_motion": 3.5}, [0, 1, 2, 3, 4], [0, 1, 2, 2, 3]),
    "black": ({"screen_max_black": 0.2, "screen_black_level": 30.0}, [2, 20, 23, 26, 20], [2, 20, 23, 20, 2]),
    "frozen": ({"screen_max_frozen": 0.5}, [1, 1, 5, 5, 9], [1, 1, 5, 5, 5]),
    "shot_cut": ({"screen_cuts": "refuse"}, [0, 1, 2, 8, 9], [0, 1, 2, 9, 10]),
}
"""Code -> setting, numbers of frames that just pass, and that just do not."""


@pytest.mark.parametrize("code", PASSES)
@only_here
def test_each_rule_with_a_video_that_passes_and_one_that_does_not(root: Path, code: str) -> None:
    setting, good, bad = PASSES[code]
    write_video(root / "videos/good.mp4", numbered(good), fps=FPS)
    write_video(root / "videos/bad.mp4", numbered(bad), fps=FPS)
    run(root, **setting)
    assert rejects(root) == {"bad.mp4": code}
    assert [row.source for row in rows(root)] == ["good.mp4"]
    assert [(row.source, row.code) for row in clip_rejects(root)] == [("bad.mp4", code)]
    figures = run(root)
    assert (figures["rejected"], figures["clips"], figures["decoded_now"]) == (0, 2, 0), (
        "other thresholds decode nothing"
    )
    assert clip_rejects(root) == []


@everywhere
def test_what_was_measured_is_recorded(root: Path) -> None:
    write_video(root / "videos/a.mp4", numbered([1, 1, 5, 9, 9]), fps=FPS)
    Image.fromarray(moving(1, 2, 40, 64)[0]).save(root / "videos/still.png")
    run(root)
    video, still = sorted(rows(root), key=lambda row: row.source)
    assert (video.source_height, video.source_width, video.source_fps, video.source_seconds) == (48, 48, 8.0, 0.625)
    assert video.measures["motion"] == pytest.approx(8.0, abs=0.3)
    assert video.measures["cut_score"] == pytest.approx(16, abs=0.9)
    assert (video.measures["black"], video.measures["frozen"]) == (0.0, 0.5)
    assert len(str(video.measures["phash"])) == 48
    assert (still.source_height, still.source_width, still.source_fps, still.source_seconds) == (40, 64, None, None)
    assert len(str(still.measures["phash"])) == 16
    expected = {"cut_score": None, "motion": None, "black": 0.0, "frozen": None}
    assert {name: still.measures[name] for name in expected} == expected


@everywhere
def test_a_source_keeps_its_other_clips(root: Path) -> None:
    write_video(root / "videos/a.mp4", np.concatenate([numbered([30] * 5), moving(5, 0)]), fps=FPS)
    figures = run(root, screen_min_motion=0.5)
    assert (figures["accepted"], figures["rejected"], figures["clips"]) == (1, 0, 1)
    assert starts(root) == [0.625]
    assert [(row.start_seconds, row.code) for row in clip_rejects(root)] == [(0.0, "no_motion")]


@only_here
def test_tars_do_not_depend_on_thresholds_that_all_pass(root: Path) -> None:
    write_video(root / "videos/a.mp4", moving(10, 0), fps=FPS)
    run(root)
    before = {name: digest for name, digest in outputs(root).items() if name.startswith("data/clips")}
    run(root, screen_min_motion=0.5, screen_max_black=0.1, screen_black_level=30.0, screen_duplicate_bits=0)
    assert {name: digest for name, digest in outputs(root).items() if name.startswith("data/clips")} == before


# ------------------------------------------------------------------------------------------------ near-duplicates


@only_here
def test_a_copy_in_another_size_and_codec_is_a_near_duplicate(root: Path) -> None:
    original = root / "videos/z.mp4"
    write_video(original, moving(5, 0, 96, 96), fps=FPS)
    ffmpeg("-i", original, "-vf", "scale=64:64", "-c:v", "mpeg4", "-q:v", "6", root / "videos/a.avi")
    write_video(root / "videos/m.mp4", moving(5, 1, 96, 96), fps=FPS)
    write_video(root / "videos/red.mp4", (moving(5, 0, 96, 96) * [1.0, 0.7, 0.7]).astype(np.uint8), fps=FPS)
    run(root, screen_duplicate_bits=3)
    assert rejects(root) == {"a.avi": "near_duplicate"}
    keys = {row.source: row.key for row in rows(root)}
    (refused,) = clip_rejects(root)
    assert (refused.source, refused.duplicate_of) == ("a.avi", keys["z.mp4"]), "the larger picture stays"
    assert refused.cause == f"looks like clip {keys['z.mp4']}"
    run(root, screen_duplicate_bits=None)
    assert rejects(root) == {}


@pytest.mark.slow
@everywhere
def test_near_duplicates_that_are_added_later_give_the_clips_of_a_new_run(root: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_video(root / f"videos/{number}.mp4", moving(12, number, 64, 64), fps=FPS)
    run(root, screen_duplicate_bits=3)
    for number in range(3):
        ffmpeg("-i", root / f"videos/{number}.mp4", "-crf", "20", root / f"videos/copy of {number}.mkv")
    figures = run(root, screen_duplicate_bits=3)
    assert (figures["decoded_now"], figures["clip_rejects"]) == (3, {"near_duplicate": 6})
    fresh = tmp_path / "fresh"
    shutil.copytree(root / "datasets", fresh / "datasets")
    shutil.copytree(root / "videos", fresh / "videos")
    run(fresh, screen_duplicate_bits=3)
    assert outputs(fresh) == outputs(root)
    assert run(root, screen_duplicate_bits=3)["decoded_now"] == 0
    assert outputs(fresh) == outputs(root)
    for row in clip_rejects(root):
        assert row.duplicate_of in {kept.key for kept in rows(root)}
