"""Folders of numbered pictures as videos: listed, hashed over all frames in order, and cut by the clip rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.media import LIMITS, counter, read_counter
from tests.support.sources import LIST, by_source, list_source, touch
from walt.core.errors import ConfigurationError
from walt.ingest.clip_cache import SourceFile
from walt.ingest.hash_and_cut import LocationTask, read_location
from walt.ingest.sources.locations import hash_location, local_copy, num_bytes
from walt.media.images import SourceError
from walt.media.video import iterate_frames, probe, read_clips

FRAMES: dict[str, Any] = {"kind": "frames", "folders": ["**"], "fps": 8.0}


def write_frames(folder: Path, first: int = 1, count: int = 12, form: str = "{}.png", size: int = 32) -> None:
    """Frames whose grey level encodes their number, without leading zeros: 2 is before 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(counter(count, size, size), start=first):
        Image.fromarray(frame).save(folder / form.format(number))


def shown(location: str, work: Path, **settings: Any) -> list[list[int]]:
    """The numbers of the frames in each clip."""
    options: dict[str, Any] = {"num_frames": 5, "fps": 8, "sizes": [(32, 32)], "max_clips": 9, "limits": LIMITS}
    with local_copy(location, work) as path:
        return [read_counter(clip.frames[32, 32]) for clip in read_clips(path, **(options | settings))]


