"""The manifest that ``ingest`` makes has parts: which change, in which order they are, and which stages read them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.ingest_project import CAPTIONS, add, config, make_project, outputs, untouched
from tests.support.interrupted_ingest import at_each_write
from tests.support.media import counter, write_video
from tests.support.places import Place, ingest_at, only_here
from tests.support.text_project import CONFIG, run_encode_text
from walt.core.errors import CorruptArtifactError
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.data.clip_table import read_clip_rows
from walt.data.manifest import read_manifest
from walt.data.partitions import PARTS_INDEX, read_parts
from walt.data.shards import NULL_KEY, ShardReader
from walt.data.text_tables import caption_id
from walt.ingest.mirror import LIST_NAME, fetch
from walt.pages.report_dataset import describe_dataset, survey
from walt.stages import ingest

FEW = {name: text for name, text in CAPTIONS.items() if name != "d.mp4"}
"""All but one."""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MOST_PART_ROWS", 6)


def run(root: Path, **changes: Any) -> dict[str, Any]:
    return ingest_at(root, config(clips_per_shard=2, **changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was ingested."""
    root = tmp_path_factory.mktemp("made")
    make_project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "MOST_PART_ROWS", 6)
        run(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, place: Place) -> Path:
    return place.settle(Path(shutil.copytree(made, tmp_path / "root")))


def part_of(root: Path) -> dict[str, str]:
    """The part that holds each source."""
    manifest = Paths(root).manifest
    found: dict[str, str] = {}
    for part in read_parts(manifest):
        for source in pq.read_table(manifest / part.part, partitioning=None)["source"].to_pylist():
            assert found.setdefault(source, part.part) == part.part, "a source's clips are in one part"
    return found


@pytest.mark.slow
def test_tars_are_within_parts_and_all_tables_have_one_order(made: Path) -> None:
    paths = Paths(made)
    rows = read_manifest(paths.manifest)
    parts = read_parts(paths.manifest)
    assert len(parts) > 2
    assert sum(part.rows for part in parts) == len(rows) == 18
    assert all(part.rows <= 6 for part in parts)
    tars = [{row.shard for row in rows if part_of(made)[row.source] == part.part} for part in parts]
    assert sum(map(len, tars)) == len(set().union(*tars)) == len({row.shard for row in rows})
    assert [row.key for row in read_clip_rows(paths.clips)] == [row.key for row in rows]
    assert list(ShardReader(paths.clips / "32x32").keys) == [row.key for row in rows]
    assert Counter(pq.read_table(paths.manifest)["key"].to_pylist()) == Counter(row.key for row in rows)


@pytest.mark.slow
def test_one_file_changes_one_tar_and_one_part(root: Path) -> None:
    (root / "videos/d.mp4").unlink()
    add(root, FEW)
    run(root)
    few, before = outputs(root), untouched(root / "data")
    write_video(root / "videos/d.mp4", np.roll(counter(32, 32, 48), 3, axis=0))
    add(root, CAPTIONS)
    run(root)
    after, part = untouched(root / "data"), part_of(root)["d.mp4"]
    manifest = Paths(root).manifest
    changed = {path.name for path in after if path.parent == manifest and after[path] != before.get(path)}
    assert {part, PARTS_INDEX} <= changed
    neighbours = {name for name in part_of(root).values() if name not in changed}
    assert len(neighbours) > 1, "most parts are as they were, down to inode and time"
    assert len(changed) <= 3, "or the part was split in two"
    (root / "videos/d.mp4").unlink()
    add(root, FEW)
    run(root)
    assert outputs(root) == few, "history leaves no trace"


