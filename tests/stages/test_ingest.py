"""The stage ``ingest`` as a whole: every input once, the same bytes whatever happens on the way, and wherever it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.faults import hang_or_crash
from tests.support.ingest_project import CAPTIONS, DESCRIPTOR, add, make_project, outputs, rejects, run, untouched
from tests.support.media import counter, ffmpeg, read_counter, shared_data, write_video
from tests.support.places import Place, everywhere, only_here
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, RejectLimitError
from walt.core.paths import Paths
from walt.data.clip_table import read_clip_rows
from walt.data.manifest import read_manifest, read_rejects
from walt.data.shards import ShardReader, read_index
from walt.ingest import read_sources as reading
from walt.media.images import decode_png
from walt.media.mp4 import decode_clip


@pytest.fixture
def root(tmp_path: Path, place: Place) -> Path:
    """A project with seven videos of two clips each, one of another kind, and a still."""
    make_project(tmp_path)
    return place.settle(tmp_path)


@pytest.mark.slow
@everywhere
def test_clips_tables_and_tars_agree(root: Path) -> None:
    figures = run(root)
    rows = read_manifest(Paths(root).manifest)
    assert figures["inputs"] == figures["accepted"] == 9
    assert Counter(row.kind for row in rows) == {"video": 7 * 2 + 3, "image": 1}
    assert figures["clips"] == len(rows) == len({row.key for row in rows}) == 18
    assert rejects(root) == {}
    assert {row.source: row.caption for row in rows} == CAPTIONS
    assert {row.source for row in rows} == set(CAPTIONS)
    readers = {size: ShardReader(Paths(root).clips / size) for size in ("32x32", "16x24")}
    assert [row.key for row in read_clip_rows(Paths(root).clips)] == [row.key for row in rows]
    assert [*readers["32x32"].keys] == [*readers["16x24"].keys] == [row.key for row in rows]
    for row in rows:
        tar = f"clips-{row.shard:06d}.tar"
        for size, reader in readers.items():
            assert reader.path(row.key).name == tar
            members = reader[row.key]
            assert json.loads(members["json"]) == {
                "kind": row.kind, "num_frames": row.num_frames, "fps": 8.0, "source_sha256": row.source_sha256,
                "start_seconds": row.start_seconds,
            }  # fmt: skip
            height, width = map(int, size.split("x"))
            if row.kind == "image":
                assert decode_png(members["png"]).shape == (height, width, 3)
            else:
                assert decode_clip(members["mp4"]).shape == (5, height, width, 3)
        picture = members["png" if row.kind == "image" else "mp4"]
        larger = readers["32x32"][row.key]["png" if row.kind == "image" else "mp4"]
        assert row.sha256 == hashlib.sha256(larger).hexdigest() != hashlib.sha256(picture).hexdigest()


@pytest.mark.slow
@only_here
def test_clips_have_the_right_frames(root: Path) -> None:
    run(root)
    reader = ShardReader(Paths(root).clips / "32x32")
    found = {
        row.start_seconds: read_counter(decode_clip(reader[row.key]["mp4"]))
        for row in read_manifest(Paths(root).manifest)
        if row.source == "a.mp4"
    }
    assert found == {0.0: [0, 3, 6, 9, 12], 0.625: [15, 18, 21, 24, 27]}


@pytest.mark.slow
@pytest.mark.parametrize(("place", "workers"), [("local", 1), ("local", 3), ("s3", 3)], indirect=["place"])
def test_workers_and_the_order_of_rows_change_nothing(
    root: Path, place: Place, tmp_path_factory: Any, workers: int
) -> None:
    run(root)
    other = place.settle(tmp_path_factory.mktemp("other"))
    shutil.copytree(root / "datasets", other / "datasets")
    shutil.copytree(root / "videos", other / "videos")
    add(other, dict(reversed(CAPTIONS.items())))
    run(other, workers, "process")
    assert outputs(other) == outputs(root)


@pytest.mark.slow
@everywhere
def test_a_rerun_touches_nothing_and_decodes_nothing(root: Path) -> None:
    run(root)
    before = untouched(root / "data")
    assert run(root)["decoded_now"] == 0
    assert untouched(root / "data") == before


@pytest.mark.slow
def test_captions_alone_leave_the_clips_alone(root: Path) -> None:
    run(root)
    before = untouched(root / "data/clips")
    manifest = outputs(root)["data/manifest/part-000000.parquet"]
    add(root, CAPTIONS | {"b.mp4": "another caption, much longer than it was, and cut"})
    figures = run(root)
    assert untouched(root / "data/clips") == before
    assert outputs(root)["data/manifest/part-000000.parquet"] != manifest
    assert figures["captions_cut"] == 2
    assert {row.caption for row in read_manifest(Paths(root).manifest) if row.caption_truncated} == {
        "another caption, much longer than it was"
    }


@pytest.mark.slow
@everywhere
def test_new_changed_and_removed_files_remake_what_depends_on_them(root: Path, tmp_path: Path) -> None:
    run(root, clips_per_shard=2)
    before = outputs(root)
    changed = root / "videos/b.mp4"
    stat = changed.stat()
    write_video(changed, np.roll(counter(32, 32, 48), 9, axis=0))
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # found by content, not by time
    figures = run(root, clips_per_shard=2)
    assert figures["decoded_now"] == 1
    after = outputs(root)
    tars = {digest for name, digest in before.items() if name.endswith(".tar")}
    kept = tars & set(after.values())
    assert len(tars) // 2 <= len(kept) < len(tars), "only the tars of the changed file are others"

    (root / "videos/b.mp4").unlink()
    add(root, {name: text for name, text in CAPTIONS.items() if name != "b.mp4"})
    assert run(root, clips_per_shard=2)["decoded_now"] == 0
    fresh = tmp_path / "fresh"
    shutil.copytree(root / "datasets", fresh / "datasets")
    shutil.copytree(root / "videos", fresh / "videos")
    run(fresh, clips_per_shard=2)
    assert outputs(fresh) == outputs(root), "history leaves no trace"


@pytest.mark.slow
def test_an_edit_in_place_that_keeps_size_and_time_is_found(root: Path) -> None:
    path = root / "videos/plain.bmp"
    add(root, CAPTIONS | {"plain.bmp": "a plain one"})
    sizes = set()
    for colour in ((10, 20, 30), (30, 20, 10)):
        Image.new("RGB", (32, 32), colour).save(path)
        os.utime(path, (1e9, 1e9))
        sizes.add(path.stat().st_size)
        run(root)
        (key,) = [row.key for row in read_manifest(Paths(root).manifest) if row.source == "plain.bmp"]
        picture = decode_png(ShardReader(Paths(root).clips / "32x32")[key]["png"])
        assert tuple(picture[0, 0]) == colour
    assert len(sizes) == 1


@pytest.mark.slow
def test_a_renamed_file_is_the_same_source(root: Path) -> None:
    run(root)
    before = untouched(root / "data/clips")
    (root / "videos/b.mp4").rename(root / "videos/moved to.mp4")
    captions = CAPTIONS | {"moved to.mp4": CAPTIONS["b.mp4"]}
    add(root, {name: text for name, text in captions.items() if name != "b.mp4"})
    figures = run(root)
    assert (figures["decoded_now"], figures["gone"]) == (0, 1)
    assert untouched(root / "data/clips") == before
    assert "moved to.mp4" in {row.source for row in read_manifest(Paths(root).manifest)}


@pytest.mark.slow
@everywhere
def test_settings_that_change_the_clips_remake_all_and_remove_old_ones(root: Path) -> None:
    run(root)
    figures = run(root, sizes=((24, 24),), clips_per_shard=100)
    assert figures["decoded_now"] == 9
    assert sorted(outputs(root)) == [
        "data/clip_rejects.parquet", "data/clips/24x24/clips-000000.tar", "data/clips/24x24/shards.parquet",
        "data/clips/clips.parquet",
        "data/manifest/_index.json", "data/manifest/part-000000.parquet", "data/rejects.parquet",
    ]  # fmt: skip
    cached = list((root / "work/ingest/sources").iterdir())
    assert len(cached) == 1, "the cache of other rules is gone"


@pytest.mark.slow
@everywhere
def test_a_damaged_tar_is_made_again(root: Path) -> None:
    run(root)
    before = outputs(root)
    tar = min((root / "data/clips/32x32").glob("*.tar"))
    data = bytearray(tar.read_bytes())
    data[1000] ^= 1
    tar.write_bytes(data)
    run(root)
    assert outputs(root) == before


@pytest.mark.slow
@only_here
def test_a_damaged_cache_is_found_and_made_again(root: Path) -> None:
    run(root)
    before = outputs(root)
    entry = max(
        (path for path in (root / "work/ingest/sources").rglob("*.video")), key=lambda path: path.stat().st_size
    )
    data = bytearray(entry.read_bytes())
    data[-10] ^= 1
    entry.write_bytes(data)
    shutil.rmtree(root / "data/clips")
    with pytest.raises(CorruptArtifactError, match="run again"):
        run(root)
    run(root)
    assert outputs(root) == before


# ------------------------------------------------------------------------------------------------ bad inputs


@pytest.mark.slow
@everywhere
def test_every_bad_input_is_refused_once_with_its_code(root: Path) -> None:
    videos = root / "videos"
    whole = write_video(videos / "whole.mp4", counter(48), container={"movflags": "+faststart"}).read_bytes()
    (videos / "whole.mp4").unlink()
    (videos / "cut.mp4").write_bytes(whole[: int(len(whole) * 0.6)])
    (videos / "zero.mp4").write_bytes(b"")
    (videos / "zero2.png").write_bytes(b"")
    (videos / "text.mp4").write_text("no video")
    (videos / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:2,\n{videos}/a.mp4\n#EXT-X-ENDLIST\n")
    shutil.copy(videos / "a.mp4", videos / "z copy of a.mp4")
    write_video(videos / "tiny.mp4", counter(32, 8, 8))
    write_video(videos / "short.mp4", counter(3))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", videos / "sound.mp4")
    Image.new("1", (2000, 1000)).save(videos / "huge.png")
    (videos / "unlisted.webm").write_bytes(b"x")
    (root / "outside.mp4").write_bytes(b"x")
    bad = {
        "cut.mp4": "truncated", "zero.mp4": "empty", "text.mp4": "format", "list.mp4": "format",
        "z copy of a.mp4": "duplicate", "tiny.mp4": "too_small", "short.mp4": "too_short", "sound.mp4": "no_video",
        "huge.png": "too_large", "unlisted.webm": "no_caption", "../outside.mp4": "outside", "gone.mp4": "missing",
        "zero2.png": "duplicate",
    }  # fmt: skip
    add(root, CAPTIONS | {name: "a caption" for name in bad if name != "unlisted.webm"})
    figures = run(root, 2, "process")
    assert rejects(root) == bad
    assert figures["inputs"] == 9 + len(bad)
    assert figures["accepted"] + figures["rejected"] == figures["inputs"]
    assert figures["accepted"] == 9
    rows = {row.source: row for row in read_rejects(Paths(root).rejects)}
    assert rows["z copy of a.mp4"].cause == "the same bytes as a.mp4"
    assert rows["text.mp4"].sha256 == hashlib.sha256(b"no video").hexdigest()
    assert {row.stage for row in rows.values()} == {"ingest"}
    before = outputs(root)
    assert run(root, 2, "process")["decoded_now"] == 0, "refusals are remembered"
    assert outputs(root) == before


ODD = [
    "-c.png", ";rm -rf $(x).png", "a:b.png", "a \"q\" 'r'.png", "a+b.png", "100%.png", "a%20b.png", "q?x=1&y.png",
    "h#b.png", "[x]*.png", "back\\slash.png", "e\u0301.png", "\u00e9.png", "my.video.v1.png", "my.video.v2.png",
    "sub/a.png", "sub/sub/a.png", "a\r\nb.png", " a .png", "v?versionId=1.png",
]  # fmt: skip


@everywhere
def test_odd_names_are_kept(root: Path) -> None:
    shutil.rmtree(root / "videos")
    for number, name in enumerate(ODD):
        path = root / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (10 * number, 200, 30)).save(path)
    add(root, {name: f"about {number}" for number, name in enumerate(ODD)})
    run(root)
    assert rejects(root) == {}
    assert {row.source: row.caption for row in read_manifest(Paths(root).manifest)} == {
        name: f"about {number}" for number, name in enumerate(ODD)
    }


@pytest.mark.slow
def test_a_name_that_is_not_utf8_is_accepted(root: Path, place: Place) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    write_video(root / "videos/new.mp4", counter(40)).rename(root / "videos" / name)
    add(root, CAPTIONS | {name: "a cup"})
    run(root, 2, "process")
    if place.bucket:  # no object can be called so, but a row may
        assert rejects(root) == {"caf\\xe9.mp4": "missing"}
    else:
        assert "caf\\xe9.mp4" in {row.source for row in read_manifest(Paths(root).manifest)}


@pytest.mark.slow
@only_here  # tests/ingest/test_read_sources.py has the same in a bucket, with what follows for copies of such files
def test_a_decoder_that_hangs_or_crashes_costs_one_item(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {sha256_file(root / f"videos/{name}.mp4"): name for name in "abc"}
    with monkeypatch.context() as patch:
        patch.setattr(reading, "cut_sources", partial(hang_or_crash, names))
        figures = run(root, 2, "process", timeout_seconds=3.0)
    assert rejects(root) == {"a.mp4": "timeout", "b.mp4": "crash", "c.mp4": "memory"}
    assert figures["accepted"] == 6
    figures = run(root, 2, "process")
    assert figures["decoded_now"] == 3, "such refusals are not remembered: the next run tries again"
    assert rejects(root) == {}


@pytest.mark.slow
@only_here
def test_too_many_rejects_end_the_stage_and_are_listed(root: Path) -> None:
    for name in ("x", "y"):
        (root / f"videos/{name}.mp4").write_text("no video" + name)
    add(root, CAPTIONS | {"x.mp4": "x", "y.mp4": "y"})
    with pytest.raises(RejectLimitError, match=r"2 of 11 inputs were rejected \(2 format\)") as caught:
        run(root, reject_limit=0.1)
    assert caught.value.exit_status == 3
    assert set(rejects(root)) == {"x.mp4", "y.mp4"}
    assert not Paths(root).manifest.exists()
    assert run(root, reject_limit=0.2)["rejected"] == 2


@only_here
def test_nothing_accepted_ends_the_stage(root: Path) -> None:
    with pytest.raises(RejectLimitError, match="none of 9 inputs"):
        run(root, num_frames=401, min_side=100, reject_limit=1.0)
    for path in (root / "videos").iterdir():
        path.unlink()
    add(root, {})
    with pytest.raises(RejectLimitError, match="none of 0 inputs"):
        run(root, reject_limit=1.0)


def test_missing_files_are_named(root: Path, place: Place) -> None:
    shutil.move(root / "videos", root / "elsewhere")
    named = r"s3://.*/videos/captions\.csv: no such file" if place.bucket else r"dataset\.path.*videos: no such folder"
    with pytest.raises(ConfigurationError, match=named):
        run(root)


# ------------------------------------------------------------------------------------------------ splits, faults


@pytest.mark.slow
@only_here
def test_the_split_is_stable_when_data_are_added(root: Path) -> None:
    everything = dict(CAPTIONS)
    few = {name: text for name, text in everything.items() if name not in ("c.mp4", "d.mp4")}
    for name in ("c.mp4", "d.mp4"):
        (root / "videos" / name).rename(root / name)
    add(root, few)
    run(root)
    before = {row.key: row.split for row in read_manifest(Paths(root).manifest)}
    assert set(before.values()) == {"train", "held_out"}
    for name in ("c.mp4", "d.mp4"):
        (root / name).rename(root / "videos" / name)
    add(root, everything)
    run(root)
    after = {row.key: row.split for row in read_manifest(Paths(root).manifest)}
    assert before.items() < after.items()
    by_source = {(row.source_sha256, row.split) for row in read_manifest(Paths(root).manifest)}
    assert len(by_source) == 9, "all clips of a source are in one split"


def set_held_out(root: Path, share: str) -> None:
    (root / "datasets/test.yaml").write_text(DESCRIPTOR.replace("held_out: 0.5", f"held_out: {share}"))


@pytest.mark.slow
@pytest.mark.parametrize("held_out", ["1.0", "0.0"])
@only_here
def test_there_is_always_something_to_train_on(root: Path, held_out: str) -> None:
    set_held_out(root, held_out)
    figures = run(root)
    assert figures["held_out"] == 0
    assert figures["clips"] == 18


@pytest.mark.slow
@pytest.mark.parametrize("names", [("a.mp4", "b.mp4"), tuple(CAPTIONS)])
@only_here
def test_a_small_folder_has_one_video_held_out(root: Path, names: tuple[str, ...]) -> None:
    """Nothing is drawn by so small a share: the video that a growing share would take first is held out."""
    set_held_out(root, "0.0000001")
    for name in CAPTIONS.keys() - set(names):
        (root / "videos" / name).unlink()
    add(root, {name: CAPTIONS[name] for name in names})
    run(root)
    rows = read_manifest(Paths(root).manifest)
    first = min((row.source_sha256 for row in rows if row.kind == "video"), key=lambda sha256: sha256[-8:])
    assert {row.source for row in rows} == set(names)
    assert {row.source_sha256 for row in rows if row.split == "held_out"} == {first}
    assert all(row.split == "held_out" for row in rows if row.source_sha256 == first)


@only_here
def test_the_only_video_is_trained_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_held_out(root, "0.0000001")
    for name in CAPTIONS.keys() - {"a.mp4", "still.png"}:
        (root / "videos" / name).unlink()
    add(root, {name: CAPTIONS[name] for name in ("a.mp4", "still.png")})
    assert run(root)["held_out"] == 0
    assert "none is held out" in capsys.readouterr().out


_CHILD = """
import sys
from pathlib import Path
from tests.support.ingest_project import run
run(Path(sys.argv[1]), 2, "process", clips_per_shard=1)
"""


def _finished(root: Path, pattern: str, count: int) -> Callable[[], bool]:
    return lambda: len(list(root.glob(pattern))) >= count


@pytest.mark.parametrize(
    ("place", "pattern", "count"),
    [
        pytest.param("local", "work/ingest/sources/*/*/*", 3, marks=pytest.mark.slow),  # in the middle of decoding
        # in the middle of the tars
        pytest.param("local", "data/clips/16x24/*.tar", 4, marks=pytest.mark.slow),
        pytest.param("s3", "data/clips/16x24/*.tar", 4, marks=pytest.mark.slow),
        # between the tars and the manifest
        pytest.param("local", "data/clips/32x32/shards.parquet", 1, marks=pytest.mark.slow),
    ],
    indirect=["place"],
)
def test_kill_9_and_rerun_give_the_same_bytes(root: Path, tmp_path: Path, pattern: str, count: int) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(root / "datasets", fresh / "datasets")
    shutil.copytree(root / "videos", fresh / "videos")
    run(fresh, clips_per_shard=1)
    child = subprocess.Popen([sys.executable, "-c", _CHILD, root], cwd=Path(__file__).parents[2])
    reached = _finished(root, pattern, count)
    while not reached() and child.poll() is None:
        time.sleep(0.001)
    child.kill()
    child.wait()
    assert reached(), "the stage never came so far"
    run(root, clips_per_shard=1)
    assert outputs(root) == outputs(fresh)


@pytest.mark.slow
@only_here
def test_while_tars_change_there_is_no_old_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root)
    (root / "videos/a.mp4").unlink()
    add(root, {name: text for name, text in CAPTIONS.items() if name != "a.mp4"})
    seen: list[bool] = []
    from walt.ingest import clip_tars

    write = clip_tars.write_shard

    def watch(path: Path, samples: Any) -> Any:
        seen.append((path.parent / "shards.parquet").exists())
        return write(path, samples)

    monkeypatch.setattr(clip_tars, "write_shard", watch)
    run(root)
    assert seen
    assert not any(seen)
    assert read_index(Paths(root).clips / "32x32").records


# ------------------------------------------------------------------------------------------------ real data


@pytest.mark.slow
def test_real_clips(root: Path) -> None:
    data = shared_data()
    shutil.rmtree(root / "videos")
    shutil.copytree(data, root / "videos", ignore=shutil.ignore_patterns("annotations", "images"))
    figures = run(root, 2, "process", num_frames=17, max_clips_per_video=2)
    assert figures["inputs"] == 22
    assert figures["rejects"] == {"no_caption": 2, "too_short": 5}
    assert figures["accepted"] == 15
    assert rejects(root)["broken/broken.mp4"] == "no_caption"
    assert figures["videos"] == 29