def test_folders_are_videos_with_captions_and_labels(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cats\ndogs\n")
    write_frames(tmp_path / "cats/a")
    write_frames(tmp_path / "dogs/b", form="frame_{:04}.jpg")
    (tmp_path / "cats/a.txt").write_text("a cat")
    settings = FRAMES | {"caption": "txt", "labels_from_folders": True}
    found = list_source(tmp_path, settings, classes="classes.txt", caption_required=False)
    assert found.refusals == []
    assert {name: (item.kind, item.caption, item.label) for name, item in by_source(found).items()} == {
        "cats/a": ("video", "a cat", 0), "dogs/b": ("video", None, 1),
    }  # fmt: skip


def test_clips_are_cut_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    write_frames(tmp_path / "v")
    (item,) = list_source(tmp_path, FRAMES, caption_required=False).items
    work = tmp_path / "work"
    assert shown(item.path, work) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert shown(item.path, work, fps=4, num_frames=5) == [[0, 2, 4, 6, 8]]
    assert shown(item.path, work, starts=[0.5]) == [[4, 5, 6, 7, 8]]
    with local_copy(item.path, work) as path:
        assert read_counter(np.stack(list(iterate_frames(path, fps=8, fit=lambda size: size, limits=LIMITS)))) == [
            *range(12)
        ]
        info = probe(path)
    assert (info.codec, info.width, info.height, info.num_frames, info.seconds) == ("png", 32, 32, 12, 1.5)
    assert list(work.iterdir()) == []


def test_one_frame_is_a_still_and_few_frames_are_too_short(tmp_path: Path) -> None:
    write_frames(tmp_path / "one", count=1)
    write_frames(tmp_path / "three", count=3)
    one, three = list_source(tmp_path, FRAMES, caption_required=False).items
    assert shown(one.path, tmp_path / "work", accept_still=True) == [[0]]
    said = r"too_short: 3 frames at 8 per second, a clip has 5; 3 pictures at source\.fps 8$"  # which may be a guess
    with pytest.raises(SourceError, match=said):
        shown(three.path, tmp_path / "work")


def test_the_hash_covers_all_frames_in_order_and_the_rate(tmp_path: Path) -> None:
    for name in "abc":
        write_frames(tmp_path / name, first={"a": 1, "b": 1, "c": 7}[name])

    def hashes(**settings: Any) -> list[str]:
        return [
            hash_location(item.path) for item in list_source(tmp_path, FRAMES | settings, caption_required=False).items
        ]

    first = hashes()
    assert len(set(first)) == 1, "the names of the files do not count"
    assert hashes(fps=9.0)[0] != first[0]
    third, fourth = tmp_path / "b/3.png", tmp_path / "b/4.png"
    swapped = third.read_bytes(), fourth.read_bytes()
    third.write_bytes(swapped[1])
    fourth.write_bytes(swapped[0])
    (tmp_path / "c/18.png").write_bytes(swapped[0])
    assert len(set(hashes())) == 3
    (item, *_) = list_source(tmp_path, FRAMES, caption_required=False).items
    assert num_bytes(item.path) == sum(path.stat().st_size for path in (tmp_path / "a").iterdir())


@pytest.mark.parametrize(
    ("changes", "code", "cause"),
    [
        ({"5.png": None}, "missing_frame", "1 missing between 4.png and 6.png"),
        ({"05.png": b"x"}, "repeated_frame", "05.png and 5.png have one number"),
        ({"b5.png": b"x"}, "mixed_frames", "are of two sequences"),
        ({"5.jpg": b"x", "5.png": None}, "mixed_frames", "are of two sequences"),
        ({"cover.png": b"x"}, "mixed_frames", "cover.png has no number, beside 1.png"),
    ],
)
def test_a_folder_that_is_no_sequence_is_refused_when_it_is_listed(
    tmp_path: Path, changes: dict[str, bytes | None], code: str, cause: str
) -> None:  # fmt: skip
    write_frames(tmp_path / "v")
    for name, data in changes.items():
        (tmp_path / "v" / name).unlink() if data is None else (tmp_path / "v" / name).write_bytes(data)
    (refusal,) = list_source(tmp_path, FRAMES, caption_required=False).refusals
    assert (refusal.source, refusal.code) == ("v", code)
    assert cause in refusal.cause


@pytest.mark.parametrize(
    ("data", "code", "cause"),
    [
        (None, "size_changed", r"9\.png has 48x48 pixels, the first frame 32x32"),
        (b"no picture", "format", r"9\.png: not one of the image formats"),
    ],
)
def test_a_frame_of_another_size_or_kind_refuses_the_video(
    tmp_path: Path, data: bytes | None, code: str, cause: str
) -> None:  # fmt: skip
    write_frames(tmp_path / "v")
    if data is None:
        write_frames(tmp_path / "v", first=9, count=1, size=48)
    else:
        (tmp_path / "v/9.png").write_bytes(data)
    (item,) = list_source(tmp_path, FRAMES, caption_required=False).items
    with pytest.raises(SourceError, match=f"{code}: {cause}"):
        shown(item.path, tmp_path / "work", max_clips=1)


def test_a_frame_that_changes_or_vanishes_while_the_video_is_read(tmp_path: Path) -> None:
    write_frames(tmp_path / "v")
    (item,) = list_source(tmp_path, FRAMES, caption_required=False).items
    with local_copy(item.path, tmp_path / "work") as path:
        (tmp_path / "v/1.png").write_bytes((tmp_path / "v/2.png").read_bytes())
        with pytest.raises(SourceError, match=r"changed: 1\.png: its bytes changed"):
            read_clips(path, num_frames=5, fps=8, sizes=[(32, 32)], max_clips=1, limits=LIMITS)
    (tmp_path / "v/5.png").unlink()

    def cut(path: Path, file: SourceFile) -> Any:
        raise AssertionError("nothing is cut")

    result = read_location(tmp_path / "work", cut, None, LocationTask(item.path, (("video", None),)))
    assert (result.code, result.cause) == ("missing_frame", "1 missing between 4.png and 6.png")


def test_folders_that_do_not_match_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/readme.txt")
    with pytest.raises(ConfigurationError, match=r"no folder with pictures matches \*\*"):
        list_source(tmp_path, FRAMES)
    with pytest.raises(ConfigurationError, match=r"source\.folders: '\.\./x' leaves"):
        list_source(tmp_path, FRAMES | {"folders": ["../x"]})


def test_only_the_folders_that_match_are_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train/a", "train/b/deep", "other/c"):
        write_frames(tmp_path / name, count=2)
    touch(tmp_path, "train/film.mp4")
    found = list_source(tmp_path, FRAMES | {"folders": ["train/*"]}, caption_required=False)
    assert list(by_source(found)) == ["train/a"]
    said = capsys.readouterr()
    assert "5 videos and pictures are in no folder of frames, and left out" in said.out + said.err
    write_frames(tmp_path, count=2)
    assert list(by_source(list_source(tmp_path, FRAMES | {"folders": ["."]}, caption_required=False))) == ["."]


TABLE = LIST | {"tables": ["t.jsonl"], "path_column": "video_path", "unlisted": "take"}


def in_a_table(root: Path, *names: str) -> None:
    (root / "t.jsonl").write_text("".join(f'{{"video_path": "{name}", "caption": "of {name}"}}\n' for name in names))


def test_rows_of_a_table_name_folders_of_frames(tmp_path: Path) -> None:
    """As in musubi-tuner's lists. Their pictures are then no stills."""
    write_frames(tmp_path / "frames/a")
    touch(tmp_path, "b.mp4", "cover.png")
    in_a_table(tmp_path, str(tmp_path / "frames/a"), "b.mp4")
    found = list_source(tmp_path, TABLE | {"fps": 8.0}, characters=200, caption_required=False)
    assert found.refusals == []
    items = by_source(found)
    assert {name: (item.kind, item.caption and item.caption[:4]) for name, item in items.items()} == {
        "frames/a": ("video", "of /"), "b.mp4": ("video", "of b"), "cover.png": ("image", None),
    }  # fmt: skip
    assert shown(items["frames/a"].path, tmp_path / "work", starts=[0.5]) == [[4, 5, 6, 7, 8]]
    alone = list_source(tmp_path, FRAMES | {"folders": ["frames/*"]}, caption_required=False).items
    assert [item.path for item in alone] == [items["frames/a"].path]


@pytest.mark.parametrize(
    ("settings", "code", "cause"),
    [
        ({}, "no_rate", r"line 1 names a folder of pictures: .* per second \(source\.fps\)"),
        ({"absent": "skip"}, "no_rate", "line 1"),
        ({"fps": 8.0}, "missing_frame", "1 missing between 4.png and 6.png"),
    ],
)
def test_a_folder_in_a_table_needs_a_rate_and_all_its_frames(
    tmp_path: Path, settings: dict[str, Any], code: str, cause: str
) -> None:  # fmt: skip
    write_frames(tmp_path / "a")
    (tmp_path / "a/5.png").unlink()
    in_a_table(tmp_path, "a")
    found = list_source(tmp_path, TABLE | settings)
    assert found.items == []
    (refusal,) = found.refusals
    assert (refusal.source, refusal.code) == ("a", code)
    assert re.search(cause, refusal.cause)


def test_a_folder_in_a_table_without_numbered_pictures_is_a_missing_file(tmp_path: Path) -> None:
    touch(tmp_path, "a/film.mp4", "a/cover.png")
    in_a_table(tmp_path, "a")
    settings = TABLE | {"fps": 8.0, "unlisted": "ignore"}
    assert [refusal.code for refusal in list_source(tmp_path, settings).refusals] == ["missing"]
    assert list_source(tmp_path, settings | {"absent": "skip"}).refusals == []