@pytest.mark.slow
@only_here  # test_ingest_faults.py kills it in a bucket, too
def test_killed_while_the_manifest_changes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption before each write, while old parts lie there: the rerun makes what a fresh run makes."""

    class Killed(BaseException):
        pass

    add(root, {name: f"{text}, again" for name, text in CAPTIONS.items()})
    whole = Path(shutil.copytree(root, tmp_path / "whole"))
    writes = at_each_write(whole, lambda _: None, monkeypatch)
    expected, seen = outputs(whole), Counter[str]()

    for moment in range(1, writes + 1):
        copy = Path(shutil.copytree(root, tmp_path / "copy"))

        def kill(count: int, moment: int = moment) -> None:
            if count == moment:
                raise Killed

        with pytest.raises(Killed):
            at_each_write(copy, kill, monkeypatch)
        seen[str(outputs(copy).keys() >= {f"data/manifest/{PARTS_INDEX}"})] += 1
        run(copy)
        assert outputs(copy) == expected
        shutil.rmtree(copy)
    assert min(seen["True"], seen["False"]) > 3, "before and within the change of the manifest"


def test_a_damaged_part_is_made_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = outputs(root)
    part = min(Paths(root).manifest.glob("part-*"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(CorruptArtifactError, match=part.name):
        read_manifest(Paths(root).manifest)
    run(root)
    assert f"made again: {part}" in capsys.readouterr().out
    assert outputs(root) == before


@only_here
def test_the_single_file_of_earlier_versions_is_removed(root: Path) -> None:
    before = outputs(root)
    shutil.rmtree(Paths(root).manifest)
    (root / "data/manifest.parquet").write_bytes(b"of an earlier version")
    run(root)
    assert outputs(root) == before


@only_here
def test_a_prefix_and_a_copy_fetched_from_it_have_the_same_parts(root: Path, tmp_path: Path) -> None:
    prefix, other = tmp_path / "elsewhere", Paths(tmp_path / "other")
    for former in (prefix, other.root / "data"):
        former.mkdir(parents=True)
        (former / "manifest.parquet").write_bytes(b"of an earlier version")
    write_json(prefix / LIST_NAME, {"manifest.parquet": {"bytes": 21, "sha256": "0"}})
    run(root, output=f"file://{prefix}")
    assert not (prefix / "manifest.parquet").exists()
    fetch(other, f"file://{prefix}")
    assert outputs(other.root) == outputs(root)

    add(root, {**CAPTIONS, "still.png": "another caption"})
    names = {path.name for path in Paths(root).manifest.iterdir()}
    assert run(root, output=f"file://{prefix}")["uploaded"] == 2, "one part and the index"
    (other.manifest / "part-999999.parquet").write_bytes(b"of another time")
    assert fetch(other, f"file://{prefix}") == 2
    assert outputs(other.root) == outputs(root)
    assert {path.name for path in other.manifest.iterdir()} == names


@only_here
def test_what_an_earlier_version_published_is_not_fetched(root: Path, tmp_path: Path) -> None:
    published = {"manifest.parquet": {"bytes": 1, "sha256": "0"}}
    write_json(tmp_path / "elsewhere/published.json", published)
    with pytest.raises(CorruptArtifactError, match="publish again"):
        fetch(Paths(root), f"file://{tmp_path}/elsewhere")
    assert read_manifest(Paths(root).manifest)


@pytest.mark.slow
def test_the_stages_that_follow_read_all_parts(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several = Paths(Path(shutil.copytree(made, tmp_path / "several")))
    single = Paths(Path(shutil.copytree(made, tmp_path / "single")))
    monkeypatch.undo()
    run(single.root)
    assert [part.part for part in read_parts(single.manifest)] == ["part-000000.parquet"]
    rows = read_manifest(several.manifest)
    assert sorted(rows, key=lambda row: (row.shard, row.key)) == read_manifest(single.manifest)

    figures = {paths: run_encode_text(CONFIG, paths) for paths in (several, single)}
    texts = {paths: ShardReader(paths.text) for paths in figures}
    assert figures[several] == figures[single]
    names = sorted({caption_id(row.caption or "") for row in rows})
    assert list(texts[several].keys) == [*names, NULL_KEY]
    assert texts[several].index == texts[single].index, "an embedding does not depend on the parts"
    assert run_encode_text(CONFIG, several)["reused"] == figures[several]["tars"]

    num_held_out = sum(row.split == "held_out" for row in rows)
    for paths in (several, single):
        found = survey(paths.manifest)
        assert describe_dataset(found, paths.rejects) == {
            "Clips": 18, "Videos": 17, "Stills": 1, "Sources": 9, "Held out": num_held_out,
            "Minutes of video": 0.2, "Distinct captions": 9, "Rejected": 0, "rejects": [], "codes": [],
        }  # fmt: skip
        assert found.spread(4) == [read_manifest(paths.manifest)[place] for place in (0, 6, 11, 17)]
        held_out = [row for row in read_manifest(paths.manifest) if row.split == "held_out" and row.kind == "video"]
        assert found.spread_held_out(100) == held_out
